"""The way to the backends over pooled HTTP connections."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Self

import aiohttp
from yarl import URL

from localcloud.gateway.bodies import BUFFERED_MAX, RequestBody
from localcloud.gateway.hops import from_backend, to_backend
from localcloud.gateway.policy.context import Context, Response
from localcloud.gateway.policy.faults import Refusal
from localcloud.gateway.sockets import handshake

CONNECTIONS_MAX = 2048
"""Azure's bound on concurrent connections to a backend (gateway runtime limits)."""
WHOLE_MAX = 256 * 1024
"""Answers up to this length are read at once; longer ones, and endless ones, are passed on."""
_KEPT_S = 4.0
"""Less than any backend of ours keeps an idle connection, so that it is we who close it."""
_CONNECT_S = 5.0
_STATUSES = range(200, 600)
_EMPTY = frozenset({204, 304})
_OWN = ("User-Agent", "Accept", "Accept-Encoding", "Content-Type")


class Backends:
    """Every backend's connections. Use as an async context manager."""

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=0, limit_per_host=CONNECTIONS_MAX, keepalive_timeout=_KEPT_S, ttl_dns_cache=60
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            skip_auto_headers=_OWN,
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_S),
            trust_env=False,
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            await self._session.close()

    async def forward(self, context: Context, *, timeout_s: float, buffer_body: bool) -> Response:
        """The backend's answer as soon as its headers are there; redirects are not followed.

        Raises Refusal: Timeout, BackendConnectionFailure, and what is wrong with the body.
        """
        if context.api is not None and context.api.kind == "websocket":
            return await handshake(context, timeout_s)
        try:
            async with asyncio.timeout(timeout_s):
                return await self._exchange(context, buffer_body=buffer_body)
        except TimeoutError as fault:
            raise Refusal(source="forward-request", reason="Timeout", message="") from fault
        except aiohttp.ClientError as fault:
            if (refusal := getattr(context.request.body, "fault", None)) is not None:
                raise refusal from fault
            raise Refusal(
                source="forward-request", reason="BackendConnectionFailure", message=str(fault)
            ) from fault

    async def fetch(self, url: str) -> bytes:
        """The document at `url`, at most 256 KiB. OSError on any failure."""
        try:
            async with (
                asyncio.timeout(_CONNECT_S),
                self._open().get(url, allow_redirects=False) as answer,
            ):
                body = await answer.content.read(WHOLE_MAX + 1)
                while len(body) <= WHOLE_MAX and not answer.content.at_eof():
                    body += await answer.content.read(WHOLE_MAX + 1 - len(body))
                status = answer.status
        except (aiohttp.ClientError, TimeoutError, ValueError) as fault:
            raise OSError(f"{url} cannot be fetched: {fault}") from fault
        if status != 200 or len(body) > WHOLE_MAX:  # noqa: PLR2004 - the code for success
            raise OSError(f"{url} answered {status} with {len(body)} bytes")
        return body

    async def get_json(self, url: str, headers: dict[str, str]) -> tuple[int, Any]:
        """Status and parsed JSON of an answer. OSError on any failure."""
        try:
            async with (
                asyncio.timeout(_CONNECT_S),
                self._open().get(url, headers=headers, allow_redirects=False) as answer,
            ):
                return answer.status, await answer.json(content_type=None)
        except (aiohttp.ClientError, TimeoutError, ValueError) as fault:
            raise OSError(f"{url} cannot be fetched: {fault}") from fault

    def _open(self) -> aiohttp.ClientSession:
        assert self._session is not None, "enter it first"
        return self._session

    async def _exchange(self, context: Context, *, buffer_body: bool) -> Response:
        request = context.request
        address = context.backend_url + request.path
        if request.query:
            address = f"{address}?{request.query}"
        headers = to_backend(request.headers, request.ip)
        answer = await self._open().request(
            request.method,
            URL(address, encoded=True),
            data=await _body(request.body, headers, buffered=buffer_body),
            headers=headers,
            allow_redirects=False,
        )
        try:
            return await _response(request.method, answer)
        except BaseException:
            answer.close()
            raise


async def _body(
    body: Any, headers: list[tuple[str, str]], *, buffered: bool
) -> bytes | AsyncIterator[bytes] | None:
    """What is sent: the bytes if they are at hand or small, or else the stream."""
    assert isinstance(body, RequestBody)
    if body.whole is None and (buffered or (body.length is not None and body.length <= WHOLE_MAX)):
        await body.read(BUFFERED_MAX)
    if body.whole is not None:
        return body.whole or None
    if body.length is not None:
        headers.append(("Content-Length", str(body.length)))
    return body.stream()


async def _response(method: str, answer: aiohttp.ClientResponse) -> Response:
    if answer.status not in _STATUSES:
        raise aiohttp.ClientError(f"the backend answered with the status {answer.status}")
    headers = from_backend(answer.raw_headers)
    length = answer.content_length
    if method == "HEAD" or answer.status in _EMPTY:
        answer.release()
        return Response(answer.status, headers, b"", answer.reason or "")
    if length is not None and length <= WHOLE_MAX:
        body = await answer.read()
        return Response(answer.status, headers, body, answer.reason or "")
    return Response(
        answer.status, headers, _parts(answer), answer.reason or "", close=_closer(answer)
    )


async def _parts(answer: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    """The body as it comes; aiohttp.ClientError when it breaks off."""
    async for part in answer.content.iter_any():
        yield part


def _closer(answer: aiohttp.ClientResponse) -> Callable[[], Awaitable[None]]:
    async def close() -> None:
        answer.close()

    return close
