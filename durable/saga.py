"""How a saga steps forward, waits, and undoes: the order of attempts, never what they mean."""

from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import chain
from typing import Any

import azure.durable_functions as df

type Step[T] = Generator[Any, Any, T]
"""A piece of an orchestration: yields Durable tasks, returns T."""

SETTLING_WAITS_S = (60,) * (24 * 60)
"""Further pauses for steps that only write down the outcome in our own database.

They are tried for a day: while our database is away no undo would work either, and an outcome that
is not written down leaves an order that nobody looks after.
"""

OTHERS = "order_"
"""Starts the refusal of a step that found the order already finished by somebody else."""


class Refused(Exception):
    """A step said no; the text is its refusal code. Never retried."""


class Superseded(Exception):
    """The order has left this saga's hands; the text says how (`order_confirmed`, ...)."""


class Saga:
    """The steps taken for one order and the undos that they call for.

    `subject` has the ids that every activity receives, nothing else, because they stand in the
    Durable history; and `waits_s`, the seconds between the attempts of one step. These come with
    the input and not from the settings: a replay must wait as long as the first run did. They are
    timers of our own, because `RetryOptions` of the Python SDK knows one interval and no back-off.
    `undo` lists undos that are owed from the start, oldest first.
    """

    def __init__(
        self,
        context: df.DurableOrchestrationContext,
        subject: Mapping[str, Any],
        undo: Iterable[str] = (),
    ) -> None:
        self._context = context
        self._subject = {name: value for name, value in subject.items() if name != "waits_s"}
        self._waits_s: Sequence[float] = subject["waits_s"]
        self._undo = list(undo)

    def do(self, step: str, *, undo: str | None = None) -> Step[Mapping[str, Any]]:
        """The step's answer. Its undo is remembered *before* the call: a step whose answer was
        lost may have taken effect, so every undo is a no-op when there is nothing to undo.

        Raises Refused when the step said no, Superseded when the order is finished, and the last
        fault once the attempts are used up.
        """
        if undo:
            self._undo.append(undo)
        answer = yield from self._attempt(step, self._waits_s)
        return _accepted(answer)

    def settle(self, step: str, **facts: Any) -> Step[Mapping[str, Any]]:
        """The answer of a step that writes down an outcome, with `facts` beside the ids.

        Raises as `do`, but gives up only after a day.
        """
        answer = yield from self._attempt(step, (*self._waits_s, *SETTLING_WAITS_S), facts)
        return _accepted(answer)

    def first_of(self, *events: str, until: datetime) -> Step[str | None]:
        """The name of the event that came first; None when `until` came before any."""
        waits = {name: self._context.wait_for_external_event(name) for name in events}
        timer = self._context.create_timer(until)
        first = yield self._context.task_any([*waits.values(), timer])
        if first is timer:
            return None
        # An open timer would keep the instance running until it fires.
        timer.cancel()
        return next(name for name, task in waits.items() if task is first)

    def unwind(self) -> Step[list[str]]:
        """Undo newest first, trying every one. Returns the undos that failed or were refused."""
        stuck = []
        while self._undo:
            undo = self._undo.pop()
            try:
                answer = yield from self._attempt(undo, self._waits_s)
            except Exception:  # noqa: BLE001 - the SDK rethrows every fault as Exception
                stuck.append(undo)
            else:
                if "refused" in answer:
                    stuck.append(undo)
        return stuck

    def call_off(self, reason: str) -> Step[dict[str, Any]]:
        """Undo everything, then cancel the order, or park it if something could not be undone."""
        stuck = yield from self.unwind()
        try:
            if stuck:
                # Its own name goes along: said twice, it must not park what was taken up meanwhile.
                saga = self._context.instance_id
                yield from self.settle("park_order", reason=reason, stuck=stuck, saga=saga)
                return {"status": "stuck", "reason": reason, "stuck": stuck}
            yield from self.settle("cancel_order", reason=reason)
        except (Refused, Superseded) as refusal:
            return {"status": "left", "reason": str(refusal)}
        return {"status": "cancelled", "reason": reason}

    def _attempt(
        self, step: str, waits_s: Iterable[float], facts: Mapping[str, Any] | None = None
    ) -> Step[Mapping[str, Any]]:
        subject = self._subject | dict(facts or {})
        waits: Iterator[float | None] = chain(waits_s, [None])
        for wait_s in waits:
            self._context.set_custom_status(step)
            try:
                answer: Mapping[str, Any] = yield self._context.call_activity(step, subject)
            except Exception:
                if wait_s is None:
                    raise
            else:
                return answer
            due = self._context.current_utc_datetime + timedelta(seconds=wait_s)
            yield self._context.create_timer(due)
        raise AssertionError("the last attempt returns or raises")


def _accepted(answer: Mapping[str, Any]) -> Mapping[str, Any]:
    reason = answer.get("refused")
    if reason is None:
        return answer
    if str(reason).startswith(OTHERS):
        raise Superseded(reason)
    raise Refused(reason)
