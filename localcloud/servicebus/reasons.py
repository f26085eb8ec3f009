"""Why the broker itself dead-letters a message, in the words that Azure uses."""

from typing import Final

from localcloud.servicebus.decoding import Value
from localcloud.servicebus.message import DEAD_LETTER_DESCRIPTION, DEAD_LETTER_REASON

MAX_DELIVERIES: Final = "MaxDeliveryCountExceeded"
EXPIRED: Final = "TTLExpiredException"
NO_SESSION: Final = "Session ID is null."
HOPS: Final = "MaxTransferHopCountExceeded"


def why(reason: str, description: str) -> dict[str, Value]:
    """The two properties in which the SDKs read why a message is dead."""
    return {DEAD_LETTER_REASON: reason, DEAD_LETTER_DESCRIPTION: description}
