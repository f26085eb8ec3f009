"""When a delivery is tried again, and when it is given up.

Source: https://learn.microsoft.com/azure/event-grid/delivery-and-retry
"""

import random
from dataclasses import dataclass
from typing import Final

SCHEDULE_S: Final = (10, 30, 60, 300, 600, 1800, 3600, 10800, 21600, 43200)
"""Waits after the first, second, ... failed attempt; the last one repeats."""
SPREAD: Final = 0.1
DEAD_LETTER_AFTER_S: Final = 300
DEAD_LETTER_RETRY_S: Final = 60
DEAD_LETTER_WITHIN_S: Final = 4 * 3600
HANDSHAKE_RETRY_S: Final = 10
HANDSHAKE_BY_HAND_S: Final = 600
UNHEALTHY_AFTER: Final = 10
"""Failures in a row after which an endpoint gets a rest, new events included."""

SUCCESSES: Final = frozenset({200, 201, 202, 203, 204})
_FINAL_OF_WEBHOOKS: Final = frozenset({400, 401, 403, 413})
_FINAL_OF_RESOURCES: Final = frozenset({400, 403, 413})
_AT_LEAST_S: Final = {408: 120, 503: 30}
_AT_LEAST_OF_RESOURCES_S: Final = _AT_LEAST_S | {401: 300, 404: 300}
_OUTCOMES: Final = {
    400: "BadRequest",
    401: "Unauthorized",
    403: "Forbidden",
    404: "NotFound",
    408: "TimedOut",
    413: "PayloadTooLarge",
    503: "Busy",
}
_PROBATION_S: Final = {
    "NotFound": 300,
    "SocketError": 30,
    "ResolutionError": 300,
    "Disabled": 300,
    "Full": 300,
    "Unauthorized": 300,
    "Forbidden": 300,
}
"""By outcome; of all others it is ten seconds."""
_REASONS: Final = {
    400: "UndeliverableDueToHttpBadRequest",
    401: "UndeliverableDueToHttpUnauthorized",
    403: "UndeliverableDueToHttpForbidden",
    413: "UndeliverableDueToHttpRequestEntityTooLarge",
}
TRIED_TOO_OFTEN: Final = "MaxDeliveryAttemptsExceeded"
TOO_OLD: Final = "TimeToLiveExceeded"


@dataclass(frozen=True)
class Outcome:
    """How an attempt ended. `reason` is set when no other attempt can help."""

    ok: bool
    name: str = "Delivered"
    detail: str = ""
    reason: str | None = None
    at_least_s: float = 0.0


DELIVERED: Final = Outcome(ok=True)


def outcome_of(status: int, *, webhook: bool) -> Outcome:
    """What an HTTP answer means, from a webhook or from an Azure resource such as a function."""
    if status in SUCCESSES:
        return DELIVERED
    final = _FINAL_OF_WEBHOOKS if webhook else _FINAL_OF_RESOURCES
    return Outcome(
        ok=False,
        name=_OUTCOMES.get(status, "GenericError"),
        detail=f"HTTP {status}",
        reason=_REASONS[status] if status in final else None,
        at_least_s=(_AT_LEAST_S if webhook else _AT_LEAST_OF_RESOURCES_S).get(status, 10),
    )


@dataclass(frozen=True)
class Pace:
    """Azure's times, all multiplied by `scale`."""

    scale: float = 1.0

    def wait_s(self, attempts: int, at_least_s: float) -> float:
        """Seconds until the next attempt after that many failed ones, a little randomised."""
        planned = SCHEDULE_S[min(attempts, len(SCHEDULE_S)) - 1]
        spread = 1 + random.uniform(0, SPREAD)  # noqa: S311 - no secret
        return max(planned, at_least_s) * spread * self.scale

    def rest_s(self, outcome: str) -> float:
        """Seconds of rest for an endpoint that failed so again and again."""
        return _PROBATION_S.get(outcome, 10) * self.scale

    def scaled(self, seconds: float) -> float:
        return seconds * self.scale
