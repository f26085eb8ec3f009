"""Runs one invocation at a time of many: its log lines, its time limit, its failure, its end."""

import asyncio
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import uuid_utils

from localcloud.functions import logs
from localcloud.functions.catalogue import HTTP, Function
from localcloud.functions.logs import LogLevels, Tag, host_log
from localcloud.functions.protos import (
    InvocationRequest,
    ParameterBinding,
    StatusResult,
    TraceContext,
    TypedData,
)
from localcloud.functions.worker import invoke

_WATCH_EVERY_S = 0.25
_POLL_S = 0.02
_LAST_WORD_S = 1.0
_NO_METADATA: Mapping[str, TypedData] = {}


@dataclass(slots=True)
class Outcome:
    """How an invocation ended.

    `value` is what it returned. A failure has `error`, the message as the worker reports it, and
    `details`, the stack. `cut_short` says that the host ended it (time limit, shutdown): the
    function neither succeeded nor failed, and may have had its effect.
    """

    ok: bool
    value: TypedData | None = None
    error: str = ""
    details: str = ""
    cut_short: bool = False


class _Running:
    __slots__ = ("cut_short", "deadline", "function", "task")

    def __init__(self, function: Function, task: asyncio.Task[object], deadline: float) -> None:
        self.function, self.task, self.deadline = function, task, deadline
        self.cut_short = ""


class Executor:
    """Every invocation of the process goes through here."""

    def __init__(self, *, timeout_s: float | None, levels: LogLevels) -> None:
        self._timeout_s = timeout_s
        self._levels = levels
        self._running: dict[str, _Running] = {}
        self._watch: asyncio.Task[None] | None = None

    async def execute(
        self,
        function: Function,
        inputs: Sequence[ParameterBinding],
        *,
        trace: TraceContext,
        metadata: Mapping[str, TypedData] = _NO_METADATA,
        reason: str = "",
    ) -> Outcome:
        """Run `function` and say how it ended. CancelledError only if the caller is cancelled.

        `reason` is for the log: why it runs.
        """
        invocation_id = str(uuid_utils.uuid4())
        tag = Tag(function.name, invocation_id, trace.trace_parent[3:35])
        level = logging.DEBUG if function.trigger == HTTP else logging.INFO
        tells = level >= self._levels.of(f"Function.{function.name}")
        started = time.monotonic()
        token = logs.current.set(tag)
        try:
            if tells:
                host_log.log(level, "Executing 'Functions.%s' (Reason='%s')", function.name, reason)
            request = InvocationRequest(
                invocation_id, function.function_id, inputs, metadata, trace
            )
            outcome = await self._guarded(function, invocation_id, tag, request)
            if not outcome.ok:
                _log_failure(function.name, outcome, time.monotonic() - started)
            elif tells:
                elapsed_ms = (time.monotonic() - started) * 1000
                host_log.log(
                    level,
                    "Executed 'Functions.%s' (Succeeded, Duration=%.0fms)",
                    function.name,
                    elapsed_ms,
                )
            return outcome
        finally:
            logs.current.reset(token)

    async def _guarded(
        self, function: Function, invocation_id: str, tag: Tag, request: InvocationRequest
    ) -> Outcome:
        task = asyncio.current_task()
        assert task is not None, "invocations run in tasks"
        limit = float("inf") if self._timeout_s is None else time.monotonic() + self._timeout_s
        running = self._running[invocation_id] = _Running(function, task, limit)
        logs.in_threads[invocation_id] = tag
        try:
            answer = await invoke(request)
        except asyncio.CancelledError:
            if not running.cut_short and task.cancelling():
                raise
            error, details = running.cut_short or "CancelledError: raised by the function", ""
        except BaseException as failure:  # noqa: BLE001 - even SystemExit must not end the host
            error, details = f"{type(failure).__name__}: {failure}", ""
        else:
            failure_told = answer.result.exception
            if answer.result.status == StatusResult.Success or failure_told is None:
                return Outcome(ok=True, value=answer.return_value)
            error, details = failure_told.message, failure_told.stack_trace
        finally:
            del self._running[invocation_id]
            logs.in_threads.pop(invocation_id, None)
            if running.cut_short:
                task.uncancel()
        return Outcome(ok=False, error=error, details=details, cut_short=bool(running.cut_short))

    def start(self) -> None:
        """Begin to enforce the time limit. One watch for all: a timer per call would cost more."""
        if self._timeout_s is not None:
            self._watch = asyncio.create_task(self._end_overdue(), name="function-timeout")

    async def _end_overdue(self) -> None:
        while True:
            await asyncio.sleep(_WATCH_EVERY_S)
            now = time.monotonic()
            for running in self._running.values():
                if running.deadline < now and not running.cut_short:
                    self._end(
                        running, f"the time limit of {self._timeout_s:g} s (functionTimeout) passed"
                    )

    @staticmethod
    def _end(running: _Running, why: str) -> None:
        # An async function ends here. A thread of a sync function goes on; nobody waits for it.
        running.cut_short = f"TimeoutError: {why}"
        running.task.cancel()

    async def finished(self, until: float, *, durable: bool) -> bool:
        """Wait until nothing runs, or nothing but durable work unless `durable`.

        False when the monotonic clock passed `until` first.
        """
        while any(durable or not running.function.is_durable for running in self._running.values()):
            if time.monotonic() > until:
                return False
            await asyncio.sleep(_POLL_S)
        return True

    async def end_all(self) -> None:
        """Cut short what still runs."""
        if self._running:
            names = sorted({running.function.name for running in self._running.values()})
            host_log.warning("ended while running: %s", ", ".join(names))
        for running in list(self._running.values()):
            self._end(running, "the host shut down")
        await self.finished(time.monotonic() + _LAST_WORD_S, durable=True)
        if self._watch is not None:
            self._watch.cancel()

    @property
    def running(self) -> int:
        """How many invocations run now."""
        return len(self._running)


def _log_failure(name: str, outcome: Outcome, elapsed_s: float) -> None:
    host_log.error(
        "Executed 'Functions.%s' (Failed, Duration=%.0fms)\n%s",
        name,
        elapsed_s * 1000,
        (outcome.details or outcome.error).rstrip(),
    )
