"""Deliveries over HTTP: to webhooks, and to functions by the webhook of their host."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import httpx

from localcloud.eventgrid.destinations import FUNCTION
from localcloud.eventgrid.events import CLOUD
from localcloud.eventgrid.pace import Outcome, outcome_of
from localcloud.eventgrid.parcels import Parcel, Properties, chosen_properties, properties_of
from localcloud.eventgrid.specs import SubscriptionSpec

ANSWER_WITHIN_S: Final = 30.0
LARGEST_ANSWER: Final = 64 * 1024
LARGEST_HEADER: Final = 4096
SYSTEM_KEY: Final = "eventgrid_extension"


class Http:
    """Requests to subscribers, who are not trusted: no redirects, short answers, a time limit."""

    def __init__(self, within_s: float = ANSWER_WITHIN_S) -> None:
        self._within_s = within_s
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=64)
        self._client = httpx.AsyncClient(timeout=within_s, limits=limits, trust_env=False)

    async def ask(
        self, method: str, url: str, headers: Mapping[str, str], body: str | None = None
    ) -> tuple[int, httpx.Headers, bytes]:
        """Status, headers and the beginning of the answer.

        Raises httpx.HTTPError, TimeoutError, or httpx.InvalidURL.
        """
        request = self._client.build_request(
            method, url, headers=dict(headers), content=body.encode() if body is not None else None
        )
        async with asyncio.timeout(self._within_s):
            answer = await self._client.send(request, stream=True)
            read = b""
            try:
                async for chunk in answer.aiter_raw():
                    read += chunk
                    if len(read) > LARGEST_ANSWER:
                        break
            finally:
                await answer.aclose()
        return answer.status_code, answer.headers, read

    async def close(self) -> None:
        await self._client.aclose()


class FunctionsHost:
    """The address of functions, opened by a system key that the host keeps in a file."""

    def __init__(self, base: str, keys_file: Path | None) -> None:
        self._base, self._keys_file = base.rstrip("/"), keys_file
        self._key: str | None = None

    def url(self, function: str) -> str:
        """Where the function takes events. Raises OSError or ValueError without a key to read."""
        if self._key is None:
            self._key = self._read()
        query = f"functionName={quote(function, safe='')}&code={quote(self._key, safe='')}"
        return f"{self._base}/runtime/webhooks/EventGrid?{query}"

    def forget_key(self) -> None:
        """Read the key again: it opened nothing."""
        self._key = None

    def _read(self) -> str:
        if self._keys_file is None:
            return ""
        stored: Any = json.loads(self._keys_file.read_text("utf-8"))
        try:
            return str(stored["system"][SYSTEM_KEY])
        except (KeyError, TypeError):
            raise ValueError(f"{self._keys_file} has no system key {SYSTEM_KEY}") from None


class WebhookSender:
    """Delivers to one subscription's webhook or function."""

    slots = 16
    """Requests in flight at a time."""

    def __init__(self, spec: SubscriptionSpec, http: Http, host: FunctionsHost | None) -> None:
        self._spec, self._http, self._host = spec, http, host

    @property
    def max_events(self) -> int:
        return self._spec.destination.max_events

    @property
    def max_bytes(self) -> int:
        return self._spec.destination.preferred_bytes

    async def send(self, parcels: Sequence[Parcel]) -> list[Outcome]:
        """One outcome for each; all are the same, because they travel together."""
        try:
            url = self._url()
        except (OSError, ValueError) as error:
            return [_failed("GenericError", error)] * len(parcels)
        body, content_type = self._content(parcels)
        headers = _headers(self._spec, parcels) | {"content-type": content_type}
        try:
            status, _, _ = await self._http.ask("POST", url, headers, body)
        except (TimeoutError, httpx.TimeoutException):
            outcome = Outcome(ok=False, name="TimedOut", detail="no answer in time", at_least_s=10)
        except httpx.ConnectError as error:
            outcome = _failed("SocketError", error)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            outcome = _failed("GenericError", error)
        else:
            outcome = self._outcome(status)
        return [outcome] * len(parcels)

    def _outcome(self, status: int) -> Outcome:
        is_function = self._spec.destination.kind == FUNCTION
        if is_function and status == httpx.codes.UNAUTHORIZED and self._host is not None:
            self._host.forget_key()
        return outcome_of(status, webhook=not is_function)

    def _url(self) -> str:
        destination = self._spec.destination
        if destination.url is not None:
            return destination.url
        assert self._host is not None, "checked when the subscription was made"
        return self._host.url(destination.name)

    def _content(self, parcels: Sequence[Parcel]) -> tuple[str, str]:
        """A CloudEvent travels alone as an object; everything else as an array.

        Source: https://learn.microsoft.com/azure/event-grid/cloud-event-schema
        """
        many = "[" + ",".join(parcel.text for parcel in parcels) + "]"
        if self._spec.schema != CLOUD:
            return many, "application/json; charset=utf-8"
        if self._spec.destination.is_batched:
            return many, "application/cloudevents-batch+json; charset=utf-8"
        return parcels[0].text, "application/cloudevents+json; charset=utf-8"


def _headers(spec: SubscriptionSpec, parcels: Sequence[Parcel]) -> dict[str, str]:
    first = parcels[0]
    facts: Properties = properties_of(spec, first)
    if len(parcels) > 1:
        del facts["aeg-output-event-id"]
    facts |= chosen_properties(spec.destination.attributes, first.event)
    headers: dict[str, str] = {}
    for name, value in facts.items():
        text = value if isinstance(value, str) else json.dumps(value)
        if text.isascii() and text.isprintable() and len(text) <= LARGEST_HEADER:
            headers[name.lower()] = text
    return headers


def _failed(name: str, error: Exception) -> Outcome:
    detail = str(error) or type(error).__name__
    return Outcome(ok=False, name=name, detail=detail[:200], at_least_s=10)
