"""What customers and employees may ask about customers; who owns what is decided here."""

from collections.abc import Collection, Mapping
from uuid import UUID

from blueprints.customers import repository
from blueprints.customers.models import (
    Contact,
    Customer,
    CustomerErased,
    Profile,
    Standing,
    UpdateCustomer,
)
from shared.auth import Caller, StepUp
from shared.db import Database, Pending, Transaction
from shared.problem import EtagMismatch, Forbidden, NotFound


class CustomerService:
    """Registration and profiles."""

    def __init__(self, database: Database, step_up: StepUp) -> None:
        self._database, self._step_up = database, step_up

    async def register(self, caller: Caller, profile: Profile) -> tuple[Customer, bool]:
        """The calling client as a customer, and whether this call made it.

        A client who is registered already stays as he is. Raises CustomerErased: who had the
        account erased does not come back under it.
        """
        async with self._database.transaction() as tx:
            created = await repository.register(tx, caller.id, profile)
            customer = await repository.customer(tx, caller.id)
        if customer is None:
            raise CustomerErased("this account was erased")
        return customer, created

    async def get(self, caller: Caller, customer_id: UUID) -> Customer:
        """The customer, for himself and for employees. Raises NotFound for everyone else."""
        _check_may_see(caller, customer_id)
        async with self._database.reading() as tx:
            customer = await repository.customer(tx, customer_id)
        if customer is None:
            raise _not_found()
        return customer

    async def update(
        self, caller: Caller, customer_id: UUID, version: int, update: UpdateCustomer
    ) -> Customer:
        """The customer with the profile replaced, if it still has this version.

        Raises NotFound as `get` does; EtagMismatch if it changed since; Forbidden if a client names
        a status or segment; RecentSignInRequired for another email, to which whoever has it can
        have everything else sent.
        """
        _check_may_see(caller, customer_id)
        if caller.is_client and (update.status is not None or update.segment is not None):
            raise Forbidden("only employees set the status or segment of a customer")
        async with self._database.transaction() as tx:
            before = await repository.customer(tx, customer_id)
            if before is not None and before.email != update.email:
                self._step_up.check(caller)
            changed = await repository.change(tx, customer_id, version, update)
            customer = await repository.customer(tx, customer_id)
        if customer is None:
            raise _not_found()
        if not changed:
            raise EtagMismatch("the customer changed since you read it")
        return customer

    async def contact(self, customer_id: UUID) -> Contact | None:
        """How to reach the customer; None for one who is unknown or erased."""
        async with self._database.reading() as tx:
            return await repository.contact(tx, customer_id)

    async def ask_contacts(
        self, tx: Transaction, customer_ids: Collection[UUID]
    ) -> Pending[Mapping[UUID, Contact]]:
        """What `contact` tells of many, for a caller with other questions to the database."""
        return await repository.ask_contacts(tx, customer_ids)

    async def standing(self, customer_id: UUID) -> Standing:
        """Whether the person may order: only an active customer may; an erased one is inactive."""
        async with self._database.reading() as tx:
            return await (await self.ask_standing(tx, customer_id))()

    async def ask_standing(self, tx: Transaction, customer_id: UUID) -> Pending[Standing]:
        """What `standing` tells, for a caller with other questions to the database."""
        asked = await repository.ask_status(tx, customer_id)

        async def standing() -> Standing:
            status = await asked()
            if status is None:
                return "unknown"
            return "active" if status == "active" else "inactive"

        return standing


def _check_may_see(caller: Caller, customer_id: UUID) -> None:
    """A client sees himself and nobody else, not even that there is somebody else."""
    if not caller.is_employee and caller.id != customer_id:
        raise _not_found()


def _not_found() -> NotFound:
    return NotFound("there is no such customer")
