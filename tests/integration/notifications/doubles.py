"""Those around sending: people, orders, a screen, and providers that can be watched."""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

from blueprints.notifications.delivery_models import Accepted, Answer
from blueprints.notifications.models import Contact
from shared.db import Pending, Transaction
from shared.live import LiveMessage


@dataclass
class Person:
    """A customer who can be reached."""

    name: str
    email: str
    phone: str | None = None
    language: str = "en"
    id: UUID = field(default_factory=uuid4)


@dataclass
class People:
    """The customers that there are."""

    known: dict[UUID, Contact] = field(default_factory=dict)

    async def ask_contacts(
        self, tx: Transaction, customer_ids: Collection[UUID]
    ) -> Pending[Mapping[UUID, Contact]]:
        await tx.execute("SELECT 1")

        async def told() -> Mapping[UUID, Contact]:
            return {one: self.known[one] for one in customer_ids if one in self.known}

        return told

    def meet(self, local_part: str = "anna", *, phone: str | None = None, **facts: Any) -> Person:
        """Somebody with an address that nobody else has."""
        email = f"{local_part}+{uuid4().hex[:12]}@clients.example"
        person = Person("Anna Andersson", email, phone, **facts)
        self.known[person.id] = person
        return person


class Anybody(People):
    """Whoever is asked for can be reached, under an address made of the id."""

    async def ask_contacts(
        self, tx: Transaction, customer_ids: Collection[UUID]
    ) -> Pending[Mapping[UUID, Contact]]:
        for one in customer_ids:
            self.known[one] = Person("Anna Andersson", f"{one}@clients.example", id=one)
        return await super().ask_contacts(tx, customer_ids)


@dataclass
class Orders:
    """How far the orders are."""

    statuses: dict[UUID, str] = field(default_factory=dict)

    async def ask_statuses(
        self, tx: Transaction, order_ids: Collection[UUID]
    ) -> Pending[Mapping[UUID, str]]:
        await tx.execute("SELECT 1")

        async def told() -> Mapping[UUID, str]:
            return {one: self.statuses[one] for one in order_ids if one in self.statuses}

        return told


@dataclass
class Screen:
    """The live feed: what the app showed, batch by batch."""

    batches: list[list[LiveMessage]] = field(default_factory=list)
    away: bool = False

    async def publish(self, messages: Sequence[LiveMessage]) -> bool:
        if self.away:
            return False
        self.batches.append(list(messages))
        return True

    def shown(self, person: Person) -> list[LiveMessage]:
        """What was shown to the person, oldest first."""
        group = f"user:{person.id}"
        return [one for batch in self.batches for one in batch if one.groups == (group,)]


@dataclass
class Post:
    """A provider of both kinds that can be watched; each answer costs it `takes_s`."""

    takes_s: float = 0.0
    faults: list[Exception] = field(default_factory=list)
    keys: list[UUID] = field(default_factory=list)
    busy: asyncio.Event = field(default_factory=asyncio.Event)
    at_work: int = 0
    most_at_work: int = 0

    async def send(self, *_: Any, key: UUID, **__: Any) -> Answer:
        self.at_work += 1
        self.busy.set()
        self.most_at_work = max(self.most_at_work, self.at_work)
        await asyncio.sleep(self.takes_s)
        self.at_work -= 1
        self.keys.append(key)
        if self.faults:
            raise self.faults.pop(0)
        return Accepted(f"at the post: {key}")


@dataclass
class Dispatched:
    """Notes whose events would be sent."""

    aggregates: list[UUID] = field(default_factory=list)

    async def dispatch(self, *aggregate_ids: UUID) -> None:
        self.aggregates += aggregate_ids
