"""Runs one invocation at a time of many: its log lines, its time limit, its failure, its end."""

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Protocol

from uuid_utils import uuid4

from localcloud.functions import running
from localcloud.functions.catalogue import HTTP, Function
from localcloud.functions.expressions import Facts
from localcloud.functions.facts import facts_of
from localcloud.functions.logs import LogLevels, host_log
from localcloud.functions.protos import (
    FIRST_ATTEMPT,
    InvocationRequest,
    InvocationResponse,
    ParameterBinding,
    RetryContext,
    StatusResult,
    TraceContext,
    TypedData,
)
from localcloud.functions.running import Running
from localcloud.functions.timespan import dotnet_text
from localcloud.functions.worker import invoke, occupies_thread

_WATCH_EVERY_S = 0.25
_POLL_S = 0.02
_LAST_WORD_S = 1.0
_OBEY_S = 5.0
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


class InputReader(Protocol):
    """Reads what the input bindings of a function name; raises when it cannot."""

    async def read(self, function: Function, facts: Facts) -> Sequence[ParameterBinding]: ...


class OutputSender(Protocol):
    """Sends what a function put out; raises when it cannot."""

    async def send(
        self,
        function: Function,
        facts: Facts,
        returned: TypedData | None,
        data: Sequence[ParameterBinding],
    ) -> None: ...


class OutputFailed(Exception):
    """What a function put out could not be sent: so the execution failed."""


class Executor:
    """Every invocation of the process goes through here."""

    inputs: InputReader | None = None
    outputs: OutputSender | None = None

    def __init__(
        self,
        *,
        timeout_s: float | None,
        levels: LogLevels,
        on_stuck: Callable[[Running], None],
    ) -> None:
        """`on_stuck` hears of a function that goes on after its time and cannot be ended."""
        self._timeout_s, self.on_stuck = timeout_s, on_stuck
        self._limit_s = float("inf") if timeout_s is None else timeout_s
        self._levels = levels
        self._told_at: dict[str, int] = {}
        self._running = running.by_id
        self._watch: asyncio.Task[None] | None = None

    async def execute(
        self,
        function: Function,
        inputs: Sequence[ParameterBinding],
        *,
        trace: TraceContext,
        metadata: Mapping[str, TypedData] = _NO_METADATA,
        reason: str = "",
        attempt: RetryContext = FIRST_ATTEMPT,
    ) -> Outcome:
        """Run `function` and say how it ended. CancelledError only if the caller is cancelled.

        `reason` is for the log: why it runs.
        """
        task = asyncio.current_task()
        assert task is not None, "invocations run in tasks"
        invocation_id = str(uuid4())
        started = time.monotonic()
        this = Running(function, invocation_id, trace.trace_parent, task, started + self._limit_s)
        level = self._told_at.get(function.name)
        if level is None:
            level = self._told_at[function.name] = self._level_of(function)
        token = running.current.set(this)
        self._running[invocation_id] = this
        try:
            if level:
                host_log.log(level, "Executing 'Functions.%s' (Reason='%s')", function.name, reason)
            request = InvocationRequest(
                invocation_id,
                function.function_id,
                inputs,
                metadata,
                trace,
                retry_context=attempt,
            )
            bound = function.inputs or function.outputs
            outcome = await _run(
                self._with_bindings(function, request) if bound else invoke(request), this
            )
            if not outcome.ok:
                _log_failure(function.name, outcome, time.monotonic() - started)
            elif level:
                host_log.log(
                    level,
                    "Executed 'Functions.%s' (Succeeded, Duration=%.0fms)",
                    function.name,
                    (time.monotonic() - started) * 1000,
                )
            return outcome
        finally:
            del self._running[invocation_id]
            running.current.reset(token)

    async def _with_bindings(
        self, function: Function, request: InvocationRequest
    ) -> InvocationResponse:
        """Invoke between its input and its output bindings. Raises when one of these fails."""
        facts = facts_of(request.input_data[0].data or TypedData(), request.trigger_metadata)
        if function.inputs:
            assert self.inputs is not None, "the host gives it what reads inputs"
            read = await self.inputs.read(function, facts)
            request.input_data = [*request.input_data, *read]
        answer = await invoke(request)
        if function.outputs and answer.result.status == StatusResult.Success:
            assert self.outputs is not None, "the host gives it what sends outputs"
            try:
                await self.outputs.send(function, facts, answer.return_value, answer.output_data)
            except Exception as error:
                raise OutputFailed(f"an output binding failed: {error}") from error
        return answer

    def _level_of(self, function: Function) -> int:
        """The level at which its executions are told; 0 when they are not."""
        level = logging.DEBUG if function.trigger == HTTP else logging.INFO
        return level if level >= self._levels.of(f"Function.{function.name}") else 0

    def start(self) -> None:
        """Begin to enforce the time limit. One watch for all: a timer per call would cost more."""
        if self._timeout_s is not None:
            self._watch = asyncio.create_task(self._end_overdue(), name="function-timeout")

    async def _end_overdue(self) -> None:
        while True:
            await asyncio.sleep(_WATCH_EVERY_S)
            now = time.monotonic()
            for this in self._running.values():
                if this.deadline < now and not this.cut_short:
                    self._time_out(this)

    def _time_out(self, this: Running) -> None:
        assert self._timeout_s is not None, "there is a limit"
        name, limit = this.function.name, dotnet_text(timedelta(seconds=self._timeout_s))
        host_log.error(
            "Timeout value of %s exceeded by function 'Functions.%s' (Id: '%s'). "
            "Initiating cancellation.",
            limit,
            name,
            this.invocation_id,
        )
        self._end(
            this,
            f"FunctionTimeoutException: Timeout value of {limit} was exceeded by function: "
            f"Functions.{name}",
        )
        if occupies_thread(this.function.function_id):
            self.on_stuck(this)
        else:
            loop = asyncio.get_running_loop()
            loop.call_later(_OBEY_S, self._see_that_it_ended, this)

    def _see_that_it_ended(self, this: Running) -> None:
        if this.invocation_id in self._running:
            self.on_stuck(this)

    @staticmethod
    def _end(this: Running, why: str) -> None:
        # An async function ends here. A thread of a sync function goes on; nobody waits for it.
        this.cut_short = why
        this.task.cancel()

    async def finished(self, until: float, *, durable: bool) -> bool:
        """Wait until nothing runs, or nothing but durable work unless `durable`.

        False when the monotonic clock passed `until` first.
        """
        while any(durable or not this.function.is_durable for this in self._running.values()):
            if time.monotonic() > until:
                return False
            await asyncio.sleep(_POLL_S)
        return True

    async def end_all(self) -> None:
        """Cut short what still runs."""
        if self._running:
            names = sorted({this.function.name for this in self._running.values()})
            host_log.warning("ended while running: %s", ", ".join(names))
        for this in list(self._running.values()):
            self._end(this, "OperationCanceledException: the host shut down")
        await self.finished(time.monotonic() + _LAST_WORD_S, durable=True)
        if self._watch is not None:
            self._watch.cancel()

    @property
    def running(self) -> int:
        """How many invocations run now."""
        return len(self._running)


async def _run(invocation: Coroutine[Any, Any, InvocationResponse], this: Running) -> Outcome:
    try:
        answer = await invocation
    except asyncio.CancelledError:
        if not this.cut_short and this.task.cancelling():
            raise
        error, details = this.cut_short or "CancelledError: raised by the function", ""
    except BaseException as failure:  # noqa: BLE001 - even SystemExit must not end the host
        error, details = f"{type(failure).__name__}: {failure}", ""
    else:
        failure_told = answer.result.exception
        if answer.result.status == StatusResult.Success or failure_told is None:
            return Outcome(ok=True, value=answer.return_value)
        error, details = failure_told.message, failure_told.stack_trace
    finally:
        if this.cut_short:
            this.task.uncancel()
    return Outcome(ok=False, error=error, details=details, cut_short=bool(this.cut_short))


def _log_failure(name: str, outcome: Outcome, elapsed_s: float) -> None:
    host_log.error(
        "Executed 'Functions.%s' (Failed, Duration=%.0fms)\n%s",
        name,
        elapsed_s * 1000,
        (outcome.details or outcome.error).rstrip(),
    )
