"""Why the broker itself dead-letters a message, in the words that Azure uses."""

from typing import Final

from localcloud.servicebus.decoding import Value
from localcloud.servicebus.entities import TAKES_NONE
from localcloud.servicebus.message import DEAD_LETTER_DESCRIPTION, DEAD_LETTER_REASON
from localcloud.servicebus.routing import MAX_HOPS, Destination

MAX_DELIVERIES: Final = "MaxDeliveryCountExceeded"
EXPIRED: Final = "TTLExpiredException"
NO_SESSION: Final = "Session ID is null."
HOPS: Final = "MaxTransferHopCountExceeded"
DISABLED: Final = "MessagingEntityDisabled"
"""Azure documents that it dead-letters then, not by which reason: this one is ours."""


def why(reason: str, description: str) -> dict[str, Value]:
    """The two properties in which the SDKs read why a message is dead."""
    return {DEAD_LETTER_REASON: reason, DEAD_LETTER_DESCRIPTION: description}


def against_forwarding(target: Destination, hops: int) -> tuple[str, str] | None:
    """The reason and its description for which a message cannot go on to there, or None.

    https://learn.microsoft.com/azure/service-bus-messaging/service-bus-auto-forwarding
    """
    if hops >= MAX_HOPS:
        return HOPS, f"The message was forwarded {MAX_HOPS} times, which is the maximum."
    if target.status in TAKES_NONE:
        return DISABLED, f"'{target.name}', to forward to, is disabled."
    return None
