"""What a person is shown of the own sessions."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, Field


class Session(BaseModel):
    """A sign-in and what it is used from.

    `last_seen_at` is exact to the minute. `current` is the one that asks.
    """

    id: UUID
    device: Annotated[str, Field(examples=["Firefox on Windows"])]
    signed_in_at: datetime
    last_seen_at: datetime
    current: bool


class SessionList(BaseModel):
    """The sessions used in the last 24 hours, latest first.

    While the registry is away the list is not `complete`: it holds only the session that asks.
    """

    items: list[Session]
    complete: bool
