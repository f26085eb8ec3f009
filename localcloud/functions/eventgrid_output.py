"""Event Grid outputs: events for a custom topic."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from localcloud.functions.catalogue import Binding, Function
from localcloud.functions.errors import StartRefused
from localcloud.functions.expressions import Facts
from localcloud.functions.protos import TypedData

if TYPE_CHECKING:
    from aiohttp import ClientSession

_VERSION = "2018-01-01"
_TIMEOUT_S = 30
_PAUSES_S = (0.2, 0.8)
_FAULTS = frozenset({408, 429, 500, 502, 503, 504})


class EventGridOutput:
    """Posts events to topics. See `outputs.Destination`."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self._session: ClientSession | None = None

    def check(self, output: Binding, function: Function) -> None:
        """StartRefused when the endpoint or the key of its topic is not set."""
        self._topic(output, function)

    async def send(
        self, output: Binding, function: Function, value: TypedData, _facts: Facts
    ) -> None:
        """Post one event, or those of a list together. Raises when the topic does not take them."""
        events = _events_of(value)
        if not events:
            return
        url, key = self._topic(output, function)
        kind = "application/json"
        if "specversion" in events[0]:
            kind = "application/cloudevents-batch+json"
        headers = {"aeg-sas-key": key, "content-type": f"{kind}; charset=utf-8"}
        await self._post(url, headers, json.dumps(events).encode())

    async def _post(self, url: str, headers: Mapping[str, str], body: bytes) -> None:
        import aiohttp  # noqa: PLC0415 - for those alone who need it

        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=_TIMEOUT_S))
        for pause_s in (*_PAUSES_S, None):
            try:
                async with self._session.post(
                    url, params={"api-version": _VERSION}, headers=headers, data=body
                ) as answer:
                    if answer.ok:
                        return
                    if pause_s is None or answer.status not in _FAULTS:
                        text = (await answer.text())[:200]
                        raise ValueError(f"the topic answered {answer.status}: {text}")
            except (aiohttp.ClientError, TimeoutError):
                if pause_s is None:
                    raise
            await asyncio.sleep(pause_s)

    def _topic(self, output: Binding, function: Function) -> tuple[str, str]:
        """The endpoint and the key of the topic; the binding names the settings that hold them."""
        if output.connection:
            raise StartRefused(
                f"function {function.name!r}: the output {output.name!r} asks for an identity by"
                " its connection, which is not offered here; topicEndpointUri and topicKeySetting"
                " are"
            )
        values = []
        for field in ("topicEndpointUri", "topicKeySetting"):
            setting = str(output.fields.get(field) or "")
            value = self._environ.get(setting, "")
            if not setting or not value:
                raise StartRefused(
                    f"function {function.name!r}: the output {output.name!r} needs the setting that"
                    f" its {field} names, and {setting!r} is not set"
                )
            values.append(value)
        return values[0], values[1]

    async def close(self) -> None:
        """Hang up."""
        if self._session is not None:
            await self._session.close()


def _events_of(value: TypedData) -> Sequence[Mapping[str, Any]]:
    """The events in a JSON text, bytes or list. ValueError for what is no JSON object."""
    given = json.loads(value.value)
    events = [
        json.loads(item) if isinstance(item, str) else item
        for item in (given if isinstance(given, list) else [given])
    ]
    if not all(isinstance(event, dict) for event in events):
        raise ValueError("an event is a JSON object")
    return events
