"""Headers, status, body, variables, query, path: what policies change in requests and answers."""

import pytest

from localcloud.gateway.policy import PolicyFault
from localcloud.tests.gateway.policy.stage import FORWARD, Staged, section

HEADER = "learn:azure/api-management/set-header-policy"
RETURN = "learn:azure/api-management/return-response-policy"
QUERY = "learn:azure/api-management/set-query-parameter-policy"
URI = "learn:azure/api-management/rewrite-uri-policy"
IDENTITY = "learn:azure/api-management/authentication-managed-identity-policy"


def set_header(action: str, *values: str, name: str = "X-It") -> str:
    inner = "".join(f"<value>{value}</value>" for value in values)
    return f'<set-header name="{name}" exists-action="{action}">{inner}</set-header>'


@pytest.mark.conforms("set-header", "override, skip, append, delete", source=HEADER)
@pytest.mark.parametrize(
    ("policy", "before", "after"),
    [
        (set_header("override", "new"), ["old"], ["new"]),
        (set_header("override", "one", "two"), ["old"], ["one", "two"]),
        (set_header("skip", "new"), ["old"], ["old"]),
        (set_header("skip", "new"), [], ["new"]),
        (set_header("append", "new"), ["old"], ["old", "new"]),
        (set_header("delete"), ["old", "older"], []),
        (set_header("override", "@(context.Request.Method + &quot;!&quot;)"), [], ["GET!"]),
    ],
)
async def test_set_header_on_the_request(
    staged: Staged, policy: str, before: list[str], after: list[str]
) -> None:
    stage = staged(api=section(inbound="<base/>" + policy))
    context = stage.context(headers=[("x-it", value) for value in before])
    await stage.run(context)
    assert context.request.headers.values("X-It") == after


async def test_set_header_after_the_backend_changes_the_answer(staged: Staged) -> None:
    stage = staged(api=section(outbound="<base/>" + set_header("override", "out")))
    context = stage.context()
    answer = await stage.run(context)
    assert answer.headers.get("X-It") == "out"
    assert "X-It" not in context.request.headers


@pytest.mark.conforms(
    "set-header",
    "Connection, Content-Length, Keep-Alive and Transfer-Encoding are not for policies",
    source=HEADER,
)
@pytest.mark.parametrize(
    "name", ["Connection", "content-length", "Keep-Alive", "Transfer-Encoding"]
)
def test_headers_of_the_connection_are_not_for_policies(staged: Staged, name: str) -> None:
    with pytest.raises(PolicyFault, match="does not let policies change"):
        staged(api=section(inbound=set_header("override", "a", name=name)))


@pytest.mark.parametrize(
    "policy", [set_header("delete", "a"), set_header("override"), set_header("x")]
)
def test_a_set_header_that_contradicts_itself_is_refused(staged: Staged, policy: str) -> None:
    with pytest.raises(PolicyFault):
        staged(api=section(inbound=policy))


async def test_a_value_with_a_line_break_does_not_become_a_header(staged: Staged) -> None:
    value = "@(context.Request.Url.Query.GetValueOrDefault(&quot;q&quot;, &quot;&quot;))"
    stage = staged(api=section(inbound="<base/>" + set_header("override", value)))
    context = stage.context(query="q=a%0d%0aX-Evil:%201")
    answer = await stage.run(context)
    assert answer.status == 500
    assert stage.services.upstream.sent == []
    assert "X-Evil" not in answer.headers


async def test_a_value_that_no_header_can_hold_is_not_told_to_the_log(
    staged: Staged, caplog: pytest.LogCaptureFixture
) -> None:
    value = "@(context.Request.Url.Query.GetValueOrDefault(&quot;q&quot;, &quot;&quot;))"
    stage = staged(api=section(inbound="<base/>" + set_header("override", value)))
    assert (await stage.ask(query="q=%C5%82ukasz")).status == 500
    assert "set-header at set-header[1] failed: UnicodeEncodeError" in caplog.text
    assert "ukasz" not in caplog.text


@pytest.mark.conforms(
    "return-response",
    "aborts the pipeline and answers; 200 without a body by default",
    source=RETURN,
)
async def test_return_response_ends_everything(staged: Staged) -> None:
    stage = staged(
        api=section(
            inbound="<base/><return-response/><set-variable name='after' value='x'/>",
            outbound="<base/>" + set_header("override", "out"),
        )
    )
    context = stage.context()
    answer = await stage.run(context)
    assert (answer.status, answer.body, list(answer.headers.pairs())) == (200, b"", [])
    assert context.variables == {}
    assert stage.services.upstream.sent == []


async def test_return_response_writes_a_new_answer_while_the_old_can_be_read(
    staged: Staged,
) -> None:
    stage = staged(
        api=section(
            outbound="""<base/><return-response>
<set-status code="418" reason="Teapot"/>
<set-header name="X-Old"><value>
 @(context.Response.Headers.GetValueOrDefault(&quot;Content-Type&quot;, &quot;&quot;)
 + context.Response.StatusCode)</value></set-header>
<set-body>@(&quot;é&quot; + context.Request.Method)</set-body></return-response>"""
        )
    )
    answer = await stage.ask()
    assert (answer.status, answer.reason, answer.body) == (418, "Teapot", "éGET".encode())
    assert list(answer.headers.pairs()) == [("X-Old", "text/plain200")]
    assert stage.services.upstream.closed == 1


async def test_set_status_and_set_body_change_what_the_backend_answered(staged: Staged) -> None:
    stage = staged(
        api=section(
            outbound='<base/><set-status code="202" reason="Accepted"/><set-body>other</set-body>'
        )
    )
    stage.services.upstream.headers = {
        "Content-Length": "9",
        "Content-Encoding": "gzip",
        "ETag": "1",
    }
    answer = await stage.ask()
    assert (answer.status, answer.body) == (202, b"other")
    assert list(answer.headers.pairs()) == [("ETag", "1")]
    assert stage.services.upstream.closed == 1


async def test_set_body_before_the_backend_changes_the_request(staged: Staged) -> None:
    stage = staged(
        api=section(inbound="<base/><set-body>changed</set-body>"),
        everywhere=section(
            inbound="<set-backend-service backend-id='main'/>",
            backend=FORWARD,
            outbound="",
            on_error="",
        ),
    )
    await stage.ask(method="POST", body=b"original")
    assert stage.services.upstream.sent[0].body == b"changed"


@pytest.mark.parametrize("code", ["99", "600", "abc"])
def test_a_status_that_http_does_not_have_is_refused(staged: Staged, code: str) -> None:
    with pytest.raises(PolicyFault):
        staged(api=section(outbound=f'<set-status code="{code}" reason=""/>'))


BACKEND = "<base/><set-backend-service backend-id='main'/>"


@pytest.mark.conforms("set-query-parameter", "override, skip, append, delete", source=QUERY)
@pytest.mark.parametrize(
    ("action", "values", "query", "after"),
    [
        ("override", "<value>b c</value>", "q=a&r=1", "r=1&q=b+c"),
        ("skip", "<value>b</value>", "q=a", "q=a"),
        ("skip", "<value>b</value>", "", "q=b"),
        ("append", "<value>b</value>", "q=a", "q=a&q=b"),
        ("delete", "", "q=a&r=&q=b", "r="),
    ],
)
async def test_set_query_parameter(
    staged: Staged, action: str, values: str, query: str, after: str
) -> None:
    stage = staged(
        api=section(
            inbound=f'{BACKEND}<set-query-parameter name="q" exists-action="{action}">{values}'
            "</set-query-parameter>"
        )
    )
    await stage.ask(query=query)
    assert stage.services.upstream.sent[0].url == f"http://backend.test/api/v1/things/7?{after}"


async def test_a_query_that_no_policy_changes_is_sent_as_it_came(staged: Staged) -> None:
    stage = staged(api=section(inbound=BACKEND))
    await stage.ask(query="q=a%20b&&x&q=%C3%A9")
    assert stage.services.upstream.sent[0].url.endswith("/things/7?q=a%20b&&x&q=%C3%A9")


@pytest.mark.conforms("rewrite-uri", "the template may hold the path's parameters", source=URI)
async def test_rewrite_uri(staged: Staged) -> None:
    stage = staged(api=section(inbound=BACKEND + '<rewrite-uri template="/other/{id}/x"/>'))
    context = stage.context(query="a=1")
    context.request.matched = {"id": "a/b c"}
    await stage.run(context)
    assert stage.services.upstream.sent[0].url == "http://backend.test/api/v1/other/a%2Fb%20c/x?a=1"
    stage = staged(
        api=section(inbound=BACKEND + '<rewrite-uri template="/o" copy-unmatched-params="false"/>')
    )
    await stage.ask(query="a=1")
    assert stage.services.upstream.sent[1].url == "http://backend.test/api/v1/o"


@pytest.mark.conforms(
    "authentication-managed-identity",
    "the token is set in the Authorization header using the Bearer scheme",
    source=IDENTITY,
)
async def test_the_gateways_token_replaces_the_users(staged: Staged) -> None:
    stage = staged(
        api=section(
            inbound=f"{BACKEND}"
            + set_header(
                "override",
                "@(context.Request.Headers"
                ".GetValueOrDefault(&quot;Authorization&quot;, &quot;&quot;))",
                name="X-Forwarded-Authorization",
            )
            + '<authentication-managed-identity resource="api://it"/>'
        )
    )
    await stage.ask(headers={"authorization": "Bearer user"})
    sent = stage.services.upstream.sent[0].headers
    assert sent["Authorization"] == "Bearer token-for-api://it-as-None"
    assert sent["X-Forwarded-Authorization"] == "Bearer user"
    assert "authorization" not in sent


async def test_the_gateways_token_may_go_into_a_variable(staged: Staged) -> None:
    stage = staged(
        api=section(
            inbound=f'{BACKEND}<authentication-managed-identity resource="api://it" client-id="me"'
            ' output-token-variable-name="token"/>'
        )
    )
    context = stage.context(headers={"Authorization": "Bearer user"})
    await stage.run(context)
    assert context.variables["token"] == "token-for-api://it-as-me"
    assert context.request.headers.get("Authorization") == "Bearer user"


async def test_without_the_gateways_token_nothing_is_sent_unless_it_is_dispensable(
    staged: Staged,
) -> None:
    policy = '<authentication-managed-identity resource="api://it"{}/>'
    stage = staged(api=section(inbound=BACKEND + policy.format("")))
    stage.services.identity.away = True
    context = stage.context()
    assert (await stage.run(context)).status == 500
    assert context.last_error is not None
    assert context.last_error.path == "authentication-managed-identity[1]"
    assert stage.services.upstream.sent == []
    lenient = staged(api=section(inbound=BACKEND + policy.format(' ignore-error="true"')))
    assert (await lenient.ask()).status == 200


async def test_without_a_backend_nothing_is_sent(staged: Staged) -> None:
    stage = staged(everywhere=section(inbound="", backend=FORWARD, outbound="", on_error=""))
    context = stage.context()
    assert (await stage.run(context)).status == 500
    assert context.last_error is not None
    assert context.last_error.reason == "BackendUrlMissing"
    assert stage.services.upstream.sent == []
