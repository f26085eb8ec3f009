"""`choose`, `retry`, `trace`, and what happens when something goes wrong."""

import asyncio
import json
from unittest.mock import AsyncMock

import pytest

from localcloud.gateway.policy import Headers, PolicyFault, Refusal, Response
from localcloud.tests.gateway.policy.stage import FORWARD, Staged, section

CHOOSE = "learn:azure/api-management/choose-policy"
RETRY = "learn:azure/api-management/retry-policy"
ERRORS = "learn:azure/api-management/api-management-error-handling-policies"


def _when(condition: str, value: str) -> str:
    return f'<when condition="{condition}"><set-variable name="x" value="{value}"/></when>'


@pytest.mark.conforms("choose", "the first when that holds runs, or else otherwise", source=CHOOSE)
@pytest.mark.parametrize(
    ("query", "chosen"),
    [("a=1", "first"), ("a=2", "second"), ("a=3", "otherwise"), ("", "otherwise")],
)
async def test_choose(staged: Staged, query: str, chosen: str) -> None:
    asked = "context.Request.Url.Query.GetValueOrDefault(&quot;a&quot;, &quot;&quot;)"
    stage = staged(
        api=section(
            inbound="<base/><choose>"
            + _when(f"@({asked} == &quot;1&quot;)", "first")
            + _when(f"@({asked} == &quot;1&quot; || {asked} == &quot;2&quot;)", "second")
            + '<otherwise><set-variable name="x" value="otherwise"/></otherwise></choose>'
        )
    )
    context = stage.context(query=query)
    await stage.run(context)
    assert context.variables == {"x": chosen}


@pytest.mark.parametrize(
    "inner",
    [
        "",
        "<otherwise/>",
        '<when condition="@(1)"/>',
        '<when condition="maybe"/>',
        "<when/>",
        '<when condition="true"/><otherwise/><when condition="true"/>',
        '<when condition="true"><quota/></when>',
    ],
)
def test_a_choice_that_is_none_is_refused(staged: Staged, inner: str) -> None:
    with pytest.raises(PolicyFault):
        staged(api=section(inbound=f"<choose>{inner}</choose>"))


def retry(attributes: str, inner: str = '<forward-request buffer-request-body="true"/>') -> str:
    condition = "@(context.Response.StatusCode == 500 || context.Response.StatusCode == 503)"
    return section(backend=f'<retry condition="{condition}" {attributes}>{inner}</retry>')


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch) -> AsyncMock:
    sleep = AsyncMock()
    monkeypatch.setattr(asyncio, "sleep", sleep)
    return sleep


@pytest.mark.conforms(
    "retry", "executes once and then retries until the condition is false or count is exhausted",
    source=RETRY,
)  # fmt: skip
@pytest.mark.parametrize(
    ("answers", "calls", "status"), [([503, 503, 200], 3, 200), ([503], 4, 503), ([404], 1, 404)]
)
async def test_retry(
    staged: Staged, slept: AsyncMock, answers: list[int | Refusal], calls: int, status: int
) -> None:
    stage = staged(api=retry('count="3" interval="2"'))
    stage.services.upstream.answers = answers
    answer = await stage.ask(body=b"again")
    assert answer.status == status
    sent = stage.services.upstream.sent
    assert [(each.body, each.buffered) for each in sent] == [(b"again", True)] * calls
    assert [call.args[0] for call in slept.await_args_list] == [2] * (calls - 1)
    assert stage.services.upstream.closed == calls - 1


async def test_a_backend_that_cannot_be_reached_is_tried_again(
    staged: Staged, slept: AsyncMock
) -> None:
    away = Refusal(source="forward-request", reason="BackendConnectionFailure")
    stage = staged(api=retry('count="2" interval="1" first-fast-retry="true"'))
    stage.services.upstream.answers = [away, away, 200]
    context = stage.context()
    assert (await stage.run(context)).status == 200
    assert context.last_error is None
    assert [call.args[0] for call in slept.await_args_list] == [1]
    stage.services.upstream.answers = [away]
    context = stage.context()
    assert (await stage.run(context)).status == 500
    assert context.last_error is away
    assert len(stage.services.upstream.sent) == 6


@pytest.mark.conforms(
    "retry", "waits are fixed, linear or exponential", source=f"{RETRY}#retry-wait-times"
)
@pytest.mark.parametrize(
    ("attributes", "low", "high"),
    [
        ('count="4" interval="10"', [10, 10, 10, 10], [10, 10, 10, 10]),
        ('count="4" interval="10" delta="5"', [10, 15, 20, 25], [10, 15, 20, 25]),
        (
            'count="4" interval="10" delta="10" max-interval="60"',
            [10, 18, 34, 60],
            [10, 22, 46, 60],
        ),
        ('count="4" interval="10" first-fast-retry="true"', [10, 10, 10], [10, 10, 10]),
    ],
)
async def test_waits_between_retries(
    staged: Staged, slept: AsyncMock, attributes: str, low: list[int], high: list[int]
) -> None:
    stage = staged(api=retry(attributes))
    stage.services.upstream.answers = [503]
    await stage.ask()
    waits = [call.args[0] for call in slept.await_args_list]
    assert len(waits) == len(low)
    assert all(a <= wait <= b for a, wait, b in zip(low, waits, high, strict=True))


@pytest.mark.parametrize(
    "attributes",
    ['count="0" interval="1"', 'count="51" interval="1"', 'count="1"',
     'count="1" interval="1" max-interval="2"'],
)  # fmt: skip
def test_a_retry_that_is_none_is_refused(staged: Staged, attributes: str) -> None:
    with pytest.raises(PolicyFault):
        staged(api=retry(attributes))


def test_a_retry_of_nothing_is_refused(staged: Staged) -> None:
    with pytest.raises(PolicyFault, match="needs a policy to repeat"):
        staged(api=retry('count="1" interval="1"', ""))


async def test_trace_tells_named_facts(staged: Staged) -> None:
    stage = staged(
        api=section(
            inbound='<base/><trace source="door" severity="error">'
            "<message>@(context.Request.Method)</message>"
            '<metadata name="operation" value="@(context.Operation.Id)"/></trace>'
        )
    )
    await stage.ask()
    assert stage.services.traced == [("door", "error", "GET", {"operation": "look"})]


THROWS = "<set-variable name='a' value='@((string)context.Variables[&quot;no&quot;])'/>"
REPORT = section(
    on_error="<base/>"
    + "".join(
        f'<set-header name="X-{name}"><value>@(context.LastError.{name})</value></set-header>'
        for name in ("Source", "Reason", "Scope", "Section", "Path", "PolicyId")
    )
)


@pytest.mark.conforms(
    "on-error", "LastError says which policy, where, and why", source=f"{ERRORS}#lasterror"
)
async def test_on_error_sees_what_happened_and_where(staged: Staged) -> None:
    stage = staged(
        api=REPORT.replace(
            "<inbound><base/>",
            '<inbound><base/><choose><when condition="false"/><when condition="true">'
            '<ip-filter action="allow" id="network"><address>10.9.9.9</address></ip-filter>'
            "</when></choose>",
        )
    )
    answer = await stage.ask()
    assert answer.status == 403
    assert {name: answer.headers.get(f"X-{name}") for name in ("Source", "Reason", "Scope")} == {
        "Source": "ip-filter",
        "Reason": "CallerIpNotAllowed",
        "Scope": "api",
    }
    assert {name: answer.headers.get(f"X-{name}") for name in ("Section", "Path", "PolicyId")} == {
        "Section": "inbound",
        "Path": "choose[1]/when[2]/ip-filter[1]",
        "PolicyId": "network",
    }


@pytest.mark.conforms(
    "on-error",
    "without an answer of its own the error is a JSON object with statusCode and message",
    source=ERRORS,
)
async def test_an_error_that_no_policy_describes_is_answered_plainly(staged: Staged) -> None:
    stage = staged()
    stage.services.upstream.answers = [
        Refusal(source="forward-request", reason="Timeout", message="late", headers={"X-H": "1"})
    ]
    answer = await stage.ask()
    assert (answer.status, answer.headers.get("Content-Type")) == (500, "application/json")
    assert answer.headers.get("X-H") == "1"
    assert isinstance(answer.body, bytes)
    assert json.loads(answer.body) == {"statusCode": 500, "message": "late"}


async def test_an_error_in_on_error_itself_is_still_answered(staged: Staged) -> None:
    stage = staged(
        api=section(
            inbound="<base/>" + '<ip-filter action="allow"><address>10.9.9.9</address></ip-filter>',
            on_error="<base/>" + THROWS,
        )
    )
    answer = await stage.ask()
    assert answer.status == 500
    assert answer.body == b'{"statusCode": 500, "message": ""}'


async def test_an_answer_that_nobody_gets_is_let_go_of(staged: Staged) -> None:
    stage = staged(api=section(outbound="<base/>" + THROWS))
    assert (await stage.ask()).status == 500
    assert stage.services.upstream.closed == 1


async def test_an_answer_that_cannot_be_let_go_of_spoils_nothing(staged: Staged) -> None:
    async def stuck() -> None:
        raise OSError("the line is gone")

    stage = staged()
    context = stage.context()
    context.response = Response(200, Headers(), close=stuck)
    refusal = Refusal(source="client", reason="ClientConnectionFailure", status=499)
    answer = await stage.policies.pipeline("shop-v1", "look").fail(context, refusal)
    assert answer.status == 499


async def test_a_client_that_leaves_cancels_the_backend_and_frees_its_answer(
    staged: Staged,
) -> None:
    stage = staged(api=retry('count="1" interval="3600"'))
    stage.services.upstream.answers = [503]
    context = stage.context()
    running = asyncio.create_task(stage.run(context))
    await stage.services.upstream.let_go.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert len(stage.services.upstream.sent) == 1


async def test_what_was_refused_before_any_policy_is_described_by_on_error_alone(
    staged: Staged,
) -> None:
    stage = staged(
        everywhere=section(
            inbound='<set-variable name="no" value="never"/>',
            backend=FORWARD,
            outbound="",
            on_error="<return-response><set-status reason=''"
            " code='@(context.Response.StatusCode)'/>"
            "<set-body>@(context.LastError.Reason)</set-body></return-response>",
        )
    )
    context = stage.context()
    refusal = Refusal(source="configuration", reason="OperationNotFound", status=404)
    answer: Response = await stage.policies.unmatched("shop-v1").fail(context, refusal)
    assert (answer.status, answer.body, context.variables) == (404, b"OperationNotFound", {})


async def test_requests_side_by_side_do_not_see_each_other(staged: Staged) -> None:
    stage = staged(
        api=section(
            inbound="<base/><set-variable name='q'"
            " value='@(context.Request.Url.Query[&quot;q&quot;].First())'/>"
            "<authentication-managed-identity resource='x'/>",
            outbound="<base/><set-body>@((string)context.Variables[&quot;q&quot;])</set-body>",
        )
    )
    answers = await asyncio.gather(*[stage.ask(query=f"q={number}") for number in range(50)])
    assert [answer.body for answer in answers] == [str(number).encode() for number in range(50)]
