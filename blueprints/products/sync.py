"""The ERP sync: one run at a time, page by page, each page all or nothing."""

from itertools import groupby
from typing import Any, Protocol
from uuid import UUID

from blueprints.products import drift_repository, intake_repository, sync_repository
from blueprints.products.models import (
    ErpPage,
    Starter,
    StepResult,
    SyncReport,
    SyncRun,
    cache_key,
)
from shared import telemetry
from shared.db import Database
from shared.http import Page
from shared.problem import NotFound

log = telemetry.logger(__name__)

LATEST_RUNS = 20
MAX_FAILURE_LENGTH = 500


class Erp(Protocol):
    """Where the catalogue comes from."""

    async def page(self, number: int) -> ErpPage:
        """Page `number`, from 1; raises PartnerUnavailable."""
        ...


class ForgettingCache(Protocol):
    """A cache that can be told what no longer holds."""

    async def delete(self, *keys: str) -> None:
        """Forget the keys."""
        ...


class Orchestrations(Protocol):
    """What the durable client binding offers, as far as a sync needs it."""

    async def start_new(
        self, orchestration_function_name: str, instance_id: str, client_input: Any
    ) -> str:
        """Start an instance; raises if one with this id is running."""
        ...

    async def get_status(self, instance_id: str) -> Any:
        """The instance's status; its `runtime_status` is None if there is no such instance."""
        ...


class SyncService:
    """Takes the ERP's catalogue over. A run is known by its id and can be resumed at any page."""

    def __init__(self, database: Database, erp: Erp, cache: ForgettingCache) -> None:
        self._database, self._erp, self._cache = database, erp, cache

    async def start(self, orchestrations: Orchestrations, started_by: Starter) -> SyncRun:
        """The run now going on: a new one, or the one that already was.

        Its orchestration, whose instance id is the run's, is started unless it is under way: a
        run whose starter died in between is picked up by the next one.
        """
        run = await self._begin(started_by)
        status = await orchestrations.get_status(str(run.id))
        if not _is_under_way(status):
            subject = {"run_id": str(run.id), "correlation_id": telemetry.correlation_id()}
            try:
                await orchestrations.start_new("sync_catalogue", str(run.id), subject)
            except Exception:  # the SDK raises bare Exception
                # Somebody else started it since; anything else is a fault.
                if not _is_under_way(await orchestrations.get_status(str(run.id))):
                    raise
        return run

    async def _begin(self, started_by: Starter) -> SyncRun:
        while True:
            async with self._database.transaction() as tx:
                run = await sync_repository.begin(tx, started_by)
            if run is not None:
                return run

    async def latest(self) -> Page[SyncRun]:
        """The last runs, newest first, on one page, with how much differed in each."""
        async with self._database.reading() as tx:
            runs = await sync_repository.latest(tx, limit=LATEST_RUNS)
            drifted = await drift_repository.counts(tx, [run.id for run in runs])
        items = [run.model_copy(update={"drifted": drifted.get(run.id, {})}) for run in runs]
        return Page[SyncRun](items=items, next_cursor=None)

    async def get(self, run_id: UUID) -> SyncReport:
        """The run with what it found to differ. Raises NotFound."""
        async with self._database.reading() as tx:
            run = await sync_repository.run(tx, run_id)
            drifts = await drift_repository.of_run(tx, run_id)
        if run is None:
            raise NotFound("there is no such run")
        by_kind = {
            kind: list(found) for kind, found in groupby(drifts, key=lambda drift: drift.kind)
        }
        shown = {kind: found[: drift_repository.SHOWN] for kind, found in by_kind.items()}
        return SyncReport(
            **run.model_dump(exclude={"drifted"}),
            drifted={kind: len(found) for kind, found in shown.items()},
            drifts=[drift for found in shown.values() for drift in found],
            more=[kind for kind, found in by_kind.items() if found != shown[kind]],
        )

    async def pull(self, run_id: UUID, number: int) -> bool:
        """Take page `number` of the ERP over; whether there are more. False if the run has ended.

        Raises PartnerUnavailable if the ERP does not answer, after noting it with the run.
        """
        try:
            page = await self._erp.page(number)
        except Exception as fault:
            async with self._database.transaction() as tx:
                await sync_repository.note_fault(tx, run_id, str(fault)[:MAX_FAILURE_LENGTH])
            raise
        async with self._database.transaction() as tx:
            if not await sync_repository.is_running(tx, run_id):
                return False
            changed = await intake_repository.take_in(tx, run_id, number, page)
        await self._forget(changed)
        return page.has_more

    async def finish(self, run_id: UUID) -> StepResult:
        """End the run well: what the ERP no longer lists goes off sale. Repeating it is fine.

        Refusals: empty_catalogue, if that would be everything, which no shop means: the run failed.
        """
        async with self._database.transaction() as tx:
            if not await sync_repository.is_running(tx, run_id):
                return {}
            run = await sync_repository.run(tx, run_id)
            assert run is not None, "a running run exists"
            if run.seen == 0:
                await sync_repository.fail(tx, run_id, "the ERP lists no products")
                return {"refused": "empty_catalogue"}
            gone = await intake_repository.deactivate_unseen(tx, run_id)
            await drift_repository.conclude(tx, run_id, gone=gone)
            await sync_repository.succeed(tx, run_id, deactivated=len(gone))
        await self._forget(gone)
        log.info("ERP sync succeeded run_id=%s deactivated=%d", run_id, len(gone))
        return {}

    async def fail(self, run_id: UUID, failure: str) -> None:
        """End the run: its reason is the fault noted last, else `failure`. Repeating it is fine."""
        async with self._database.transaction() as tx:
            await sync_repository.fail(tx, run_id, failure[:MAX_FAILURE_LENGTH])
        log.error("ERP sync failed run_id=%s", run_id)

    async def _forget(self, product_ids: list[UUID]) -> None:
        if product_ids:
            await self._cache.delete(*(cache_key(product_id) for product_id in product_ids))


def _is_under_way(status: Any) -> bool:
    """Pending, running or suspended, in the words of the status API."""
    runtime_status = getattr(status, "runtime_status", None)
    name = getattr(runtime_status, "value", runtime_status)
    return name in {"Pending", "Running", "Suspended", "ContinuedAsNew"}
