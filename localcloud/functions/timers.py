"""Timer triggers: fires them when due, one run at a time each, and makes up for missed runs."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from localcloud.functions.catalogue import Function
from localcloud.functions.errors import StartRefused
from localcloud.functions.execution import Executor, Outcome
from localcloud.functions.files import replace_file
from localcloud.functions.inputs import BY_HAND, Inputs
from localcloud.functions.logs import host_log
from localcloud.functions.protos import (
    FIRST_ATTEMPT,
    ParameterBinding,
    RetryContext,
    RpcException,
    TypedData,
)
from localcloud.functions.retries import RetryPolicy
from localcloud.functions.schedules import (
    Schedule,
    Status,
    is_monitored,
    opening,
    parse_schedule,
)
from localcloud.functions.tracing import trace_context

# A laptop that slept finds out within a minute that something is due.
_LONGEST_SLEEP_S = 60.0


class Timer:
    """One timer function."""

    def __init__(
        self,
        function: Function,
        zone: tzinfo,
        state: Path,
        executor: Executor,
        inputs: Inputs,
        *,
        retry: RetryPolicy | None,
        stopping: asyncio.Event,
    ) -> None:
        """StartRefused when the schedule cannot be read. `retry` is for one without its own."""
        text = str(function.fields.get("schedule", ""))
        try:
            self.schedule: Schedule = parse_schedule(text, zone)
        except ValueError as error:
            raise StartRefused(f"function {function.name!r}: {error}") from error
        self.function = function
        self._executor, self._inputs = executor, inputs
        self._runs_on_startup = bool(function.fields.get("runOnStartup"))
        monitored = function.fields.get("useMonitor") is not False
        self._monitored = monitored and is_monitored(self.schedule, datetime.now(UTC))
        self._retry = function.retry or retry
        self._path = state / f"{function.name}.json"
        self._status: Status | None = None
        self._one_at_a_time = asyncio.Lock()
        self._stopping = stopping

    async def run(self) -> None:
        """Fire whenever due, until it is to stop."""
        now = datetime.now(UTC)
        past_due = False
        if self._monitored:
            self._status, past_due = opening(self._read(), self.schedule, now)
            self._write(self._status)
        due = self._status.next if self._status else self.schedule.next_after(now)
        if past_due or self._runs_on_startup:
            due = await self._fire_due(now, past_due=past_due)
        while not await _stopped(self._stopping, due):
            due = await self._fire_due(due, past_due=False)

    async def _fire_due(self, occurrence: datetime, *, past_due: bool) -> datetime:
        """Run for `occurrence`, note that it is done, tell the next one."""
        await self.fire(past_due=past_due)
        now = datetime.now(UTC)
        if self.schedule.is_constant:
            following = max(self.schedule.next_after(occurrence), now)
        else:
            following = self.schedule.next_after(max(occurrence, now))
        if self._monitored:
            # Noted after the run: a host killed in it runs the occurrence again at its next start.
            last = now if past_due else occurrence
            self._status = Status(last, self.schedule.next_after(last), now)
            self._write(self._status)
        return following

    async def fire(self, *, past_due: bool = False, reason: str = "Timer fired") -> Outcome:
        """Run now, after a run that is under way; again after a failure, if the policy says so."""
        async with self._one_at_a_time:
            request = {
                "Schedule": {"AdjustForDST": True},
                "ScheduleStatus": self._status.as_json() if self._status else None,
                "IsPastDue": past_due,
            }
            inputs = self._inputs.of(self.function, TypedData(json=json.dumps(request)))
            outcome = await self._attempt(inputs, FIRST_ATTEMPT, reason)
            if outcome.ok or self._retry is None:
                return outcome
            for number, pause_s in enumerate(self._retry.pauses_s(), start=1):
                host_log.warning(
                    "waiting %.1f s before 'Functions.%s' is tried again (attempt %d of %s)",
                    pause_s,
                    self.function.name,
                    number,
                    "ever" if self._retry.most < 0 else self._retry.most,
                )
                if await _stopped(self._stopping, datetime.now(UTC) + timedelta(seconds=pause_s)):
                    break
                failure = RpcException(message=outcome.error, stack_trace=outcome.details)
                attempt = RetryContext(number, self._retry.most, failure)
                outcome = await self._attempt(inputs, attempt, reason)
                if outcome.ok:
                    break
            return outcome

    async def by_hand(self, _text: str) -> Outcome:
        """Run now; what is given is not heeded, because a timer takes nothing."""
        return await self.fire(reason=BY_HAND)

    async def _attempt(
        self, inputs: list[ParameterBinding], attempt: RetryContext, reason: str
    ) -> Outcome:
        return await self._executor.execute(
            self.function,
            inputs,
            trace=trace_context(None),
            reason=reason,
            attempt=attempt,
        )

    def _read(self) -> Status | None:
        try:
            return Status.from_json(json.loads(self._path.read_text("utf-8")))
        except FileNotFoundError:
            return None
        except (ValueError, KeyError) as error:
            host_log.warning("%s is damaged (%s); the timer begins anew", self._path, error)
            return None

    def _write(self, status: Status) -> None:
        replace_file(self._path, json.dumps(status.as_json()))


class Timers:
    """Every timer of the app."""

    def __init__(
        self,
        functions: Sequence[Function],
        *,
        state: Path,
        environ: Mapping[str, str],
        executor: Executor,
        inputs: Inputs,
        retry: RetryPolicy | None,
    ) -> None:
        zone = _zone(environ)
        self._stopping = asyncio.Event()
        self.by_name = {
            function.name.lower(): Timer(
                function,
                zone,
                state / "timers",
                executor,
                inputs,
                retry=retry,
                stopping=self._stopping,
            )
            for function in functions
        }
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin to fire."""
        self._tasks = [
            asyncio.create_task(timer.run(), name=f"timer {timer.function.name}")
            for timer in self.by_name.values()
            if not timer.function.disabled
        ]
        for task in self._tasks:
            task.add_done_callback(_tell_death)

    def stop(self) -> None:
        """Fire no more; what runs goes on."""
        self._stopping.set()

    async def ended(self) -> None:
        """Wait until the runs under way are over and noted."""
        await asyncio.gather(*self._tasks, return_exceptions=True)


async def _stopped(stopping: asyncio.Event, due: datetime) -> bool:
    """Sleep until `due` by the wall clock. True when `stopping` came first."""
    while (left := (due - datetime.now(UTC)).total_seconds()) > 0:
        try:
            async with asyncio.timeout(min(left, _LONGEST_SLEEP_S)):
                await stopping.wait()
        except TimeoutError:
            continue
        return True
    return stopping.is_set()


def _tell_death(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        host_log.error("%s died and fires no more", task.get_name(), exc_info=error)


def _zone(environ: Mapping[str, str]) -> tzinfo:
    """Azure reads schedules in UTC unless WEBSITE_TIME_ZONE says otherwise."""
    name = environ.get("WEBSITE_TIME_ZONE")
    if not name:
        return UTC
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise StartRefused(f"WEBSITE_TIME_ZONE {name!r} is no known time zone") from error
