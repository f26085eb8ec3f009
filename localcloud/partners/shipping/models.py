"""What the shipping provider is sent."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Service = Literal["standard", "express"]

JourneyStatus = Literal["collected", "delivered"]

Country = Annotated[str, Field(pattern=r"^[A-Z]{2}$")]
"""ISO 3166-1 alpha-2."""
PostalCode = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9 -]{1,9}$")]
WeightG = Annotated[int, Field(ge=0, le=10**12)]


class RateRequest(BaseModel):
    """Where something of which weight is to go."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)
    country: Country
    postal_code: PostalCode
    weight_g: WeightG


class Address(BaseModel):
    """Where a parcel goes. Country and postal code decide; other lines are printed as they are."""

    model_config = ConfigDict(extra="allow", frozen=True, strict=True)
    __pydantic_extra__: dict[str, Annotated[str, Field(max_length=256)] | None]
    country: Country
    postal_code: PostalCode


class BookingRequest(BaseModel):
    """A parcel to be collected and delivered."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)
    reference: Annotated[str, Field(min_length=1, max_length=128)]
    """The shop's own name for what is sent."""
    service: Service
    address: Address
    weight_g: WeightG


class Journey(BaseModel):
    """How far a parcel has come."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)
    status: JourneyStatus
