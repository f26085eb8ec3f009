"""What people are told and the rules of each kind of message."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, time
from typing import ClassVar, Literal, Protocol, TypedDict, get_args
from uuid import UUID

from pydantic import JsonValue

from shared.problem import Problem

type Channel = Literal["in_app", "email", "sms"]
type Reader = Literal["client", "employee"]
type NotificationType = Literal[
    "order_placed",
    "order_confirmed",
    "payment_declined",
    "order_shipped",
    "order_delivered",
    "order_cancelled",
    "order_returned",
    "payment_refunded",
    "order_stuck",
    "gdpr_request_received",
    "gdpr_export_ready",
    "message",
]
type Audience = Literal[
    "clients", "employees", "role:customer-service", "role:order-manager", "role:admin"
]
type DeliveryStatus = Literal[
    "pending", "accepted", "delivered", "failed", "bounced", "suppressed", "skipped"
]
type Outcome = Literal[
    "accepted", "delivered", "bounced", "refused", "fault", "suppressed", "skipped"
]
type Language = Literal["en", "de", "fr"]
type DigestRhythm = Literal["off", "daily", "weekly"]

CHANNELS: tuple[Channel, ...] = get_args(Channel.__value__)
AUDIENCES: tuple[Audience, ...] = get_args(Audience.__value__)
LANGUAGES: tuple[Language, ...] = get_args(Language.__value__)
"""Languages that people are written to in; everybody else reads the first."""


@dataclass(frozen=True, slots=True)
class TypeRule:
    """What holds for a kind of message.

    `facts` are the names that its wording uses, one set per version of the template, the first
    being version 1. `outdated_by` are the statuses of an order that make an email or an SMS about
    it pointless. Who cannot refuse a `mandatory` one gets it in the app and by email.
    """

    meaning: str
    email: bool = False
    mandatory: bool = False
    readers: frozenset[Reader] = frozenset({"client"})
    outdated_by: frozenset[str] = frozenset()
    facts: tuple[frozenset[str], ...] = field(default=(frozenset(),))

    @property
    def version(self) -> int:
        """The version of the template that new messages are written with."""
        return len(self.facts)


_ORDER = frozenset({"number"})
_AMOUNT = frozenset({"number", "amount", "currency"})

TYPES: Mapping[NotificationType, TypeRule] = {
    "order_placed": TypeRule(
        "we have received an order",
        email=True,
        mandatory=True,
        facts=(_AMOUNT | {"lines"},),
    ),
    "order_confirmed": TypeRule(
        "an order is paid and will be sent",
        outdated_by=frozenset({"shipped", "delivered", "returned", "cancelling", "cancelled"}),
        facts=(_ORDER,),
    ),
    "payment_declined": TypeRule(
        "a payment did not come about",
        email=True,
        outdated_by=frozenset({"confirmed", "shipped", "delivered", "returned"}),
        facts=(_AMOUNT,),
    ),
    "order_shipped": TypeRule(
        "an order is on its way",
        email=True,
        outdated_by=frozenset({"delivered", "returned"}),
        facts=(_ORDER | {"tracking_number"},),
    ),
    "order_delivered": TypeRule(
        "an order has arrived", outdated_by=frozenset({"returned"}), facts=(_ORDER,)
    ),
    "order_cancelled": TypeRule(
        "an order was called off",
        email=True,
        mandatory=True,
        facts=(_ORDER | {"reason"},),
    ),
    "order_returned": TypeRule("returned goods have reached us", facts=(_ORDER,)),
    "payment_refunded": TypeRule(
        "money is on its way back", email=True, mandatory=True, facts=(_AMOUNT,)
    ),
    "order_stuck": TypeRule(
        "an order needs somebody to decide",
        mandatory=True,
        readers=frozenset({"employee"}),
        facts=(_ORDER,),
    ),
    "gdpr_request_received": TypeRule(
        "we have received a request about personal data",
        email=True,
        mandatory=True,
        facts=(frozenset({"kind"}),),
    ),
    "gdpr_export_ready": TypeRule(
        "the copy of personal data can be fetched",
        email=True,
        mandatory=True,
        facts=(frozenset({"available_until"}),),
    ),
    "message": TypeRule(
        "somebody of our staff has written", readers=frozenset({"client", "employee"})
    ),
}
"""Every kind of message."""


def is_mandatory(type_: NotificationType) -> bool:
    """Whether nobody can refuse it, in the app or by email."""
    return TYPES[type_].mandatory


def is_outdated(type_: NotificationType, order_status: str) -> bool:
    """Whether the order has moved on so far that nobody should be written to about this."""
    return order_status in TYPES[type_].outdated_by


class Contact(Protocol):
    """How a customer is reached."""

    @property
    def name(self) -> str: ...
    @property
    def email(self) -> str: ...
    @property
    def phone(self) -> str | None: ...
    @property
    def language(self) -> str: ...


class OrderNotice(Protocol):
    """What may be told of an order. Amounts are minor units; lines are (name, quantity)."""

    @property
    def number(self) -> str: ...
    @property
    def customer_id(self) -> UUID: ...
    @property
    def status(self) -> str: ...
    @property
    def currency(self) -> str: ...
    @property
    def gross_total(self) -> int: ...
    @property
    def tracking_number(self) -> str | None: ...
    @property
    def cancel_reason(self) -> str | None: ...
    @property
    def lines(self) -> Sequence[tuple[str, int]]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Notification:
    """Something that one person or one audience is told.

    `facts` hold what the wording needs and neither name nor address; `message` is the `subject` and
    `text` that somebody wrote freely, for the type `message` only.
    """

    id: UUID
    type: NotificationType
    recipient_id: UUID | None
    audience: Audience | None
    order_id: UUID | None
    facts: Mapping[str, JsonValue]
    message: Mapping[str, str] | None
    template_version: int
    occurred_at: datetime


@dataclass(frozen=True, slots=True)
class Mail:
    """An email as it is sent; the subject is one line."""

    subject: str
    text: str
    html: str


@dataclass(frozen=True, slots=True)
class InApp:
    """A notification as the app shows it; both are plain text."""

    title: str
    text: str


class WordingFault(Exception):
    """This cannot be put into words, now or later; `reason` says why and holds no personal data."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Habits:
    """When a person wants to be left alone, and how often to be written to; local hours.

    `quiet` are the hours from the first to the second time, which may lie after midnight.
    """

    time_zone: str
    quiet: tuple[time, time] | None = None
    digest: DigestRhythm = "off"
    digest_at: time = time(8)
    version: int = 0


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """What became of telling somebody about an order, on one channel."""

    at: datetime
    type: NotificationType
    channel: Channel
    status: DeliveryStatus


class MandatoryChoice(TypedDict):
    """A kind of message and a channel that go together whatever one wants."""

    type: NotificationType
    channel: Channel


class MandatoryNotification(Problem):
    """These cannot be switched off; `refused` names each type and channel."""

    status, code = 409, "mandatory-notification"
    members: ClassVar = {"refused": list[MandatoryChoice]}


class RecipientUnknown(Problem):
    """There is no such customer to write to."""

    status, code = 409, "recipient-unknown"


class TemplateNotRendered(Problem):
    """These facts do not fill this template; the detail names what is missing."""

    status, code = 409, "template-not-rendered"
