"""What is known of a customer, and what a customer may say of himself."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Literal, Self
from uuid import UUID

from pydantic import AfterValidator, BaseModel, Field, StringConstraints, model_validator

from shared import pii
from shared.http import Body, Query
from shared.problem import Problem

type Segment = Literal["standard", "business", "vip"]
type Standing = Literal["active", "inactive", "unknown"]

SEGMENTS: Mapping[Segment, str] = {
    "standard": "everybody who is in no other segment",
    "business": "buys for a company",
    "vip": "is served first",
}
"""Every segment and its meaning."""

PRINTABLE = r"^[^\x00-\x1f\x7f-\x9f]*$"

# RFC 5321 §4.1.2 without quoted local parts, address literals and comments, which no mailbox of a
# customer has; §4.5.3.1 bounds the lengths.
MAILBOX = (
    r"^[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*"
    r"@([A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?$"
)

LOCAL_PART_MAX_LENGTH = 64


def _with_short_local_part(mailbox: str) -> str:
    if mailbox.index("@") > LOCAL_PART_MAX_LENGTH:
        raise ValueError(f"at most {LOCAL_PART_MAX_LENGTH} characters stand before the @")
    return mailbox


Name = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=200, pattern=PRINTABLE),
    pii.NAME,
]
AddressLine = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=200, pattern=PRINTABLE),
    pii.ADDRESS,
]
Email = Annotated[
    str,
    StringConstraints(strip_whitespace=True, max_length=254, pattern=MAILBOX),
    AfterValidator(_with_short_local_part),
    pii.EMAIL,
]
Phone = Annotated[
    str,
    StringConstraints(pattern=r"^\+[1-9][0-9]{6,14}$"),
    Field(description="E.164"),
    pii.PHONE,
]
PostalCode = Annotated[
    str,
    StringConstraints(
        strip_whitespace=True, min_length=2, max_length=12, pattern=r"^[A-Za-z0-9][A-Za-z0-9 -]*$"
    ),
    pii.ADDRESS,
]
Country = Annotated[
    str,
    StringConstraints(pattern=r"^[A-Z]{2}$"),
    Field(description="ISO 3166-1 alpha-2"),
    pii.ADDRESS,
]
Language = Annotated[str, StringConstraints(pattern=r"^[a-z]{2}$"), Field(description="ISO 639-1")]


class Address(Body):
    """Where goods or letters reach someone."""

    line1: AddressLine
    line2: AddressLine | None = None
    postal_code: PostalCode
    city: AddressLine
    country: Country


class Profile(Body):
    """What a customer says of himself."""

    name: Name
    email: Email
    phone: Phone | None = None
    default_address: Address | None = None
    language: Language = "en"


class UpdateCustomer(Profile):
    """The whole profile anew; what is left out is emptied.

    `status` and `segment` stay as they are when left out, and only employees may name them.
    """

    status: Literal["active", "inactive"] | None = None
    segment: Segment | None = None


class Customer(BaseModel):
    """A customer; `id` is the person's object id in the clients' directory."""

    id: UUID
    name: Annotated[str, pii.NAME]
    email: Annotated[str, pii.EMAIL]
    phone: Annotated[str, pii.PHONE] | None
    default_address: Address | None
    language: str
    segment: Segment
    status: Literal["active", "inactive"]
    version: int
    registered_at: datetime
    updated_at: datetime


PageLimit = Annotated[int, Field(ge=1, le=100)]
Cursor = Annotated[str, StringConstraints(max_length=1024)]


class CustomerQuery(Query):
    """Which customers to list."""

    segment: Segment | None = None
    status: Literal["active", "inactive"] | None = None
    limit: PageLimit = 20
    cursor: Cursor | None = None


class CustomerSearch(Body):
    """What is known of somebody; all of it must match, and something must be given.

    Names forgive typing errors. An email or a phone number (E.164) may be the beginning of one, for
    who is shown them in full.
    """

    name: (
        Annotated[
            str,
            StringConstraints(
                strip_whitespace=True, min_length=3, max_length=200, pattern=PRINTABLE
            ),
            pii.NAME,
        ]
        | None
    ) = None
    email: (
        Annotated[
            str,
            StringConstraints(
                strip_whitespace=True, min_length=3, max_length=254, pattern=PRINTABLE
            ),
            pii.EMAIL,
        ]
        | None
    ) = None
    phone: Annotated[str, StringConstraints(pattern=r"^\+[1-9][0-9]{3,14}$"), pii.PHONE] | None = (
        None
    )
    limit: PageLimit = 20
    cursor: Cursor | None = None

    @model_validator(mode="after")
    def _something_is_asked(self) -> Self:
        if self.name is None and self.email is None and self.phone is None:
            raise ValueError("give a name, an email or a phone number")
        return self


class CustomerSummary(BaseModel):
    """A customer as lists show him."""

    id: UUID
    name: Annotated[str, pii.NAME]
    email: Annotated[str, pii.EMAIL]
    phone: Annotated[str, pii.PHONE] | None
    segment: Segment
    status: Literal["active", "inactive"]
    registered_at: datetime


class SegmentSummary(BaseModel):
    """A segment; `more` says that it has more than the `customers` that were counted."""

    code: Segment
    meaning: str
    customers: int
    more: bool


@dataclass(frozen=True, slots=True)
class Contact:
    """How to reach a customer, and in which language (ISO 639-1)."""

    name: str
    email: str
    phone: str | None
    language: str


class CustomerErased(Problem):
    """The person had the account erased, which holds."""

    status, code = 409, "customer-erased"
