"""Calls to what may be slow or broken: tried again, but never for longer than is worth it."""

import asyncio
import contextlib
import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Literal

from shared import telemetry
from shared.problem import PartnerUnavailable

type Circuit = Literal["closed", "open", "half_open"]

_log = telemetry.logger(__name__)


class DeadlineExceeded(Exception):
    """The time that the work was worth is over; it may or may not have taken effect."""


async def retrying[T](
    call: Callable[[], Awaitable[T]],
    *,
    attempts: int,
    on: tuple[type[Exception], ...],
    first_delay_s: float,
    longest_delay_s: float = 10.0,
) -> T:
    """The result of `call`, made up to `attempts` times while it raises one of `on`.

    Pauses start at up to `first_delay_s`, double each time and are jittered, so that many callers
    do not come back at once. Raises what the last attempt raised.
    """
    from tenacity import (  # noqa: PLC0415 - not needed before the first call to a partner
        AsyncRetrying,
        retry_if_exception_type,
        stop_after_attempt,
        wait_random_exponential,
    )

    policy = AsyncRetrying(
        stop=stop_after_attempt(attempts),
        wait=wait_random_exponential(multiplier=first_delay_s, max=longest_delay_s),
        retry=retry_if_exception_type(on),
        reraise=True,
    )
    return await policy(call)


@contextlib.asynccontextmanager
async def deadline(seconds: float) -> AsyncIterator[None]:
    """Cancels what runs inside after `seconds` and raises DeadlineExceeded instead."""
    try:
        async with asyncio.timeout(seconds) as limit:
            yield
    except TimeoutError as fault:
        if limit.expired():
            raise DeadlineExceeded(f"no answer within {seconds} s") from fault
        raise


class Breaker:
    """Leaves a partner alone that does not answer, so that nobody waits in vain and it recovers.

    After `faults` calls in a row that raised `fault` the circuit opens: for `open_s` seconds
    further calls are not made. Then it is half open: one call may try, and closes the circuit if it
    succeeds. Anything but `fault` is an answer, refusals too. Each process and event loop has its
    own; what a partner answers to calls that began before the circuit last moved does not count.
    """

    def __init__(
        self,
        partner: str,
        *,
        fault: type[PartnerUnavailable] = PartnerUnavailable,
        faults: int = 5,
        open_s: float = 10.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._partner, self._fault = partner, fault
        self._limit, self._open_s, self._clock = faults, open_s, clock
        self._faults = 0
        self._open_until: float | None = None
        self._probing = False
        self._moves = 0

    @property
    def circuit(self) -> Circuit:
        """Where the circuit stands now."""
        if self._open_until is None:
            return "closed"
        return "open" if self._clock() < self._open_until else "half_open"

    @contextlib.contextmanager
    def calling(self) -> Iterator[None]:
        """The block is one call. Raises `fault`, with Retry-After, if it is not to be made."""
        moves = self._admitted()
        try:
            yield
        except self._fault:
            if moves == self._moves:
                self._count_fault()
            raise
        except Exception:
            if moves == self._moves:
                self._count_success()
            raise
        except BaseException:  # the caller has gone: that says nothing about the partner
            if moves == self._moves:
                self._probing = False
            raise
        if moves == self._moves:
            self._count_success()

    def _admitted(self) -> int:
        if self._open_until is not None:
            left = self._open_until - self._clock()
            if left > 0 or self._probing:
                detail = f"{self._partner} does not answer and is left alone for a while"
                raise self._fault(detail, retry_after_s=max(1, math.ceil(left)))
            self._probing = True
        return self._moves

    def _count_fault(self) -> None:
        self._faults += 1
        if self._open_until is not None or self._faults >= self._limit:
            _log.warning("%s does not answer: circuit open for %g s", self._partner, self._open_s)
            self._move(open_until=self._clock() + self._open_s)

    def _count_success(self) -> None:
        self._faults = 0
        if self._open_until is not None:
            _log.info("%s answers again: circuit closed", self._partner)
            self._move(open_until=None)

    def _move(self, *, open_until: float | None) -> None:
        self._open_until, self._probing, self._faults = open_until, False, 0
        self._moves += 1
