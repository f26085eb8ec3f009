"""Trying again, and giving up in time."""

import asyncio

import pytest

from shared.resilience import DeadlineExceeded, deadline, retrying


class Flaky:
    def __init__(self, *faults: Exception) -> None:
        self.faults, self.calls = list(faults), 0

    async def __call__(self) -> str:
        self.calls += 1
        if self.faults:
            raise self.faults.pop(0)
        return "done"


async def test_a_call_is_made_until_it_succeeds() -> None:
    flaky = Flaky(OSError(), OSError())
    assert await retrying(flaky, attempts=3, on=(OSError,), first_delay_s=0.001) == "done"
    assert flaky.calls == 3


async def test_the_last_fault_is_raised_when_attempts_are_used_up() -> None:
    last = OSError("third")
    flaky = Flaky(OSError("first"), OSError("second"), last, OSError("fourth"))
    with pytest.raises(OSError, match="third") as raised:
        await retrying(flaky, attempts=3, on=(OSError,), first_delay_s=0.001)
    assert (raised.value, flaky.calls) == (last, 3)


async def test_other_faults_are_not_tried_again() -> None:
    flaky = Flaky(ValueError())
    with pytest.raises(ValueError):  # noqa: PT011 - it has no message to match
        await retrying(flaky, attempts=3, on=(OSError,), first_delay_s=0.001)
    assert flaky.calls == 1


async def test_work_is_cancelled_at_its_deadline() -> None:
    never = asyncio.Event()
    with pytest.raises(DeadlineExceeded, match=r"no answer within 0\.01 s"):
        async with deadline(0.01):
            await never.wait()


async def test_a_timeout_inside_the_deadline_is_its_own() -> None:
    with pytest.raises(TimeoutError):
        async with deadline(5.0):
            raise TimeoutError
