"""The documented rules of HTTP functions, each quoted, over the wire.

HTTP: learn.microsoft.com/azure/azure-functions/functions-bindings-http-webhook-trigger
ROUTING: learn.microsoft.com/aspnet/core/fundamentals/routing
HOST: github.com/Azure/azure-functions-host, which is what Azure runs
"""

import http.client
import json
from typing import Any

import pytest

from localcloud.tests.functions.running_host import RunningHost


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
        pytest.param("/api/echo", {}, id="ROUTING: an optional parameter may be absent"),
        pytest.param("/api/echo/", {}, id="ROUTING: a slash at the end does not matter"),
        pytest.param("/API/ECHO/Seven", {"rest": "Seven"}, id="ROUTING: matching ignores case"),
        pytest.param("/api/echo/caf%C3%A9", {"rest": "café"}, id="ROUTING: values are decoded"),
        pytest.param("/api/echo/a+b", {"rest": "a+b"}, id="ROUTING: a plus in the path is a plus"),
        pytest.param("/api/echo/a%2520b", {"rest": "a%20b"}, id="ROUTING: decoded once"),
        pytest.param("/api/echo/a%2Fb", {"rest": "a%2Fb"}, id="ROUTING: %2F is not decoded"),
        pytest.param("/api/echo/a%3Fb", {"rest": "a?b"}, id="ROUTING: %3F begins no query"),
        pytest.param("/api/echo/a%23b%25", {"rest": "a#b%"}, id="ROUTING: other signs are"),
    ],
)
def test_route_parameters(web: RunningHost, target: str, route: dict[str, str]) -> None:
    assert seen(web, target)["route"] == route


@pytest.mark.parametrize(
    ("query", "params"),
    [
        pytest.param("a=1&b=2", {"a": "1", "b": "2"}, id="HOST: by name"),
        pytest.param("a=1&a=2", {"a": "1,2"}, id="HOST: repeated names join by comma"),
        pytest.param("a=x+y&b=x%2By", {"a": "x y", "b": "x+y"}, id="HOST: a plus is a blank"),
        pytest.param("a=&b&c=3", {"c": "3"}, id="HOST: empty values are left out"),
        pytest.param("n%C3%A4me=%C3%BC", {"näme": "ü"}, id="HOST: UTF-8 in names and values"),
        pytest.param("a=1;b=2", {"a": "1;b=2"}, id="HOST: a semicolon separates nothing"),
        pytest.param("a=b=c", {"a": "b=c"}, id="HOST: the first equals sign counts"),
    ],
)
def test_query_parameters(web: RunningHost, query: str, params: dict[str, str]) -> None:
    assert seen(web, f"/api/echo?{query}")["query"] == params


def test_headers_are_lower_case_and_repeated_ones_join(web: RunningHost) -> None:
    """HOST: names in lower case; several values of one name are joined by commas."""
    headers = seen(web, "/api/echo", ("X-Trace", "a"), ("x-trace", "b"), ("Empty", ""))["headers"]

    assert headers["x-trace"] == "a,b"
    assert headers["empty"] == ""


def test_the_url_is_the_one_that_the_caller_used(web: RunningHost) -> None:
    """HOST: behind a gateway that ends TLS, `X-Forwarded-Proto` is the scheme."""
    request = seen(web, "/api/echo/a%20b?x=%20", ("X-Forwarded-Proto", "https"))

    assert request["url"] == f"https://127.0.0.1:{web.port}/api/echo/a%20b?x=%20"


@pytest.mark.parametrize(
    ("method", "target", "status"),
    [
        pytest.param("GET", "/api/items/7", 200, id="HTTP: a constraint that holds"),
        pytest.param("GET", "/api/items/seven", 404, id="ROUTING: one that fails is a 404"),
        pytest.param("DELETE", "/api/items/7", 404, id="HOST: the method is a constraint too"),
        pytest.param("HEAD", "/api/items/7", 404, id="HOST: HEAD is not GET"),
        pytest.param("GET", "/items/7", 404, id="HTTP: the route prefix belongs to the route"),
        pytest.param("GET", "/api/nowhere", 404, id="HOST: no function, no answer"),
        pytest.param("GET", "/api/fail/cause", 500, id="HOST: an exception is a 500"),
        pytest.param("GET", "/api/function", 401, id="HTTP: FUNCTION wants a key"),
        pytest.param("PROPFIND", "/api/echo", 201, id="HTTP: without methods, all are taken"),
    ],
)
def test_the_status(web: RunningHost, method: str, target: str, status: int) -> None:
    assert asked(web, method, target)[0] == status


def test_a_route_need_not_be_ascii(web: RunningHost) -> None:
    assert asked(web, "GET", "/api/stra%C3%9Fe/n%C3%B6rdlich") == (200, "nördlich".encode())


FORM = ("Content-Type", "application/x-www-form-urlencoded")
MULTIPART = ("Content-Type", "multipart/form-data; boundary=cut")
PARTS = (
    b'--cut\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n'
    b'--cut\r\nContent-Disposition: form-data; name="f"; filename="f.bin"\r\n\r\n'
    b"\x00\xff\r\n--cut--"
)


@pytest.mark.parametrize(
    ("kind", "body", "fields", "files"),
    [
        pytest.param(FORM, b"a=1&b=x+y", {"a": "1", "b": "x y"}, {}, id="urlencoded"),
        pytest.param(FORM, b"", {}, {}, id="empty"),
        pytest.param(MULTIPART, PARTS, {"a": "1"}, {"f": "00ff"}, id="multipart with a file"),
    ],
)
def test_forms_arrive_whole(
    web: RunningHost,
    kind: tuple[str, str],
    body: bytes,
    fields: dict[str, str],
    files: dict[str, str],
) -> None:
    _, answer = asked(web, "POST", "/api/form", kind, body=body)

    assert json.loads(answer) == {"form": fields, "files": files}


def test_a_text_that_states_a_response_is_one(web: RunningHost) -> None:
    """HOST: "sniff the object to see if it looks like a response object by convention"."""
    stated = json.dumps({"body": "made", "status": 201, "headers": {"Location": "/7"}})

    answer = web.http.post("/api/said", content=stated)

    assert (answer.status_code, answer.text, answer.headers["location"]) == (201, "made", "/7")
