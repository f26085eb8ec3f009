"""Requests that are too large, over the wire."""

import re
import socket
from pathlib import Path

import httpx
import pytest

from localcloud.functions.bounds import BODY_LIMIT, body_limit
from localcloud.tests.functions.running_host import APPS, RunningHost, running

KESTREL = "aspnet:src/Servers/Kestrel/Core/src/KestrelServerLimits.cs"
STATUS = "aspnet:src/Servers/Kestrel/Core/src/BadHttpRequestException.cs"


def answered(host: RunningHost, *pieces: bytes) -> list[int]:
    """The statuses of all answers to what is sent as it stands, until the host hangs up."""
    said = b""
    with socket.create_connection(("127.0.0.1", host.port), timeout=10) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for piece in pieces:
            try:
                connection.sendall(piece)
            except OSError:
                break
        while part := _received(connection):
            said += part
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3}) ", said)]


def _received(connection: socket.socket) -> bytes:
    try:
        return connection.recv(65_536)
    except ConnectionResetError:
        return b""


def with_headers(*headers: bytes) -> bytes:
    lines = [b"GET /api/text HTTP/1.1", b"Host: shop", b"Connection: close", *headers]
    return b"\r\n".join([*lines, b"", b""])


def line_of(length: int) -> bytes:
    """A request whose first line is `length` bytes long."""
    rest = len(b"GET /api/text?a= HTTP/1.1\r\n")
    return with_headers().replace(b"/api/text", b"/api/text?a=" + b"x" * (length - rest))


def headers_of(total: int) -> bytes:
    """A request whose header lines are `total` bytes long together."""
    own = len(b"Host: shop\r\nConnection: close\r\n")
    return with_headers(b"A: " + b"x" * (total - own - len(b"A: \r\n")))


@pytest.mark.conforms(
    "Limits of HTTP", "MaxRequestLineSize: 8,192 bytes, beyond it 414", source=KESTREL
)
def test_a_long_line_is_a_414(web: RunningHost) -> None:
    assert answered(web, line_of(8192)) == [200]
    assert answered(web, line_of(8193)) == [414]


@pytest.mark.conforms(
    "Limits of HTTP",
    'MaxRequestHeadersTotalSize "Defaults to 32,768 bytes (32 KB)", beyond it 431',
    source="learn:dotnet/api/microsoft.aspnetcore.server.kestrel.core.kestrelserverlimits.maxrequestheaderstotalsize",
)
def test_large_headers_are_a_431(web: RunningHost) -> None:
    assert answered(web, headers_of(32_768)) == [200]
    assert answered(web, headers_of(32_769)) == [431]


@pytest.mark.conforms("Limits of HTTP", "MaxRequestHeaderCount: 100, beyond it 431", source=KESTREL)
def test_many_headers_are_a_431(web: RunningHost) -> None:
    assert answered(web, with_headers(*[b"A: b"] * 98)) == [200]
    assert answered(web, with_headers(*[b"A: b"] * 99)) == [431]


def test_a_head_that_never_ends_is_a_431(web: RunningHost) -> None:
    endless = [b"GET /api/text HTTP/1.1\r\nA: ", *[b"x" * 65_536] * 32]

    assert answered(web, *endless) == [431]


def test_blank_lines_without_end_are_hung_up_on(web: RunningHost) -> None:
    assert answered(web, *[b"\r\n" * 32_768] * 32) == [431]


def test_a_large_body_does_not_count_for_the_next_head(web: RunningHost) -> None:
    body = b"x" * 100_000
    first = b"POST /api/sync HTTP/1.1\r\nHost: shop\r\nContent-Length: %d\r\n\r\n" % len(body)
    second = with_headers()

    assert answered(web, first + body, second[:20], second[20:]) == [200, 200]


@pytest.mark.conforms("Limits of HTTP", "what is no HTTP is a 400", source=STATUS)
def test_no_http_is_a_400(web: RunningHost) -> None:
    assert answered(web, b"nonsense\r\n\r\n") == [400]
    assert answered(web, with_headers(b"Content-Length: -5")) == [400]


@pytest.mark.conforms(
    "Limits of HTTP",
    "a body of 104857600 bytes at most; FUNCTIONS_REQUEST_BODY_SIZE_LIMIT says another size",
    source="learn:azure/azure-functions/functions-app-settings#functions_request_body_size_limit",
)
def test_a_large_body_is_a_413(tmp_path: Path) -> None:
    assert body_limit({}) == body_limit({"FUNCTIONS_REQUEST_BODY_SIZE_LIMIT": "a lot"})
    assert body_limit({}) == BODY_LIMIT == 104_857_600
    env = {"FUNCTIONS_REQUEST_BODY_SIZE_LIMIT": "1000"}
    with running(APPS / "web", tmp_path, env=env) as host:
        url = f"{host.http.base_url}/api/sync"
        assert httpx.post(url, content=b"x" * 1000).content == b"x" * 1000
        assert httpx.post(url, content=b"x" * 1001).status_code == 413
        assert httpx.post(url, content=iter([b"x" * 600] * 2)).status_code == 413
        assert "Executed 'Functions.sync' (Failed" not in host.log
