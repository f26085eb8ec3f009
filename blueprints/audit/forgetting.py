"""Erases what the audit trail says about a person beyond ids; the chain stays as it is."""

from uuid import UUID

from blueprints.audit import chain, repository
from blueprints.audit.entries_repository import ask_head
from blueprints.audit.models import CUSTOMER, ERASED_ACTION, ActorKind, Entry
from shared import telemetry
from shared.db import Database

GDPR_REQUEST = "gdpr_request"


class Forgetting:
    """Used where a person's data are erased everywhere."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def erase(
        self,
        person_id: UUID,
        *,
        actor_kind: ActorKind = "platform",
        actor_id: UUID | None = None,
        request_id: UUID | None = None,
    ) -> int:
        """Erase the details of every entry about the person; how many had any.

        The chain gets an entry that says so, in the same transaction, also when there was nothing:
        repeating it does no harm. `request_id` is the request that asked for it.
        """
        entry = Entry(
            ledger="gdpr",
            origin="erasure",
            action=ERASED_ACTION,
            actor_kind=actor_kind,
            actor_id=actor_id,
            subject_kind=CUSTOMER if request_id is None else GDPR_REQUEST,
            subject_id=request_id or person_id,
            person_id=person_id,
            correlation_id=telemetry.correlation_id() or telemetry.new_correlation_id(),
        )
        async with self._database.transaction() as tx:
            head, now = await (await ask_head(tx))()
            (link,) = chain.linked(head, [entry], now)
            return await repository.erase(tx, person_id, link)
