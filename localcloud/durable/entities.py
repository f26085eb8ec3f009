"""Runs the operations of entities, one after the other, each once it is committed."""

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from localcloud.durable import events
from localcloud.durable.answer import storable
from localcloud.durable.invocation import Invocation, Invoker
from localcloud.durable.outcome import Message, outbound, unknown_function
from localcloud.durable.turn import Turn

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Operated:
    """What operations made of an entity: its state, JSON text, empty when it does not exist; the
    messages that are done with, and the answers to send.
    """

    state: str
    consumed: list[int] = field(default_factory=list)
    answers: list[Message] = field(default_factory=list)

    def sent(self) -> str | None:
        """JSON text of the answers, None when there are none."""
        return outbound(self.answers) if self.answers else None


def entity_id(name: str, key: str) -> str:
    """The id under which an entity is stored."""
    return f"@{name.casefold()}@{key}"


def name_and_key(instance_id: str) -> tuple[str, str]:
    """The parts of an entity's id."""
    name, _, key = instance_id.removeprefix("@").partition("@")
    return name, key


class Entities:
    """Runs operations that a lease has brought here."""

    def __init__(self, invoker: Invoker, functions: Mapping[str, str], max_attempts: int) -> None:
        self._invoker, self._functions = invoker, functions
        self._max_attempts = max_attempts

    async def operate(self, turn: Turn) -> Operated:
        """Run the waiting operations, each in an invocation of its own.

        After an abandoned attempt only the first, and after too many of them none: the first then
        fails, so that it cannot keep the others waiting for good.
        """
        operated = Operated(turn.progress)
        for seq, text in zip(turn.seqs or (), turn.events or (), strict=True):
            request = json.loads(json.loads(text)["Input"])
            if turn.attempts > self._max_attempts:
                _log.error(
                    "operation '%s' of %s is given up after %d attempts",
                    request["op"],
                    turn.instance_id,
                    self._max_attempts,
                )
                invocation = Invocation(
                    ok=False, error=f"the worker gave it up {self._max_attempts} times"
                )
            else:
                invocation = await self._invoke(turn, operated.state, request)
            operated.consumed.append(seq)
            result = _read(invocation, operated)
            if "parent" in request:
                operated.answers.append(_answer(request, result))
            if turn.attempts > 1:
                break
        return operated

    async def _invoke(self, turn: Turn, state: str, request: Mapping[str, Any]) -> Invocation:
        function = self._functions.get(turn.name.casefold())
        if function is None:
            missing = unknown_function(turn.name, "entity", self._functions)
            return Invocation(ok=False, error=missing)
        name, key = name_and_key(turn.instance_id)
        body = {
            "self": {"name": name, "key": key},
            "exists": bool(state),
            "state": state or None,
            "batch": [
                {"name": request["op"], "input": request["input"], "isSignal": "signal" in request}
            ],
        }
        return await self._invoker.run_entity(
            function, json.dumps(body), instance_id=turn.instance_id
        )


def _read(invocation: Invocation, operated: Operated) -> dict[str, Any]:
    """The result of the one operation, as its caller gets it; notes the entity's new state."""
    if not invocation.ok:
        return {"result": json.dumps(invocation.error), "exceptionType": "Error"}
    answer = json.loads(invocation.value or "null")
    if isinstance(answer, str):
        answer = json.loads(answer)
    operated.state = storable(answer["entityState"] or "null") if answer["entityExists"] else ""
    (result,) = answer["results"]
    # The key alone makes an exception of it.
    error = {"exceptionType": "Error"} if result["isError"] else {}
    return {"result": result["result"], **error}


def _answer(request: Mapping[str, Any], result: Mapping[str, Any]) -> Message:
    return Message(
        request["parent"],
        request["parentExecution"],
        events.event_raised(request["id"], json.dumps(result)),
    )
