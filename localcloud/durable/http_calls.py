"""Makes the HTTP requests of call_http, and asks again while the answer is 202."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

from localcloud.durable import events
from localcloud.durable.answer import compact, storable
from localcloud.durable.invocation import Invocation

if TYPE_CHECKING:
    import httpx

HTTP_ACTIVITY = "BuiltIn::HttpActivity"
"""The name under which history shows a call_http."""

_TIMEOUT_S = 100.0
"""As .NET's client has it."""

_POLLED = "pollUri"
"""Added to a request that was answered with 202: where its outcome is to be had."""

# .NET keeps these apart from the response's own headers, and Azure leaves them out.
_OF_THE_CONTENT = frozenset(
    {
        "allow",
        "content-disposition",
        "content-encoding",
        "content-language",
        "content-length",
        "content-location",
        "content-md5",
        "content-range",
        "content-type",
        "expires",
        "last-modified",
    }
)


@dataclass(frozen=True, slots=True)
class Later:
    """Ask again after `delay_s`, with `input` in place of the task's own."""

    input: str
    delay_s: float


class HttpCalls:
    """The client for all call_http of this host; connects only when it is needed."""

    def __init__(self, poll_s: float) -> None:
        """`poll_s` is the pause before asking again, for answers without Retry-After."""
        self._poll_s = poll_s
        self._client: httpx.AsyncClient | None = None

    async def close(self) -> None:
        """Close the connections."""
        if self._client is not None:
            await self._client.aclose()

    async def call(self, input_: str) -> Invocation | Later:
        """Make the request in `input_`, the JSON array of an activity's argument.

        A response is a success whatever its status; a failure is a request that got none.
        """
        import httpx  # noqa: PLC0415 - slow to load, and most apps do without it

        (request,) = json.loads(input_)
        if request.get("tokenSource"):
            return _failed("the local cloud has no managed identity to call with")
        if self._client is None:
            self._client = httpx.AsyncClient(
                timeout=_TIMEOUT_S, follow_redirects=True, trust_env=False
            )
        try:
            response = await self._client.send(self._request(self._client, request))
        except (httpx.HTTPError, httpx.InvalidURL, ValueError, TypeError) as problem:
            return _failed(str(problem) or type(problem).__name__)
        location = response.headers.get("location")
        if response.status_code == httpx.codes.ACCEPTED and location:
            uri = str(response.url.join(location))
            return Later(json.dumps([request | {_POLLED: uri}]), self._pause_s(response.headers))
        return Invocation(ok=True, value=compact(_shape(response)))

    def _request(self, client: "httpx.AsyncClient", request: Mapping[str, Any]) -> "httpx.Request":
        headers = {name: str(value) for name, value in (request.get("headers") or {}).items()}
        if (polled := request.get(_POLLED)) is not None:
            return client.build_request("GET", polled, headers=headers)
        content = request.get("content")
        if content is None:
            return client.build_request(request["method"], request["uri"], headers=headers)
        if not any(name.casefold() == "content-type" for name in headers):
            headers["Content-Type"] = "text/plain; charset=utf-8"
        return client.build_request(
            request["method"], request["uri"], headers=headers, content=content.encode()
        )

    def _pause_s(self, headers: Mapping[str, str]) -> float:
        wanted = headers.get("retry-after")
        if wanted is None:
            return self._poll_s
        if wanted.isdecimal():
            return float(wanted)
        try:
            at = parsedate_to_datetime(wanted)
        except ValueError:
            return self._poll_s
        at = at if at.tzinfo else at.replace(tzinfo=UTC)
        return max(0.0, _seconds_until(at))


def _seconds_until(at: datetime) -> float:
    return (at - events.now()).total_seconds()


def _failed(reason: str) -> Invocation:
    return Invocation(ok=False, error=storable(reason), details="")


def _shape(response: "httpx.Response") -> dict[str, Any]:
    headers: dict[str, Any] = {}
    for name in response.headers:
        if name not in _OF_THE_CONTENT:
            values = response.headers.get_list(name)
            headers[name] = values[0] if len(values) == 1 else values
    return {
        "statusCode": response.status_code,
        "headers": headers,
        "content": storable(response.text),
    }
