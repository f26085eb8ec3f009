"""What the gateway is sent, and the payment methods it knows."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Status = Literal["authorized", "declined", "requires_action", "captured", "voided"]

MinorUnits = Annotated[int, Field(ge=1, le=10**12)]
"""An amount of money in the smallest unit of its currency; never a fraction, never nothing."""

CONFIRMATION_CODE = "123456"


@dataclass(frozen=True)
class Outcome:
    """What authorising with a payment method comes to."""

    status: Status
    decline_code: str | None = None
    withholds_answer: bool = False
    """The first answer does not arrive; the authorization stands all the same."""


METHODS: Mapping[str, Outcome] = {
    "tok_success": Outcome("authorized"),
    "tok_declined": Outcome("declined", "card_declined"),
    "tok_insufficient_funds": Outcome("declined", "insufficient_funds"),
    "tok_confirmation_required": Outcome("requires_action"),
    "tok_timeout_after_effect": Outcome("authorized", withholds_answer=True),
}


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Authorize(_Request):
    reference: Annotated[str, Field(min_length=1, max_length=128)]
    """The merchant's own name for what is paid."""
    amount: MinorUnits
    currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$")]
    payment_method: Annotated[str, Field(min_length=1, max_length=64)]


class Confirm(_Request):
    code: Annotated[str, Field(min_length=1, max_length=32)]


class Capture(_Request):
    amount: MinorUnits


class Void(_Request):
    """Nothing to say."""


class Refund(_Request):
    amount: MinorUnits
    reason: Annotated[str, Field(max_length=256)] | None = None
