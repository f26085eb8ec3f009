"""What is to be sent and what became of it, as sending, reporting and their repositories see it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, time
from typing import Literal
from uuid import UUID

from blueprints.notifications.models import Channel, DeliveryStatus, Notification, Outcome
from shared.problem import PartnerUnavailable


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """A delivery that is ours to send until `claimed_until`.

    `first_tried_at` is since when the provider may have it, `is_first_try` if that is only now.
    `digest_id` is that of the one mail in which it goes with others. `time_zone` and `quiet` are
    the recipient's, None where there are no quiet hours.
    """

    id: UUID
    channel: Channel
    digest_id: UUID | None
    attempts: int
    claimed_until: datetime
    first_tried_at: datetime
    is_first_try: bool
    time_zone: str | None
    quiet: tuple[time, time] | None
    notification: Notification

    @property
    def key(self) -> UUID:
        """The id of the message at the provider: a repeat under it is the same message."""
        return self.digest_id or self.id


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What is to become of a claimed delivery.

    `outcome` is what its log says; None if nothing was tried. One that stays `pending` is due again
    at `due_at`, or after `delay_s` seconds, or at once; `taken_perhaps` if nobody knows whether the
    provider has it.
    """

    delivery: Due
    status: DeliveryStatus
    outcome: Outcome | None = None
    reason: str | None = None
    reference: str | None = None
    due_at: datetime | None = None
    delay_s: float = 0.0
    taken_perhaps: bool = False


@dataclass(frozen=True, slots=True)
class Sent:
    """A message that a provider has taken."""

    delivery_id: UUID
    notification_id: UUID
    channel: Channel
    type: str
    recipient_id: UUID | None
    order_id: UUID | None


@dataclass(frozen=True, slots=True)
class Accepted:
    """The provider has taken the message; its reports will name `reference`."""

    reference: str


@dataclass(frozen=True, slots=True)
class Refused:
    """The provider will never take this message. `reason` holds no personal data."""

    reason: str
    suppressed: bool = False
    """The provider does not send to this address any more."""


type Answer = Accepted | Refused


class ProviderFault(PartnerUnavailable):
    """No answer that can be relied on: the message may or may not have been taken. Try again."""


class Throttled(ProviderFault):
    """The provider takes no messages for `retry_after_s` seconds; it did not take this one."""


class LeftAlone(ProviderFault):
    """The provider does not answer, so it was not even asked; see shared.resilience.Breaker."""


type Fate = Literal["delivered", "bounced", "failed"]
"""What a delivery report can say: `bounced` is for good, `failed` says nothing of the next one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """A provider's word on a message that it took; None for `fate` if it says nothing final.

    `keys` are the ids of ours that the message may have gone by, `reference` is the provider's.
    """

    channel: Literal["email", "sms"]
    reference: str
    keys: Sequence[UUID]
    recipient: str
    fate: Fate | None
    reason: str | None
