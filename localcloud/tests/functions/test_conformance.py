"""The documented rules of HTTP functions over the wire, in our words unless they are quoted."""

import http.client
import json
from typing import Any

import pytest

from localcloud.tests.functions.running_host import RunningHost

TRIGGER = "learn:azure/azure-functions/functions-bindings-http-webhook-trigger"
ROUTING = "learn:aspnet/core/fundamentals/routing"
REQUEST = "host:src/WebJobs.Script.Grpc/MessageExtensions/GrpcMessageConversionExtensions.cs"
ROUTES = "host:src/WebJobs.Script.WebHost/WebScriptHostHttpRoutesManager.cs"
FAILURE = "host:src/WebJobs.Script.WebHost/Middleware/FunctionInvocationMiddleware.cs"
BINDING = "host:src/WebJobs.Script/Binding/Http/HttpBinding.cs"


def rule(area: str, source: str, text: str, *values: object) -> Any:
    """A case of a parametrised test that holds a rule of its own."""
    return pytest.param(*values, id=text, marks=pytest.mark.conforms(area, text, source=source))


def asked(
    host: RunningHost, method: str, target: str, *headers: tuple[str, str], body: bytes = b""
) -> tuple[int, bytes]:
    """Status and body of the answer to a request whose target goes out as it is written here."""
    connection = http.client.HTTPConnection("127.0.0.1", host.port, timeout=20)
    try:
        connection.putrequest(method, target)
        for name, value in headers:
            connection.putheader(name, value)
        connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def seen(host: RunningHost, target: str, *headers: tuple[str, str]) -> dict[str, Any]:
    """The request as the function `echo` saw it."""
    status, body = asked(host, "GET", target, *headers)
    assert status == 201
    request: dict[str, Any] = json.loads(body)
    return request


@pytest.mark.parametrize(
    ("target", "route"),
    [
        rule(
            "HTTP routing",
            ROUTING,
            "an optional parameter may be absent from the path",
            "/api/echo",
            {},
        ),
        rule(
            "HTTP routing",
            ROUTING,
            "a slash at the end of the path does not matter",
            "/api/echo/",
            {},
        ),
        rule(
            "HTTP routing",
            ROUTING,
            "matching ignores case, values keep theirs",
            "/API/ECHO/Seven",
            {"rest": "Seven"},
        ),
        rule(
            "HTTP routing",
            ROUTING,
            "values of parameters are percent-decoded as UTF-8",
            "/api/echo/caf%C3%A9",
            {"rest": "café"},
        ),
        rule(
            "HTTP routing",
            ROUTING,
            "a plus in the path is a plus",
            "/api/echo/a+b",
            {"rest": "a+b"},
        ),
        rule(
            "HTTP routing",
            ROUTING,
            "a path is decoded once: %2520 is %20",
            "/api/echo/a%2520b",
            {"rest": "a%20b"},
        ),
        rule(
            "HTTP routing",
            ROUTING,
            "%2F in the path is not decoded",
            "/api/echo/a%2Fb",
            {"rest": "a%2Fb"},
        ),
        rule(
            "HTTP routing",
            ROUTING,
            "%3F in the path begins no query",
            "/api/echo/a%3Fb",
            {"rest": "a?b"},
        ),
        rule(
            "HTTP routing",
            ROUTING,
            "other encoded signs in the path are decoded",
            "/api/echo/a%23b%25",
            {"rest": "a#b%"},
        ),
    ],
)
def test_route_parameters(web: RunningHost, target: str, route: dict[str, str]) -> None:
    assert seen(web, target)["route"] == route


@pytest.mark.parametrize(
    ("query", "params"),
    [
        rule(
            "HTTP requests",
            REQUEST,
            "query parameters come by name",
            "a=1&b=2",
            {"a": "1", "b": "2"},
        ),
        rule(
            "HTTP requests",
            REQUEST,
            "values of a repeated query parameter are joined by commas",
            "a=1&a=2",
            {"a": "1,2"},
        ),
        rule(
            "HTTP requests",
            REQUEST,
            "a plus in the query is a blank",
            "a=x+y&b=x%2By",
            {"a": "x y", "b": "x+y"},
        ),
        rule(
            "HTTP requests",
            REQUEST,
            "query parameters without a value are left out",
            "a=&b&c=3",
            {"c": "3"},
        ),
        rule(
            "HTTP requests",
            REQUEST,
            "names and values in the query are UTF-8",
            "n%C3%A4me=%C3%BC",
            {"näme": "ü"},
        ),
        rule(
            "HTTP requests",
            REQUEST,
            "a semicolon in the query separates nothing",
            "a=1;b=2",
            {"a": "1;b=2"},
        ),
        rule(
            "HTTP requests",
            REQUEST,
            "in the query the first equals sign counts",
            "a=b=c",
            {"a": "b=c"},
        ),
    ],
)
def test_query_parameters(web: RunningHost, query: str, params: dict[str, str]) -> None:
    assert seen(web, f"/api/echo?{query}")["query"] == params


@pytest.mark.conforms(
    "HTTP requests",
    "header names arrive in lower case; several values of one name are joined by commas",
    source=REQUEST,
)
def test_headers_are_lower_case_and_repeated_ones_join(web: RunningHost) -> None:
    headers = seen(web, "/api/echo", ("X-Trace", "a"), ("x-trace", "b"), ("Empty", ""))["headers"]

    assert headers["x-trace"] == "a,b"
    assert headers["empty"] == ""


@pytest.mark.conforms(
    "HTTP requests",
    "behind a gateway that ends TLS, X-Forwarded-Proto is the scheme of the URL",
    source="host:src/WebJobs.Script.WebHost/WebJobsApplicationBuilderExtension.cs",
)
def test_the_url_is_the_one_that_the_caller_used(web: RunningHost) -> None:
    request = seen(web, "/api/echo/a%20b?x=%20", ("X-Forwarded-Proto", "https"))

    assert request["url"] == f"https://127.0.0.1:{web.port}/api/echo/a%20b?x=%20"


@pytest.mark.parametrize(
    ("method", "target", "status"),
    [
        rule(
            "HTTP routing",
            TRIGGER,
            "a path that meets the constraint of its route is taken",
            "GET",
            "/api/items/7",
            200,
        ),
        rule(
            "HTTP routing",
            ROUTING,
            "a constraint that is not met is a 404",
            "GET",
            "/api/items/seven",
            404,
        ),
        rule(
            "HTTP routing",
            ROUTES,
            "the method is a constraint of the route too: 404, no 405",
            "DELETE",
            "/api/items/7",
            404,
        ),
        rule("HTTP routing", ROUTES, "HEAD is not GET", "HEAD", "/api/items/7", 404),
        rule(
            "HTTP routing", TRIGGER, "the route prefix belongs to the route", "GET", "/items/7", 404
        ),
        rule(
            "HTTP routing",
            ROUTES,
            "no function with such a route is a 404",
            "GET",
            "/api/nowhere",
            404,
        ),
        rule(
            "HTTP routing",
            FAILURE,
            "an unhandled exception is a 500",
            "GET",
            "/api/fail/cause",
            500,
        ),
        rule(
            "HTTP routing", TRIGGER, "the level function wants a key", "GET", "/api/function", 401
        ),
        rule(
            "HTTP routing",
            TRIGGER,
            "a trigger without methods takes all of them",
            "PROPFIND",
            "/api/echo",
            201,
        ),
    ],
)
def test_the_status(web: RunningHost, method: str, target: str, status: int) -> None:
    assert asked(web, method, target)[0] == status


@pytest.mark.conforms("HTTP routing", "a route need not be ASCII", source=ROUTING)
def test_a_route_need_not_be_ascii(web: RunningHost) -> None:
    assert asked(web, "GET", "/api/stra%C3%9Fe/n%C3%B6rdlich") == (200, "nördlich".encode())


@pytest.mark.conforms(
    "HTTP responses",
    '"sniff the object to see if it looks like a response object by convention"',
    source=BINDING,
)
def test_a_text_that_states_a_response_is_one(web: RunningHost) -> None:
    stated = json.dumps({"body": "made", "status": 201, "headers": {"Location": "/7"}})

    answer = web.http.post("/api/said", content=stated)

    assert (answer.status_code, answer.text, answer.headers["location"]) == (201, "made", "/7")
