"""Retry policies: what is stated, and the pauses that follow from it."""

from itertools import islice
from typing import Any

import pytest

from localcloud.functions.retries import RetryPolicy, policy_of

FIXED = {"strategy": "fixedDelay", "maxRetryCount": 2, "delayInterval": "00:00:10"}
BACKOFF = {
    "strategy": "exponentialBackoff",
    "maxRetryCount": 7,  # the seventh is past the maximum whatever the randomisation
    "minimumInterval": "00:00:02",
    "maximumInterval": "00:00:30",
}


@pytest.mark.conforms(
    "Retry policies",
    '"A specified amount of time is allowed to elapse between each retry"',
    source="learn:azure/azure-functions/functions-bindings-error-pages#retry-policies",
)
def test_a_fixed_delay_is_the_same_each_time() -> None:
    """ "A specified amount of time is allowed to elapse between each retry." """
    assert list(policy_of(FIXED).pauses_s()) == [10.0, 10.0]


@pytest.mark.conforms(
    "Retry policies",
    '"The first retry waits for the minimum delay. On subsequent retries, time is added'
    ' exponentially to the initial duration for each retry, until the maximum delay is reached"',
    source="learn:azure/azure-functions/functions-bindings-error-pages#retry-policies",
)
def test_a_back_off_begins_with_the_shortest_and_grows_to_the_longest() -> None:
    """ "The first retry waits for the minimum delay. On subsequent retries, time is added
    exponentially to the initial duration for each retry, until the maximum delay is reached.
    Exponential back-off adds some small randomization."
    """
    first, second, third, fourth, *rest = policy_of(BACKOFF).pauses_s()

    assert first == 2.0
    assert 2 + 2 * 0.8 <= second <= 2 + 2 * 1.2
    assert 2 + 4 * 0.8 <= third <= 2 + 4 * 1.2
    assert 2 + 8 * 0.8 <= fourth <= 2 + 8 * 1.2
    assert rest[-1] == 30.0


@pytest.mark.conforms(
    "Retry policies",
    '"-1 means to retry indefinitely"',
    source="learn:azure/azure-functions/functions-bindings-error-pages#retry-policies",
)
def test_minus_one_retries_without_end() -> None:
    """ "-1 means to retry indefinitely." """
    pauses = islice(policy_of(FIXED | {"maxRetryCount": -1}).pauses_s(), 1000)

    assert len(list(pauses)) == 1000


def test_the_names_of_the_decorator_are_understood_too() -> None:
    stated = {"strategy": "fixed_delay", "max_retry_count": 1, "delay_interval": "00:00:05"}

    assert policy_of(stated) == RetryPolicy(1, 5.0, 5.0)


@pytest.mark.parametrize(
    ("stated", "reason"),
    [
        ({**FIXED, "strategy": "now"}, "'now' is no strategy"),
        ({**FIXED, "maxRetryCount": "2"}, "maxRetryCount must be a whole number"),
        ({**FIXED, "delayInterval": "soon"}, "delayInterval must be a TimeSpan"),
        ({**BACKOFF, "minimumInterval": "00:01:00"}, "minimumInterval is more than maximum"),
    ],
)
def test_a_policy_that_makes_no_sense_is_declined(stated: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        policy_of(stated)
