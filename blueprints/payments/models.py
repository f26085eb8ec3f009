"""What a payment is, what the gateway says of one, and what may be refused about it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, ClassVar, Literal, Protocol
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, Field, StringConstraints

from shared.http import Body, Query
from shared.problem import PartnerUnavailable, Problem

type Status = Literal[
    "pending",
    "unknown",
    "requires_action",
    "authorized",
    "captured",
    "partially_refunded",
    "refunded",
    "voided",
    "failed",
]
type TransactionKind = Literal["authorize", "confirm", "capture", "void", "refund"]
type Outcome = Literal["sent", "unknown", "succeeded", "requires_action", "declined", "refused"]
type RefundStatus = Literal["pending", "succeeded", "failed"]
type StepResult = dict[str, Any]
"""What a saga step answers: {} when done, {"refused": code} when it must not be done, or
{"pending": "confirmation", "window_s": seconds} while it waits for the customer."""

CAPTURED: tuple[Status, ...] = ("captured", "partially_refunded", "refunded")
"""Statuses in which money has moved."""

PRINTABLE = r"^[^\x00-\x1f\x7f-\x9f]*$"

MinorUnits = Annotated[int, Field(ge=0, description="minor units of the currency; 1299 is 12.99")]


NoticeId = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,64}$"), Field(examples=["evt_8f14e45f"])
]
NoticeType = Annotated[
    str,
    StringConstraints(pattern=r"^[a-z_]+(\.[a-z_]+)*$", max_length=64),
    Field(examples=["payment.authorized"]),
]


class AnswerConfirmation(Body):
    """The code with which the customer confirms the payment of an order."""

    order_id: UUID
    code: Annotated[str, StringConstraints(pattern=r"^[0-9]{4,10}$")]


class RefundPayment(Body):
    """How much to give back, and why. Without an amount: all that is left."""

    amount: Annotated[int, Field(ge=1, description="minor units")] | None = None
    reason: Annotated[
        str,
        StringConstraints(strip_whitespace=True, min_length=3, max_length=500, pattern=PRINTABLE),
    ]


class PaymentQuery(Query):
    """Which payments to list, newest first. `created_from` is inclusive, `created_to` exclusive."""

    order_id: UUID | None = None
    status: Status | None = None
    created_from: AwareDatetime | None = None
    created_to: AwareDatetime | None = None
    limit: Annotated[int, Field(ge=1, le=100)] = 20
    cursor: Annotated[str, StringConstraints(max_length=1024)] | None = None


class NoticedPayment(BaseModel):
    """Of what the gateway tells about the payment, only whose it is."""

    reference: Annotated[
        str,
        StringConstraints(min_length=1, max_length=128),
        Field(examples=["0199a3c2-7d10-7c55-9e0a-5b6f1f6d2a01"]),
    ]


class PaymentNotice(BaseModel):
    """The gateway says that something happened to a payment: an occasion to ask it what.

    The same `id` is the same notice. Fields that are not named here are not read.
    """

    id: NoticeId
    type: NoticeType
    data: NoticedPayment


class Payment(BaseModel):
    """The payment of an order. `refunding_amount` is on its way back and not yet acknowledged."""

    id: UUID
    order_id: UUID
    customer_id: UUID
    status: Status
    version: int
    currency: str
    amount: MinorUnits
    authorized_amount: MinorUnits
    captured_amount: MinorUnits
    refunded_amount: MinorUnits
    refunding_amount: MinorUnits
    decline_code: str | None
    confirm_until: datetime | None
    created_at: datetime
    updated_at: datetime


class Refund(BaseModel):
    """Money given back. `pending` until the gateway acknowledged it; nothing is lost meanwhile."""

    id: UUID
    payment_id: UUID
    amount: MinorUnits
    currency: str
    status: RefundStatus
    reason: str
    requested_at: datetime
    settled_at: datetime | None


@dataclass(frozen=True, slots=True)
class Account:
    """A payment as the steps see it: status, money and the gateway's name for it."""

    id: UUID
    order_id: UUID
    customer_id: UUID
    status: Status
    currency: str
    amount: int
    authorized_amount: int
    captured_amount: int
    refunded_amount: int
    refunding_amount: int
    payment_method: str
    gateway_id: str | None
    decline_code: str | None
    confirm_until: datetime | None

    @property
    def refundable(self) -> int:
        """What was captured and neither given back nor on its way back."""
        return self.captured_amount - self.refunded_amount - self.refunding_amount


@dataclass(frozen=True, slots=True)
class PendingRefund:
    """A refund whose outcome is not known yet."""

    id: UUID
    payment_id: UUID
    order_id: UUID
    amount: int
    gateway_payment_id: str


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """Something that happened to a payment; clients see those that are `public`."""

    at: datetime
    kind: str
    amount: int | None
    detail: str | None
    public: bool


@dataclass(frozen=True, slots=True)
class GatewayPayment:
    """A payment as the gateway describes it."""

    id: str
    status: Literal["authorized", "declined", "requires_action", "captured", "voided"]
    amount: int
    captured_amount: int
    decline_code: str | None


class Fulfilment(Protocol):
    """What a payment needs to know of its order."""

    @property
    def status(self) -> str: ...
    @property
    def cancel_requested(self) -> bool: ...
    @property
    def customer_id(self) -> UUID: ...
    @property
    def lines(self) -> Sequence[tuple[UUID, int]]: ...
    @property
    def gross_total(self) -> int: ...
    @property
    def currency(self) -> str: ...
    @property
    def payment_method(self) -> str: ...


class OrderBook(Protocol):
    """The orders, as far as their payment goes."""

    async def fulfilment(self, order_id: UUID) -> Fulfilment | None:
        """The order as it is now; None if there is none."""
        ...


class Gateway(Protocol):
    """The payment gateway; see PaymentGateway for what each call promises."""

    async def authorise(
        self, *, reference: str, amount: int, currency: str, payment_method: str, key: str
    ) -> GatewayPayment:
        """Hold the amount."""
        ...

    async def confirm(self, payment_id: str, *, code: str, key: str) -> GatewayPayment:
        """Pass the customer's code on."""
        ...

    async def capture(self, payment_id: str, *, amount: int, key: str) -> GatewayPayment:
        """Take the money."""
        ...

    async def void(self, payment_id: str, *, key: str) -> GatewayPayment:
        """Let the held amount go."""
        ...

    async def refund(self, payment_id: str, *, amount: int, key: str) -> str:
        """Give money back; the gateway's id of the refund."""
        ...

    async def get(self, payment_id: str) -> GatewayPayment:
        """Look."""
        ...


class Dispatcher(Protocol):
    """Sends events that have been committed."""

    async def dispatch(self, *aggregate_ids: UUID) -> None:
        """Send what waits for these aggregates. Never raises."""
        ...


class ConfirmationNotPending(Problem):
    """The payment does not wait for its customer."""

    status, code = 409, "confirmation-not-pending"


class NotRefundable(Problem):
    """Nothing of the payment can be given back."""

    status, code = 409, "payment-not-refundable"


class RefundTooLarge(Problem):
    """More than what is left; `refundable` says how much that is, in minor units."""

    status, code = 409, "refund-exceeds-captured"
    members: ClassVar = {"refundable": int}

    def __init__(self, detail: str, refundable: int) -> None:
        super().__init__(detail, refundable=refundable)


class GatewayFault(PartnerUnavailable):
    """No answer that can be relied on: the call may or may not have taken effect. Try again."""


class GatewayRefusal(Exception):
    """The gateway said no and changed nothing; `code` is its word for why."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code
