"""Event Grid triggers: the webhook to which Event Grid delivers events.

`/runtime/webhooks/EventGrid?functionName=<name>&code=<system key>`; the header `aeg-event-type`
says what a request is.
"""

import asyncio
import json
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import parse_qs

from localcloud.functions.catalogue import Function
from localcloud.functions.execution import Executor, Outcome
from localcloud.functions.inputs import Inputs
from localcloud.functions.keys import is_one_of
from localcloud.functions.logs import host_log
from localcloud.functions.protos import TypedData
from localcloud.functions.responses import Headers
from localcloud.functions.tracing import trace_context

Answer = tuple[int, Headers, bytes]


class EventGridDelivery:
    """The way of an event into one function."""

    def __init__(self, function: Function, executor: Executor, inputs: Inputs) -> None:
        self.function = function
        self._executor, self._inputs = executor, inputs

    async def one(self, event: Any) -> Outcome:
        """Run the function on an event, of Event Grid's own schema or a CloudEvent."""
        given = event if isinstance(event, dict) else {}
        return await self._executor.execute(
            self.function,
            self._inputs.of(self.function, TypedData(json=json.dumps(event))),
            trace=trace_context(given.get("traceparent"), given.get("tracestate")),
            reason=f"Event Grid event {given.get('id', '')}",
        )

    async def by_hand(self, text: str) -> Outcome:
        """Run the function on the event that `text` is the JSON of."""
        try:
            event = json.loads(text)
        except ValueError as error:
            host_log.error("'Functions.%s' cannot run: %s", self.function.name, error)
            return Outcome(ok=False, error=str(error))
        return await self.one(event)


class EventGridWebhook:
    """Answers what Event Grid sends."""

    def __init__(
        self,
        functions: Sequence[Function],
        *,
        executor: Executor,
        inputs: Inputs,
        keys: Sequence[str],
    ) -> None:
        """`keys` are those that open it; without any it is open to everybody."""
        self._keys = keys
        self.by_name = {
            function.name.lower(): EventGridDelivery(function, executor, inputs)
            for function in functions
            if not function.disabled
        }

    async def answer(
        self, method: str, headers: Mapping[str, str], query: str, body: bytes
    ) -> Answer:
        """Answer one request.

        400 for what is neither a validation, nor events, nor an unsubscription; 401 for a wrong
        key; 404 for a function that is not there; 500 if a function failed on one of the events,
        all of which run side by side.
        """
        asked = {key.lower(): values[0] for key, values in parse_qs(query).items()}
        if not self._is_allowed(asked.get("code", "") or headers.get("x-functions-key", "")):
            return 401, [], b""
        name = asked.get("functionname", "")
        delivery = self.by_name.get(name.lower())
        if delivery is None:
            return 404, [], f"cannot find function: '{name}'".encode()
        if method == "OPTIONS":
            return _allowance(headers)
        if method != "POST":
            return 400, [], b""
        try:
            return await _answer(delivery, headers.get("aeg-event-type", "").lower(), body)
        except (ValueError, KeyError, TypeError, IndexError) as error:
            return 400, [], str(error).encode()

    def _is_allowed(self, given: str) -> bool:
        if not self._keys:
            return True
        return is_one_of(given, self._keys)


async def _answer(delivery: EventGridDelivery, kind: str, body: bytes) -> Answer:
    if kind == "subscriptionvalidation":
        text = json.dumps({"validationResponse": _validation_code(json.loads(body))})
        return 200, [(b"content-type", b"application/json")], text.encode()
    if kind == "unsubscribe":
        return 202, [], b""
    if kind != "notification":
        return 400, [], b""
    given = json.loads(body)
    events = given if isinstance(given, list) else [given]
    outcomes = await asyncio.gather(*map(delivery.one, events))
    failures = [outcome.error for outcome in outcomes if not outcome.ok]
    return (500, [], failures[0].encode()) if failures else (202, [], b"")


def _validation_code(given: Any) -> str:
    """Of a list of one event, or of a CloudEvent, whose data is JSON within JSON."""
    data = (given[0] if isinstance(given, list) else given)["data"]
    return str((json.loads(data) if isinstance(data, str) else data)["validationCode"])


def _allowance(headers: Mapping[str, str]) -> Answer:
    """How an endpoint of CloudEvents says that it wants them: their webhook specification, 4."""
    origin = headers.get("webhook-request-origin", "")
    if not origin:
        return 400, [], b""
    return (
        200,
        [
            (b"webhook-allowed-origin", origin.encode("latin-1")),
            (b"webhook-allowed-rate", b"*"),
        ],
        b"",
    )
