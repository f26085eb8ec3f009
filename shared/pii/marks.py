"""What kinds of personal data there are, and the marks that models put on fields holding them."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from pydantic import GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from shared.auth import CUSTOMER_SERVICE

HIDDEN = "***"


class Category(StrEnum):
    """What a piece of personal data says of somebody."""

    NAME = "name"
    EMAIL = "email"
    PHONE = "phone"
    ADDRESS = "postal address"
    PERSON = "person's id"
    LINK = "link to a person"
    PURCHASE = "purchase"
    PAYMENT = "payment token"
    PARCEL = "parcel"
    PREFERENCE = "preference"
    ACTIVITY = "activity"
    WORDS = "free text"


MEANINGS = {
    Category.NAME: "what somebody is called",
    Category.EMAIL: "where an email reaches somebody",
    Category.PHONE: "where a call or an SMS reaches somebody",
    Category.ADDRESS: "where goods or letters reach somebody",
    Category.PERSON: "the object id of somebody in a directory: names nobody, tells people apart",
    Category.LINK: "an id of ours that leads to somebody through another record",
    Category.PURCHASE: "what somebody bought, and for how much",
    Category.PAYMENT: "the payment gateway's token for a way to pay; never a card number",
    Category.PARCEL: "the carrier's number of a parcel",
    Category.PREFERENCE: "what somebody chose",
    Category.ACTIVITY: "what somebody did or was told, and when",
    Category.WORDS: "words that a person wrote; anything may stand there",
}
"""Every category and its meaning."""


@dataclass(frozen=True, slots=True)
class Personal:
    """Marks a field of a model as personal data: `email: Annotated[str, EMAIL]`.

    Employees with none of the roles `shown_to` get what `mask` leaves of it; None shows it to
    everybody whom the operation lets in. Customers see their own data in full.
    """

    category: Category
    shown_to: frozenset[str] | None = None
    mask: Callable[[str], str] | None = None
    masked_example: str = ""

    def is_hidden_from(self, roles: frozenset[str]) -> bool:
        """Whether an employee with these roles gets the mask only."""
        return self.shown_to is not None and self.shown_to.isdisjoint(roles)

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Say in OpenAPI what it is, and who sees it masked."""
        described: dict[str, Any] = {**handler(schema), "x-personal-data": self.category.value}
        if self.shown_to is not None:
            shown_to = sorted(self.shown_to)
            described["x-shown-to"] = shown_to
            if handler.mode == "validation":
                return described  # what callers send, they know
            rule = (
                f"Employees other than {' and '.join(shown_to)} get it masked: "
                f"`{self.masked_example}`."
            )
            before = described.get("description")
            described["description"] = f"{before}. {rule}" if before else rule
        return described


def mask_email(email: str) -> str:
    """The first letter of the mailbox and of its domain, and the last label: `a***@e***.com`."""
    mailbox, at, domain = email.rpartition("@")
    label, dot, last = domain.rpartition(".")
    if not (mailbox and at and label and dot and last):
        return HIDDEN
    return f"{mailbox[0]}{HIDDEN}@{label[0]}{HIDDEN}.{last}"


def mask_phone(phone: str) -> str:
    """The last two digits: enough to ask whether it is still the right one."""
    return f"{HIDDEN}{phone[-2:]}" if len(phone) >= 7 else HIDDEN  # noqa: PLR2004 - E.164's least


NAME = Personal(Category.NAME)
EMAIL = Personal(Category.EMAIL, frozenset({CUSTOMER_SERVICE}), mask_email, "a***@e***.com")
PHONE = Personal(Category.PHONE, frozenset({CUSTOMER_SERVICE}), mask_phone, "***42")
ADDRESS = Personal(Category.ADDRESS)
