"""What becomes of a message, by the address it goes to: so a test or a demo picks its outcome."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

Status = Literal[
    "Delivered", "Expanded", "Bounced", "Suppressed", "FilteredSpam", "Quarantined", "Failed"
]
"""Of an email; an SMS is Delivered or Failed.

Source: https://learn.microsoft.com/azure/event-grid/communication-services-email-events
"""

SOON_S: Final = 0.2
SLOW_S: Final = 3.0


@dataclass(frozen=True)
class Outcome:
    """One report: what it says, and how many seconds after the message was taken."""

    status: Status
    detail: str
    after_s: float = SOON_S


@dataclass(frozen=True)
class Rule:
    """What an address means, in words and in reports. No report at all is possible, too."""

    words: str
    outcomes: tuple[Outcome, ...]


DELIVERED: Final = Outcome("Delivered", "")
SUPPRESSED: Final = Outcome(
    "Suppressed", "The recipient is on the managed suppression list after a hard bounce."
)

EMAIL_RULES: Final[Mapping[str, Rule]] = {
    "bounce": Rule(
        "Bounced; later mail to the address is Suppressed",
        (
            Outcome(
                "Bounced", "550 5.1.1 The email account that you tried to reach does not exist."
            ),
        ),
    ),
    "suppressed": Rule("Suppressed", (SUPPRESSED,)),
    "spam": Rule("FilteredSpam", (Outcome("FilteredSpam", "554 5.7.1 Rejected as spam."),)),
    "quarantine": Rule(
        "Quarantined", (Outcome("Quarantined", "Held in quarantine as suspected phishing."),)
    ),
    "failed": Rule(
        "Failed", (Outcome("Failed", "Email was dropped after several attempts to deliver."),)
    ),
    "list": Rule(
        "Expanded, then Delivered",
        (
            Outcome("Expanded", "The address is a list and was expanded."),
            Outcome("Delivered", "", 2 * SOON_S),
        ),
    ),
    "slow": Rule(f"Delivered after {SLOW_S:g} seconds", (Outcome("Delivered", "", SLOW_S),)),
    "never": Rule("no report ever", ()),
}
"""By the local part of the address up to a `+`, or by a domain `<name>.example`."""

SMS_RULES: Final[Mapping[str, Rule]] = {
    "0001": Rule("Failed: unreachable", (Outcome("Failed", "Unreachable destination handset."),)),
    "0002": Rule("Failed: opted out", (Outcome("Failed", "Recipient has opted out."),)),
    "0003": Rule(
        f"Delivered after {SLOW_S:g} seconds",
        (Outcome("Delivered", "Message delivered successfully", SLOW_S),),
    ),
    "0004": Rule("no report ever", ()),
}
"""By the last four digits of the number."""

SMS_DELIVERED: Final = Outcome("Delivered", "Message delivered successfully")


def of_email(address: str) -> tuple[Outcome, ...]:
    """The reports that mail to `address` earns, in order."""
    local, _, domain = address.lower().rpartition("@")
    rule = EMAIL_RULES.get(domain.removesuffix(".example")) if domain.endswith(".example") else None
    rule = EMAIL_RULES.get(local.partition("+")[0]) or rule
    return (DELIVERED,) if rule is None else rule.outcomes


def of_sms(number: str) -> tuple[Outcome, ...]:
    """The reports that a text to `number` earns, in order."""
    rule = SMS_RULES.get(number[-4:])
    return (SMS_DELIVERED,) if rule is None else rule.outcomes


def described() -> str:
    """All rules as text, for `--help`."""
    emails = [f"  {name}@… or …@{name}.example: {rule.words}" for name, rule in EMAIL_RULES.items()]
    texts = [f"  numbers ending in {end}: {rule.words}" for end, rule in SMS_RULES.items()]
    return "\n".join([*emails, *texts, "  everything else: Delivered"])
