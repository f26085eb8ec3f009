"""Trying again, and giving up in time."""

import asyncio

import pytest

from shared.problem import PartnerUnavailable
from shared.resilience import Breaker, DeadlineExceeded, deadline, retrying


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


class Silence(PartnerUnavailable):
    """The partner did not answer."""


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def breaker(clock: Clock) -> Breaker:
    """Opens for ten seconds after three faults."""
    return Breaker("the bank", fault=Silence, faults=3, open_s=10, clock=clock)


def circuit(breaker: Breaker) -> str:
    return breaker.circuit


def fail(breaker: Breaker, times: int = 1) -> None:
    for _ in range(times):
        with pytest.raises(Silence, match="timeout"), breaker.calling():
            raise Silence("timeout")


def succeed(breaker: Breaker) -> None:
    with breaker.calling():
        pass


def test_faults_in_a_row_open_the_circuit(breaker: Breaker) -> None:
    fail(breaker, 2)
    assert circuit(breaker) == "closed"
    fail(breaker)
    assert circuit(breaker) == "open"


def test_an_answer_in_between_starts_the_count_anew(breaker: Breaker) -> None:
    fail(breaker, 2)
    succeed(breaker)
    fail(breaker, 2)

    assert circuit(breaker) == "closed"


def test_a_refusal_is_an_answer(breaker: Breaker) -> None:
    fail(breaker, 2)
    with pytest.raises(LookupError), breaker.calling():
        raise LookupError("declined")
    fail(breaker, 2)

    assert circuit(breaker) == "closed"


def test_no_call_is_made_while_the_circuit_is_open(breaker: Breaker, clock: Clock) -> None:
    fail(breaker, 3)
    clock.now += 7.5
    called = False

    with pytest.raises(Silence) as refused, breaker.calling():
        called = True

    assert not called
    assert refused.value.headers() == {"Retry-After": "3"}
    assert refused.value.document("c")["code"] == "partner-unavailable"


def test_one_call_tries_the_half_open_circuit_and_closes_it(breaker: Breaker, clock: Clock) -> None:
    fail(breaker, 3)
    clock.now += 10
    assert circuit(breaker) == "half_open"

    with breaker.calling(), pytest.raises(Silence, match="left alone"), breaker.calling():
        pass

    assert circuit(breaker) == "closed"
    fail(breaker, 2)
    assert circuit(breaker) == "closed"


def test_a_fault_of_the_one_call_opens_the_circuit_again(breaker: Breaker, clock: Clock) -> None:
    fail(breaker, 3)
    clock.now += 10
    fail(breaker)

    assert circuit(breaker) == "open"
    clock.now += 10
    succeed(breaker)
    assert circuit(breaker) == "closed"


def test_a_refusal_closes_the_circuit_too(breaker: Breaker, clock: Clock) -> None:
    fail(breaker, 3)
    clock.now += 10
    with pytest.raises(LookupError), breaker.calling():
        raise LookupError("declined")

    assert circuit(breaker) == "closed"


def test_one_call_that_is_called_off_leaves_the_try_to_the_next(
    breaker: Breaker, clock: Clock
) -> None:
    fail(breaker, 3)
    clock.now += 10
    with pytest.raises(asyncio.CancelledError), breaker.calling():
        raise asyncio.CancelledError

    assert circuit(breaker) == "half_open"
    succeed(breaker)
    assert circuit(breaker) == "closed"


def test_answers_to_calls_from_before_the_circuit_moved_do_not_count(
    breaker: Breaker, clock: Clock
) -> None:
    with breaker.calling():
        fail(breaker, 3)
    assert circuit(breaker) == "open"

    clock.now += 10
    succeed(breaker)
    with (  # noqa: PT012 - the old call ends after the others
        pytest.raises(Silence, match="old"),
        breaker.calling(),
    ):
        fail(breaker, 3)
        clock.now += 10
        succeed(breaker)
        raise Silence("old")
    fail(breaker, 2)
    assert circuit(breaker) == "closed"


async def test_many_calls_that_fail_at_once_open_it_once(breaker: Breaker) -> None:
    gate = asyncio.Event()

    async def call() -> None:
        with breaker.calling():
            await gate.wait()
            raise Silence("timeout")

    calls = [asyncio.create_task(call()) for _ in range(20)]
    await asyncio.sleep(0)
    gate.set()
    outcomes = await asyncio.gather(*calls, return_exceptions=True)

    assert [str(outcome) for outcome in outcomes] == ["timeout"] * 20
    assert circuit(breaker) == "open"
