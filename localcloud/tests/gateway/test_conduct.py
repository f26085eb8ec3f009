"""The gateway as an HTTP server: what two readers could understand differently goes no further."""

import asyncio
import json
from typing import Any

import httpx
import pytest

from localcloud.tests.gateway.rig import WITHIN_S, Rig

AT = "/external-api/v1/at"
PATH = b"/external-api/v1/at/x"
SOCKET_KEY = b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"


def head_of(answer: bytes) -> tuple[int, dict[str, str], bytes]:
    """Status, headers by lower-case name, and what follows."""
    head, _, body = answer.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    pairs = (line.partition(": ") for line in lines)
    return int(first.split(" ")[1]), {name.lower(): value for name, _, value in pairs}, body


def seen(answer: bytes) -> dict[str, Any]:
    """What the backend says it was sent."""
    status, _, body = head_of(answer)
    assert status == 200, answer
    found: dict[str, Any] = json.loads(body)
    return found


@pytest.mark.conforms(
    "HTTP", "Lengths that contradict each other are an error", source="rfc:9112#section-6.3"
)
@pytest.mark.parametrize(
    "fields",
    [
        b"Content-Length: 5\r\nContent-Length: 6",
        b"Content-Length: 5\r\nContent-Length: 5",
        b"Content-Length: 5, 5",
        b"Content-Length: +5",
        b"Content-Length: -5",
        b"Content-Length: 0x5",
        b"Content-Length: 5\r\nTransfer-Encoding: chunked",
        b"Transfer-Encoding: chunked\r\nContent-Length: 5",
        b"Transfer-Encoding: chunked, identity",
        b"Transfer-Encoding: identity",
        b"Transfer-Encoding: xchunked",
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        b"Transfer-Encoding : chunked",
        b"Transfer-Encoding:\x0bchunked",
        b" Transfer-Encoding: chunked",
        b"X: y\r\n Transfer-Encoding: chunked",
        b"Content Length: 5",
        b"X\x00Y: 1",
        b"X: a\x00b",
        b"X: a\rb",
        b": empty",
        b"Upgrade: h2c\r\nConnection: Upgrade\r\nContent-Length: 5",
    ],
)
async def test_a_request_with_two_readings_is_refused_and_the_line_cut(
    rig: Rig, fields: bytes
) -> None:
    before = rig.backend.requests
    hidden = b"GET " + PATH + b" HTTP/1.1\r\nHost: h\r\n\r\n"
    answer = await rig.raw(
        b"POST " + PATH + b" HTTP/1.1\r\nHost: h\r\n" + fields + b"\r\n\r\n0\r\n\r\n" + hidden
    )
    status, headers, _ = head_of(answer)
    assert status == 400
    assert headers["connection"] == "close"
    assert answer.count(b"HTTP/1.1 ") == 1
    assert rig.backend.requests == before


@pytest.mark.parametrize(
    "line",
    [
        b"GET " + PATH + b" HTTP/1.1 x",
        b"GET " + PATH + b" HTTP/2.0",
        b"GET " + PATH + b" HTTP/11",
        b"get " + PATH + b" HTTP/1.1",
        b"GET " + PATH + b"\xff HTTP/1.1",
        b"GET\t" + PATH + b" HTTP/1.1",
        b"BREW " + PATH + b" HTTP/1.1",
        b"CONNECT example.org:443 HTTP/1.1",
        b"GET * HTTP/1.1",
        b"PRI * HTTP/2.0",
        b"GET example.org HTTP/1.1",
        b"\x16\x03\x01\x02\x00\x01",
    ],
)
async def test_what_is_no_request_line_is_refused(rig: Rig, line: bytes) -> None:
    status, headers, body = head_of(await rig.raw(line + b"\r\nHost: h\r\n\r\n"))
    assert status == 400
    assert headers["content-type"] == "application/problem+json"
    problem = json.loads(body)
    assert (problem["status"], problem["code"]) == (400, "bad-request")
    assert problem["correlation_id"] == headers["x-correlation-id"]


@pytest.mark.conforms(
    "HTTP",
    "A server MUST respond with 400 to a request that lacks a Host field or has several",
    source="rfc:9112#section-3.2",
)
@pytest.mark.parametrize("hosts", [b"", b"Host: a\r\nHost: b\r\n", b"Host: a\r\nhost: a\r\n"])
async def test_a_request_names_one_host(rig: Rig, hosts: bytes) -> None:
    status, headers, _ = head_of(await rig.raw(b"GET " + PATH + b" HTTP/1.1\r\n" + hosts + b"\r\n"))
    assert (status, headers["x-reason"]) == (400, "request/BadRequest")


@pytest.mark.conforms(
    "HTTP",
    "A server MUST accept the absolute form, and ignore Host then",
    source="rfc:9112#section-3.2.2",
)
async def test_a_target_in_absolute_form_is_read_as_its_path(rig: Rig) -> None:
    answer = await rig.raw(
        b"GET http://shop.example:8080" + PATH + b"?q=1 HTTP/1.1\r\nHost: other\r\n\r\n",
        until_closed=False,
    )
    assert seen(answer)["target"] == "/api/v1/at/x?q=1"


@pytest.mark.parametrize("target", ["/../internal-api/v1/at/x", "/%2e%2e/x", "/a%2Fb", "/a%5cb"])
async def test_a_path_with_two_readings_goes_no_further(rig: Rig, target: str) -> None:
    before = rig.backend.requests
    request = f"GET {AT}{target} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"
    status, headers, _ = head_of(await rig.raw(request.encode()))
    assert (status, headers["x-reason"]) == (400, "request/BadRequest")
    assert rig.backend.requests == before


async def test_what_the_other_port_shows_is_not_found(rig: Rig) -> None:
    base = f"http://127.0.0.1:{rig.gateway.internal_port}"
    async with httpx.AsyncClient(base_url=base, timeout=30, trust_env=False) as internal:
        assert (await internal.get("/internal-api/v1/at/x")).status_code == 200
        assert (await internal.get(f"{AT}/x")).status_code == 404
    assert (await rig.http.get("/internal-api/v1/at/x")).status_code == 404


async def test_a_path_that_no_operation_has_is_not_found(rig: Rig) -> None:
    for path in ("/", "/external-api", "/external-api/v1", "/external-api/v2/at/x", f"{AT}/x/"):
        answer = await rig.http.get(path)
        assert answer.status_code == 404, path
        assert answer.headers["x-reason"] == "configuration/OperationNotFound"


async def test_a_method_that_no_operation_has_is_told_the_others(rig: Rig) -> None:
    for method in ("PATCH", "OPTIONS", "TRACE"):
        answer = await rig.http.request(method, f"{AT}/x")
        assert answer.status_code == 405
        assert answer.headers["x-reason"] == "configuration/MethodNotAllowed"
        assert answer.headers["allow"] == "DELETE, GET, HEAD, POST, PUT"


async def test_headers_may_have_24_kib_and_90_lines(rig: Rig) -> None:
    assert (await rig.http.get(f"{AT}/x", headers={"X": "v" * 20_000})).status_code == 200
    many = [(f"X-{number}", "v") for number in range(90)]
    for headers in ([("X", "v" * 25_000)], many):
        answer = await rig.http.get(f"{AT}/x", headers=headers)
        assert answer.status_code == 431
        assert answer.headers["x-reason"] == "request/HeadersTooLarge"
        assert answer.headers["connection"] == "close"


async def test_a_head_without_an_end_is_cut_short(rig: Rig) -> None:
    status, _, body = head_of(
        await rig.raw(b"GET " + PATH + b" HTTP/1.1\r\nHost: h\r\nX: " + b"v" * 120_000)
    )
    assert (status, json.loads(body)["code"]) == (431, "headers-too-large")


async def test_a_url_beyond_azures_bounds_is_too_long(rig: Rig) -> None:
    assert (await rig.http.get(f"{AT}/x?q={'a' * 2046}")).status_code == 200
    for path in (f"{AT}/x?q={'a' * 2047}", f"{AT}/{'a' * 1025}"):
        answer = await rig.http.get(path)
        assert (answer.status_code, answer.headers["x-reason"]) == (414, "request/UriTooLong")


@pytest.mark.conforms(
    "HTTP",
    "Who answers without asking for the body closes the connection or reads it",
    source="rfc:9110#section-10.1.1",
)
async def test_a_body_that_is_not_wanted_is_not_asked_for(rig: Rig) -> None:
    waiting = b"HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n"
    status, headers, _ = head_of(await rig.raw(b"POST /external-api/v1/nowhere " + waiting))
    assert (status, headers["connection"]) == (404, "close")


async def test_a_body_that_is_wanted_is_asked_for(rig: Rig) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", rig.gateway.port)
    async with asyncio.timeout(WITHIN_S):
        writer.write(b"POST " + PATH + b" HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\n")
        writer.write(b"Content-Length: 5\r\n\r\n")
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(b"12345")
        assert (await reader.readline()).startswith(b"HTTP/1.1 200 ")
    writer.close()
    await writer.wait_closed()


async def test_requests_that_follow_each_other_closely_are_answered_in_order(rig: Rig) -> None:
    request = b"GET " + PATH + b"/%d HTTP/1.1\r\nHost: h\r\n"
    answer = await rig.raw(
        request % 1 + b"\r\n" + request % 2 + b"\r\n" + request % 3 + b"Connection: close\r\n\r\n"
    )
    assert [answer.find(b"/at/x/%d" % number) for number in (1, 2, 3)] == sorted(
        answer.find(b"/at/x/%d" % number) for number in (1, 2, 3)
    )
    assert answer.count(b"HTTP/1.1 200 ") == 3


@pytest.mark.parametrize(
    "fields",
    [
        b"Upgrade: websocket\r\nConnection: Upgrade\r\n" + SOCKET_KEY,
        b"Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMA\r\n",
    ],
)
async def test_another_protocol_is_not_begun_where_http_is_spoken(rig: Rig, fields: bytes) -> None:
    answer = await rig.raw(b"GET " + PATH + b" HTTP/1.1\r\nHost: h\r\n" + fields + b"\r\n")
    headers = dict(seen(answer)["headers"])
    assert {"upgrade", "connection", "sec-websocket-key"} & headers.keys() <= {"sec-websocket-key"}


async def test_http_where_a_websocket_is_spoken_is_told_so(rig: Rig) -> None:
    answer = await rig.http.get("/external-api/v1/socket")
    assert (answer.status_code, answer.headers["upgrade"]) == (426, "websocket")
    assert answer.headers["x-reason"] == "request/UpgradeRequired"


async def test_a_request_beyond_its_description_goes_no_further(rig: Rig) -> None:
    before = rig.backend.requests
    post = rig.http.post
    path = "/external-api/v1/checked"
    assert (await post(f"{path}?n=x", json={"text": "a"})).status_code == 400
    assert (await post(f"{path}?m=1", json={"text": "a"})).status_code == 400
    assert (await post(path, json={"text": 5})).status_code == 400
    assert (await post(path, content=b"{", headers={"content-type": "application/json"})).is_error
    assert (await post(path, content=b"a", headers={"content-type": "text/xml"})).is_error
    assert (await post(path, json={"text": "a" * 102_401})).status_code == 400
    assert rig.backend.requests == before
    answer = await post(f"{path}?n=5", json={"text": "a"})
    assert answer.json()["target"] == "/api/v1/checked?n=5"
    assert answer.json()["length"] == len(b'{"text":"a"}')


async def test_the_log_says_which_operation_and_nothing_that_was_sent(rig: Rig) -> None:
    secret = "alice@example.com"
    correlation = "3a6a2f10-7d6c-4a52-8f04-000000000001"
    answer = await rig.http.get(
        f"{AT}/{secret}?email={secret}",
        headers={"X-Correlation-Id": correlation, "User-Agent": secret, "Authorization": secret},
    )
    assert answer.status_code == 200
    line = rig.gateway.logged(correlation)
    assert " INFO gateway external-v1 look_at 200 " in line
    await rig.http.get(f"/external-api/v1/{secret}", headers={"X-Correlation-Id": secret})
    rig.gateway.logged("external-v1 - 404 ")
    assert "alice" not in rig.gateway.log.read_text("utf-8")


async def test_health_says_that_it_serves(rig: Rig) -> None:
    answer = await rig.http.get("/health")
    assert (answer.status_code, answer.json()) == (200, {"status": "healthy"})
    assert (await rig.http.head("/health")).status_code == 200
    assert (await rig.http.post("/health")).status_code == 404


async def test_the_documentation_is_a_page_whose_people_sign_in_locally(rig: Rig) -> None:
    answer = await rig.http.get("/external-api/docs/")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/html")
    moved = await rig.http.get("/external-api/docs")
    assert (moved.status_code, moved.headers["location"]) == (308, "/external-api/docs/")
    document = await rig.http.get("/external-api/docs/v1/openapi.json")
    assert document.json()["info"] == {"title": "External", "version": "1.0.0"}
    sign_in = document.json()["externalDocs"]["url"]
    assert sign_in == f"{rig.backend.url}/22222222-2222-4222-8222-222222222222/oauth2/v2.0"
    assert (await rig.http.get("/external-api/docs/../x")).status_code == 404
    assert (await rig.http.get("/internal-api/docs/")).status_code == 404


async def test_an_answer_that_is_no_http_is_a_failure_of_the_backend(rig: Rig) -> None:
    answer = await rig.http.get(f"{AT}/odd")
    assert answer.headers["x-reason"] == "forward-request/BackendConnectionFailure"
