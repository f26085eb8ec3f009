"""What an entry of the audit trail is, what may be asked of it, and what a check of it finds."""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Annotated, ClassVar, Literal, Self
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, Field, JsonValue, StringConstraints, model_validator

from shared.http import Body, Query
from shared.problem import Problem

type Ledger = Literal["logs", "gdpr"]
type Origin = Literal["event", "manual", "access", "erasure"]
type ActorKind = Literal["client", "employee", "platform"]

ERASED_ACTION = "audit.details_erased"
READ_ACTION = "personal_data.read"
ON_BEHALF_ACTION = "order.placed_on_behalf"
CUSTOMER = "customer"
"""The kind of subject whose id is a person's."""

DETAILS_MAX_LENGTH = 8 * 1024
LONGEST_RANGE_DAYS = 366
USUAL_RANGE_DAYS = 30
VERIFIED_PER_REQUEST = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """Something that happened, before it has a place in the chain.

    The ledger names the table: `gdpr` for what was done with a person's data, else `logs`. An
    `event_id` is recorded once. `payload` (JSON) is what the entry says beyond ids; it is erased
    when `person_id` is. Without an `occurred_at` it happened when it was recorded.
    """

    ledger: Ledger = "logs"
    origin: Origin
    action: str
    actor_kind: ActorKind
    actor_id: UUID | None
    subject_kind: str
    subject_id: UUID
    occurred_at: datetime | None = None
    order_id: UUID | None = None
    person_id: UUID | None = None
    event_id: str | None = None
    operation: str | None = None
    fields: str | None = None
    correlation_id: str
    payload: str | None = None


@dataclass(frozen=True, slots=True)
class Head:
    """The chain's last entry: its number, its hash, and when it was recorded."""

    seq: int
    entry_hash: bytes
    recorded_at: datetime


@dataclass(frozen=True, slots=True)
class Link:
    """An entry in its place in the chain, as it is stored."""

    entry: Entry
    seq: int
    recorded_at: datetime
    occurred_at: datetime
    salt: bytes | None
    commitment: bytes | None
    previous_hash: bytes
    entry_hash: bytes


Action = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_.]{0,127}$")]
Kind = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,39}$")]
Text = Annotated[
    str,
    StringConstraints(
        strip_whitespace=True,
        min_length=1,
        max_length=1000,
        pattern=r"^[^\x00-\x09\x0b-\x1f\x7f-\x9f]*$",
    ),
]


class Subject(Body):
    """What an entry is about."""

    kind: Kind
    id: UUID


class RecordEntry(Body):
    """What a person wants the audit trail to hold.

    `reason` and `details` may hold personal data of the customer who is named (as the subject or as
    `customer_id`): they are erased with that customer. Without a customer they stay.
    """

    action: Action
    subject: Subject
    order_id: UUID | None = None
    customer_id: UUID | None = None
    reason: Text
    details: dict[str, JsonValue] | None = None

    @model_validator(mode="after")
    def _names_one_customer(self) -> Self:
        if self.subject.kind == CUSTOMER and self.customer_id not in {None, self.subject.id}:
            raise ValueError("the subject and customer_id name two customers")
        return self

    @property
    def person_id(self) -> UUID | None:
        """Whose data the entry is about."""
        return self.subject.id if self.subject.kind == CUSTOMER else self.customer_id


class LoggedEntry(BaseModel):
    """An entry of the audit trail.

    `details` is null where the entry has none and where they were `erased`. `fields` tells which
    fields of the person's data were read. `hash` is hexadecimal.
    """

    seq: int
    recorded_at: datetime
    occurred_at: datetime
    origin: Origin
    action: str
    actor_kind: ActorKind
    actor_id: UUID | None
    subject: Subject
    order_id: UUID | None
    customer_id: UUID | None
    event_id: str | None
    operation: str | None
    fields: list[str] | None
    correlation_id: str
    details: dict[str, JsonValue] | None
    erased: bool
    hash: str


PageLimit = Annotated[int, Field(ge=1, le=100)]
Cursor = Annotated[str, StringConstraints(max_length=1024)]


class LogQuery(Query):
    """Which entries to list; without `from` the last 30 days before `to`, or before now."""

    actor: UUID | None = None
    subject: UUID | None = None
    action: Action | None = None
    order: UUID | None = None
    since: Annotated[AwareDatetime | None, Field(alias="from")] = None
    until: Annotated[AwareDatetime | None, Field(alias="to")] = None
    limit: PageLimit = 50
    cursor: Cursor | None = None


class TrailQuery(Query):
    """Which part of a customer's list to show."""

    limit: PageLimit = 50
    cursor: Cursor | None = None


type FindingKind = Literal[
    "missing",
    "duplicated",
    "altered",
    "replaced",
    "disordered",
    "details-altered",
    "details-missing",
    "details-added",
    "head-mismatch",
    "beyond-head",
    "rewritten",
    "anchor-missing",
    "anchor-forged",
    "anchor-unlinked",
]


class Finding(BaseModel):
    """Something that is not as it was written; `through` ends a range of entries.

    A finding about an anchor names its `day`.
    """

    kind: FindingKind
    seq: int | None = None
    through: int | None = None
    day: date | None = None
    detail: str


class VerifyQuery(Query):
    """Which entries to check; without `from` those since the last but one anchor."""

    first: Annotated[int | None, Field(alias="from", ge=1, le=2**62)] = None
    last: Annotated[int | None, Field(alias="to", ge=1, le=2**62)] = None


class Verification(BaseModel):
    """What a check found; entries from `next_from` on are still to be checked, unless it is null.

    `verified` counts entries, `erased` those among them whose details were erased by the book.
    """

    ok: bool
    from_seq: int
    to_seq: int
    head_seq: int
    verified: int
    erased: int
    anchors: int
    findings: list[Finding]
    more_findings: int
    next_from: int | None


class AuditRangeTooLong(Problem):
    """A query of the audit trail covers at most 366 days; ask for one part after the other."""

    status, code, title = 400, "audit-range-too-long", "The range is too long"


class DetailsTooLarge(Problem):
    """The details of an audit entry may have at most 8 KiB of JSON."""

    status, code = 413, "audit-details-too-large"
    members: ClassVar = {"limit": int}
