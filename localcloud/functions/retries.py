"""Retry policies: how often, and after which pauses, a failed timer function runs again."""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from localcloud.functions.timespan import parse_timespan

_JITTER = 0.2


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """At most `most` retries, without limit when it is -1. The same pause always if both agree."""

    most: int
    shortest_s: float
    longest_s: float

    def pauses_s(self) -> Iterator[float]:
        """The pause before each retry, in seconds.

        As Azure backs off: first the shortest, then that and 2^n times as much again, give or take
        a fifth, until it would be more than the longest.
        """
        retry, pause_s = 0, self.shortest_s
        while self.most < 0 or retry < self.most:
            yield pause_s
            if pause_s < self.longest_s:
                spread = random.uniform(1 - _JITTER, 1 + _JITTER)  # noqa: S311 - no secret
                pause_s = self.shortest_s * (1 + 2**retry * spread)
            pause_s = min(pause_s, self.longest_s)
            retry += 1


def policy_of(stated: dict[str, Any]) -> RetryPolicy:
    """The policy that host.json or a function states. ValueError says what is wrong with it.

    Names and strategies compare without regard to case and underscores: the two differ in both.
    """
    plain = {key.replace("_", "").lower(): value for key, value in stated.items()}
    most, strategy = plain.get("maxretrycount"), str(plain.get("strategy", ""))
    if not isinstance(most, int) or isinstance(most, bool) or most < -1:
        raise ValueError("maxRetryCount must be a whole number, -1 for no limit")
    match strategy.replace("_", "").lower():
        case "fixeddelay":
            pause_s = _seconds(plain, "delayInterval")
            return RetryPolicy(most, pause_s, pause_s)
        case "exponentialbackoff":
            shortest_s = _seconds(plain, "minimumInterval")
            longest_s = _seconds(plain, "maximumInterval")
            if shortest_s > longest_s:
                raise ValueError("minimumInterval is more than maximumInterval")
            return RetryPolicy(most, shortest_s, longest_s)
    raise ValueError(f"{strategy!r} is no strategy: there are fixedDelay and exponentialBackoff")


def _seconds(plain: dict[str, Any], name: str) -> float:
    span = parse_timespan(str(plain.get(name.lower(), "")))
    if span is None or span.total_seconds() < 0:
        raise ValueError(f'{name} must be a TimeSpan such as "00:00:05"')
    return span.total_seconds()
