"""What is known of a customer, and what a customer may say of himself."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import AfterValidator, BaseModel, Field, StringConstraints

from shared.http import Body
from shared.problem import Problem

type Segment = Literal["standard", "business", "vip"]
type Standing = Literal["active", "inactive", "unknown"]

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
]
AddressLine = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=200, pattern=PRINTABLE),
]
Email = Annotated[
    str,
    StringConstraints(strip_whitespace=True, max_length=254, pattern=MAILBOX),
    AfterValidator(_with_short_local_part),
]
Phone = Annotated[
    str, StringConstraints(pattern=r"^\+[1-9][0-9]{6,14}$"), Field(description="E.164")
]
PostalCode = Annotated[
    str,
    StringConstraints(
        strip_whitespace=True, min_length=2, max_length=12, pattern=r"^[A-Za-z0-9][A-Za-z0-9 -]*$"
    ),
]
Country = Annotated[
    str, StringConstraints(pattern=r"^[A-Z]{2}$"), Field(description="ISO 3166-1 alpha-2")
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
    name: str
    email: str
    phone: str | None
    default_address: Address | None
    language: str
    segment: Segment
    status: Literal["active", "inactive"]
    version: int
    registered_at: datetime
    updated_at: datetime


class CustomerErased(Problem):
    """The person had the account erased, which holds."""

    status, code = 409, "customer-erased"
