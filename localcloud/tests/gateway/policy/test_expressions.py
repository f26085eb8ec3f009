"""The expression language: what it computes, and what it refuses before any request comes."""

from typing import Any

import pytest

from localcloud.gateway.policy import Context, Headers, Response
from localcloud.gateway.policy.expressions import ExpressionFault, compile_expression
from localcloud.gateway.policy.faults import Refusal
from localcloud.gateway.policy.jwt import Jwt
from localcloud.tests.gateway.policy.stage import Stage, Staged, section


@pytest.fixture
def context(staged: Staged) -> Context:
    made = staged().context(
        query="a=1&a=2&b=",
        headers=[("Accept", "text/plain"), ("X-Two", "one"), ("x-two", "other")],
    )
    made.backend_url = "http://backend.test/api/v1"
    made.variables = {
        "text": "abc",
        "number": 7,
        "nothing": None,
        "jwt": Jwt(
            claims={"roles": ["reader", "writer"], "scp": ["orders.read orders.write"]},
            issuer="issuer",
            subject="subject",
            id="",
            audiences=["one", "two"],
            expires=None,
            not_before=None,
        ),
    }
    return made


@pytest.mark.parametrize(
    ("text", "type_", "value"),
    [
        ("true", "bool", True),
        ("!false && 1 < 2", "bool", True),
        ("1 > 2 || 2 >= 2", "bool", True),
        ("1 + 2 + 3", "int", 6),
        ('"a" + 1 + true', "string", "a1True"),
        ('1 + 2 + "a"', "string", "3a"),
        ('"a" == "b" ? 1 : 2', "int", 2),
        ('1 == 1 ? "x" : null', "string", "x"),
        ("(1 + 1) == 2 != false", "bool", True),
        (r'"\"\\\u0041\t"', "string", '"\\A\t'),
        ('"a,b".Split(\',\')[1]', "string", "b"),
        ('"a b".Split(\' \').Contains("b")', "bool", True),
        ('"a b".Split(\' \').First()', "string", "a"),
        ('" Ab ".Trim().ToLower()', "string", "ab"),
        ('"abc".StartsWith("ab") && "abc".EndsWith("bc") && "abc".Contains("b")', "bool", True),
        ('"a/b".Replace("/", "-").Length', "int", 3),
        ('"/api/v1/x".Substring(7)', "string", "/x"),
        ("(5).ToString()", "string", "5"),
        ("context.Request.Method", "string", "GET"),
        ("context.Request.IpAddress", "string", "10.0.0.5"),
        ("context.Request.OriginalUrl.Path", "string", "/shop/v1/things/7"),
        ("context.Request.OriginalUrl.Port", "int", 8080),
        ("context.Request.Url.Path", "string", "/api/v1/things/7"),
        ("context.Request.Url.Host", "string", "backend.test"),
        ('context.Request.Url.Query.GetValueOrDefault("a", "")', "string", "1,2"),
        ('context.Request.Url.Query.GetValueOrDefault("c", "none")', "string", "none"),
        ('context.Request.Url.Query["a"][1]', "string", "2"),
        ('context.Request.Url.Query.ContainsKey("b")', "bool", True),
        ('context.Request.Headers.GetValueOrDefault("x-TWO", "")', "string", "one,other"),
        ('context.Request.Headers["X-Two"].Length', "int", 2),
        ('context.Request.Headers.ContainsKey("accept")', "bool", True),
        ('context.Request.MatchedParameters["id"]', "string", "7"),
        ('context.Request.MatchedParameters.GetValueOrDefault("no", "x")', "string", "x"),
        ("context.RequestId.ToString()", "string", "0f0e0d0c-0000-4000-8000-000000000001"),
        ("context.Api.Version + context.Api.Path", "string", "v1shop"),
        ("context.Operation.Id", "string", "look"),
        ('context.Subscription?.Id ?? "nobody"', "string", "nobody"),
        ("context.Response == null", "bool", True),
        ("context.Response?.StatusCode >= 500", "bool", False),
        ("context.Response?.StatusCode ?? 0", "int", 0),
        ("context.LastError?.Reason == null", "bool", True),
        ('(string)context.Variables["text"]', "string", "abc"),
        ('(int)context.Variables["number"] + 1', "int", 8),
        ('context.Variables.GetValueOrDefault<string>("no", "other")', "string", "other"),
        ('context.Variables.GetValueOrDefault<int>("number", 1)', "int", 7),
        ('context.Variables.ContainsKey("text")', "bool", True),
        ('((Jwt)context.Variables["jwt"]).Subject', "string", "subject"),
        ('((Jwt)context.Variables["jwt"]).Audiences.Contains("two")', "bool", True),
        ('((Jwt)context.Variables["jwt"]).Claims["roles"].Contains("writer")', "bool", True),
        (
            '((Jwt)context.Variables["jwt"]).Claims.GetValueOrDefault("roles", "")',
            "string", "reader,writer",
        ),
        ('((Jwt)context.Variables["jwt"])?.Claims?.ContainsKey("no")', "bool?", False),
        ('string.IsNullOrEmpty("")', "bool", True),
        (
            ('new JObject(new JProperty("a", 1), new JProperty("b", new JArray("x", null)))'
            ".ToString(Newtonsoft.Json.Formatting.None)"),
            "string", '{"a":1,"b":["x",null]}',
        ),
        ('new JObject(new JProperty("a", "é")).ToString()', "string", '{\n  "a": "é"\n}'),
    ],
)  # fmt: skip
def test_an_expression_gives_what_csharp_would(
    context: Context, text: str, type_: str, value: Any
) -> None:
    typed = compile_expression(text)
    assert (typed.type, typed.run(context)) == (type_, value)


def test_every_new_guid_is_another(context: Context) -> None:
    run = compile_expression("Guid.NewGuid().ToString()").run
    assert run(context) != run(context)
    assert len(run(context)) == 36


def test_the_answer_and_the_error_are_seen_once_they_are_there(context: Context) -> None:
    context.response = Response(503, Headers.of([("Retry-After", "2")]))
    context.last_error = Refusal(source="forward-request", reason="Timeout", message="late")
    run = compile_expression(
        'context.Response.StatusCode == 503 && context.LastError.Source == "forward-request"'
        ' && context.LastError?.Reason == "Timeout"'
        ' && context.Response.Headers.GetValueOrDefault("retry-after", "") == "2"'
    ).run
    assert run(context) is True


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("context.User.Email", "Context.User is outside"),
        ("context.Request.Body", "Request.Body is outside"),
        ("context.Request.Certificate", "Request.Certificate is outside"),
        ("context.Deployment.Region", "Context.Deployment is outside"),
        ('context.Variables["jwt"].Subject', "object.Subject is outside"),
        ('context.Variables["a"] == "b"', "object cannot be compared with string"),
        ("context.RequestId == context.RequestId", "compared by identity"),
        ("1 && true", "expected bool, found int"),
        ('"a" < "b"', "expected int, found string"),
        ('"a" == 1', "string cannot be compared with int"),
        ("true + false", "bool + bool is outside"),
        ("context.Response.StatusCode?.ToString()", "?. needs something that can be null"),
        ('context.Response?.Headers.ContainsKey("a")', "write ?.ContainsKey after Headers"),
        ("context.LastError?.Reason.Length", "write ?.Length after Reason"),
        ('context.Variables.GetValueOrDefault("a", "b")', "needs a type"),
        ('"a".Split(",")', "expected char, found string"),
        ('"a".Substring(0, 1)', "takes other arguments"),
        ('(Jwt)"a"', "string cannot be cast to Jwt"),
        ('(DateTime)context.Variables["a"]', "expected the end"),
        ("new Random()", "new Random is outside"),
        ('Regex.IsMatch("a", "b")', "Regex is outside"),
        ('int.Parse("1")', "int is outside"),
        ('"a".Split(\' \').Any(part => part == "a")', "lambdas are outside"),
        ('$"{context.Api.Path}"', "outside the subset"),
        ('@"verbatim"', "outside the subset"),
        ("1.5 > 1", "outside the subset"),
        ("1 - 1", "outside the subset"),
        ('"a', "outside the subset"),
        (r'"\q"', "no escape"),
        ("1 2", "expected the end, found '2'"),
        ("(1", "expected ), found the end"),
        ("", "expected a value"),
        ("true ? 1", "expected :"),
        ('true ? 1 : "a"', "expected int, found string"),
        ("1 ?? 2", "?? needs something that can be null"),
        ('new JProperty("a", context.Request)', "Request is no value of JSON"),
        ('new JObject("a")', "takes properties"),
        ("!" * 100_000 + "true", "more than 300 parts"),
        ("(" * 100 + "1" + ")" * 100, "nested too deeply"),
    ],
)  # fmt: skip
def test_what_is_outside_of_the_subset_is_refused(text: str, why: str) -> None:
    with pytest.raises(ExpressionFault) as fault:
        compile_expression(text)
    assert why in str(fault.value)


@pytest.mark.parametrize(
    "text",
    [
        'context.Variables["missing"]',
        '(string)context.Variables["number"]',
        'context.Variables.GetValueOrDefault<int>("text", 1)',
        'context.Request.Headers["Missing"]',
        "context.LastError.Reason",
        "\"a b\".Split(' ')[5]",
        '"abc".Substring(4)',
        'new JObject(new JProperty("a", 1), new JProperty("a", 2)).ToString()',
    ],
)
def test_what_would_throw_in_csharp_raises(context: Context, text: str) -> None:
    run = compile_expression(text).run
    with pytest.raises((KeyError, TypeError, AttributeError, IndexError, ValueError)):
        run(context)


async def test_an_expression_that_throws_is_a_refusal_of_its_policy(staged: Staged) -> None:
    stage: Stage = staged(
        api=section(
            inbound="""<base/>
<choose><when condition="@(context.LastError.Reason == &quot;x&quot;)">
<set-variable name="a" value="b"/></when></choose>"""
        )
    )
    context = stage.context()
    answer = await stage.run(context)
    assert answer.status == 500
    assert context.last_error is not None
    assert (context.last_error.source, context.last_error.reason) == (
        "choose",
        "ExpressionValueEvaluationFailure",
    )
    assert (context.last_error.scope, context.last_error.section, context.last_error.path) == (
        "api",
        "inbound",
        "choose[1]",
    )
    assert stage.services.upstream.sent == []
