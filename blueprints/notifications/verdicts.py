"""What becomes of a claimed delivery, said in one place; pure but for the dice in the pauses."""

import random

from blueprints.notifications.delivery_models import (
    Accepted,
    Answer,
    Due,
    ProviderFault,
    Refused,
    Throttled,
    Verdict,
)
from blueprints.notifications.models import WordingFault

FIRST_DELAY_S, LONGEST_DELAY_S = 10.0, 3600.0
ATTEMPTS = 32
"""Ten seconds, twenty, forty… an hour, an hour…: given up after a day."""
OUR_FAULT = ProviderFault("internal fault", retry_after_s=0)


def delay_s(attempts: int, retry_after_s: float) -> float:
    """How long a delivery waits that was tried in vain `attempts` times before, in seconds.

    Not less than the provider asked for, and a little more than anybody else's.
    """
    doubled: float = FIRST_DELAY_S * 2.0 ** min(attempts, 16)
    return max(min(doubled, LONGEST_DELAY_S), retry_after_s) * random.uniform(1.0, 1.2)  # noqa: S311


def given_back(delivery: Due) -> Verdict:
    """Nothing was tried: it is due again at once."""
    return Verdict(delivery=delivery, status="pending")


def put_off(delivery: Due, fault: ProviderFault = OUR_FAULT) -> Verdict:
    """Tried in vain: later again, or given up after a day."""
    gives_up = delivery.attempts + 1 >= ATTEMPTS
    return Verdict(
        delivery=delivery,
        status="failed" if gives_up else "pending",
        outcome="fault",
        reason=f"given up: {fault.detail}" if gives_up else fault.detail,
        delay_s=delay_s(delivery.attempts, fault.retry_after_s),
        taken_perhaps=not isinstance(fault, Throttled),
    )


def answered(delivery: Due, answer: Answer) -> Verdict:
    """What the provider said."""
    match answer:
        case Accepted(reference):
            return Verdict(
                delivery=delivery, status="accepted", outcome="accepted", reference=reference
            )
        case Refused(reason, suppressed=True):
            return Verdict(
                delivery=delivery, status="suppressed", outcome="suppressed", reason=reason
            )
        case Refused(reason):
            return Verdict(delivery=delivery, status="failed", outcome="refused", reason=reason)


def not_worded(delivery: Due, fault: WordingFault) -> Verdict:
    """It cannot be put into words, now or later."""
    reason = f"template: {fault.reason}"
    return Verdict(delivery=delivery, status="failed", outcome="refused", reason=reason)


def skipped(delivery: Due, reason: str) -> Verdict:
    """There is no point in sending it, or nowhere to send it to."""
    return Verdict(delivery=delivery, status="skipped", outcome="skipped", reason=reason)


def to_dead_address(delivery: Due) -> Verdict:
    """The recipient's address bounced before."""
    return Verdict(
        delivery=delivery, status="suppressed", outcome="suppressed", reason="dead_address"
    )
