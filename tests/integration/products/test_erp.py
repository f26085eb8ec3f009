"""The ERP sync through zeep against the ERP of the local cloud."""

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import httpx
import pytest

from blueprints.products.browsing import Browsing
from blueprints.products.gateway import ErpGateway
from blueprints.products.models import ListQuery, SyncRun
from blueprints.products.service import ProductService
from blueprints.products.sync import SyncService
from shared.auth import ADMIN, Caller
from shared.cache import Cache
from shared.db import Database
from shared.problem import PartnerUnavailable
from shared.replica import ReadSide
from shared.resilience import Breaker

ROOT = Path(__file__).parents[3]
NOWHERE = "redis://127.0.0.1:1/0"


@dataclass(frozen=True)
class Erp:
    """A running ERP and the test's hand on it."""

    wsdl_url: str
    http: httpx.AsyncClient

    async def fault(self, kind: str, **how: Any) -> None:
        order = {"operation": "list_products", "kind": kind, **how}
        answer = await self.http.post("/control/faults", json=order)
        assert answer.status_code == 201, answer.text

    async def change(self, sku: str, **fields: Any) -> None:
        answer = await self.http.put(f"/control/products/{sku}", json=fields)
        assert answer.is_success, answer.text

    async def calls(self) -> int:
        """How often the list was asked for with effect."""
        entries = (await self.http.get("/control/ledger")).json()["entries"]
        return sum(entry["operation"] == "list_products" for entry in entries)


@pytest.fixture(scope="module")
def erp_port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    state = tmp_path_factory.mktemp("erp")
    command = [
        sys.executable,
        "-m",
        "localcloud.partners.erp",
        "--port",
        "0",
        "--state",
        str(state),
    ]
    with (
        (state / "log").open("wb") as log,
        subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=log) as process,
    ):
        assert process.stdout is not None
        line = process.stdout.readline().decode()
        assert line.startswith("READY "), (state / "log").read_text()
        yield json.loads(line.removeprefix("READY "))["port"]
        process.terminate()


@pytest.fixture
async def erp(erp_port: int) -> AsyncIterator[Erp]:
    base = f"http://127.0.0.1:{erp_port}"
    async with httpx.AsyncClient(base_url=base, timeout=30) as client:
        yield Erp(f"{base}/erp?wsdl", client)
        await client.post("/control/reset")


@pytest.fixture
def sync(database: Database, erp: Erp) -> SyncService:
    return SyncService(
        database, ErpGateway(erp.wsdl_url, timeout_s=5, breaker=Breaker("the ERP")), Cache(NOWHERE)
    )


class Orchestrations:
    """Accepts everything and runs nothing: the test does."""

    async def start_new(self, name: str, instance_id: str, client_input: Any) -> str:  # noqa: ARG002
        return instance_id

    async def get_status(self, instance_id: str) -> Any:  # noqa: ARG002
        return SimpleNamespace(runtime_status=None)


async def run_through(sync: SyncService) -> SyncRun:
    run = await sync.start(Orchestrations(), "employee")
    number = 1
    while await sync.pull(run.id, number):
        number += 1
    await sync.finish(run.id)
    return await sync.get(run.id)


async def test_the_whole_assortment_comes_in_and_a_second_run_changes_nothing(
    sync: SyncService, database: Database
) -> None:
    first, second = await run_through(sync), await run_through(sync)

    assert (first.status, first.pages, first.seen, first.created, first.rejected) == (
        "succeeded",
        5,
        1000,
        1000,
        0,
    )
    assert (second.seen, second.created, second.changed, second.stock_changed) == (1000, 0, 0, 0)
    products = ProductService(database, Cache(NOWHERE))
    assert len((await products.categories()).items) == 12
    browsing = Browsing(ReadSide(database))
    reader = Caller("employee", UUID(int=1), roles=frozenset({ADMIN}))
    page = await browsing.list(reader, ListQuery(limit=100))
    assert len(page.items) == 100


async def test_a_change_in_the_erp_is_the_only_change_here(sync: SyncService, erp: Erp) -> None:
    await run_through(sync)
    await erp.change("TEA-ASSAM-250", net_price_minor=1234, on_hand=77)
    await erp.change("TEA-DRAGONWELL-100", active=False)

    run = await run_through(sync)

    assert (run.created, run.changed, run.stock_changed, run.deactivated) == (0, 2, 1, 0)


async def test_a_new_product_in_the_erp_is_created(sync: SyncService, erp: Erp) -> None:
    await run_through(sync)
    await erp.change(
        "NEW-LANTERN-1",
        name="Storm lantern",
        description="Burns in any weather",
        category_code="outdoor",
        category_name="Outdoor",
        net_price_minor=2599,
        tax_class="standard",
        weight_grams=800,
        on_hand=12,
    )

    run = await run_through(sync)

    assert (run.seen, run.created, run.changed) == (1001, 1, 0)


async def test_an_erp_that_is_overloaded_for_a_moment_is_asked_again(
    sync: SyncService, erp: Erp
) -> None:
    await erp.fault("status", status=503, times=2)

    assert (await run_through(sync)).status == "succeeded"


async def test_an_erp_that_hangs_up_is_asked_again(sync: SyncService, erp: Erp) -> None:
    await erp.fault("drop", times=1)

    assert (await run_through(sync)).status == "succeeded"


async def test_an_answer_that_comes_too_late_is_asked_for_again(
    database: Database, erp: Erp
) -> None:
    sync = SyncService(
        database,
        ErpGateway(erp.wsdl_url, timeout_s=0.5, breaker=Breaker("the ERP")),
        Cache(NOWHERE),
    )
    await erp.fault("latency", delay_s=5, times=1)

    assert (await run_through(sync)).status == "succeeded"


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (503, "the ERP answered with status 503"),
        (500, "the ERP answered with a fault: Server"),
    ],
)
async def test_a_run_that_the_erp_does_not_serve_says_why(
    sync: SyncService, erp: Erp, status: int, reason: str
) -> None:
    await erp.fault("status", status=status, times=None)
    run = await sync.start(Orchestrations(), "schedule")

    with pytest.raises(PartnerUnavailable):
        await sync.pull(run.id, 1)
    await sync.fail(run.id, "gave up")

    ended = await sync.get(run.id)
    assert (ended.status, ended.failure) == ("failed", reason)


async def test_an_erp_that_is_not_there_is_a_partner_away() -> None:
    gateway = ErpGateway("http://127.0.0.1:1/erp?wsdl", timeout_s=0.5, breaker=Breaker("the ERP"))

    with pytest.raises(PartnerUnavailable, match="the ERP did not answer: ConnectionError"):
        await gateway.page(1)


async def test_waiting_for_the_erp_does_not_hold_up_others(erp: Erp) -> None:
    gateway = ErpGateway(erp.wsdl_url, timeout_s=5, breaker=Breaker("the ERP"))
    await gateway.page(1)
    await erp.fault("latency", delay_s=1, times=1)
    page = asyncio.create_task(gateway.page(1))

    turns = 0
    while not page.done():
        await asyncio.sleep(0.01)
        turns += 1

    assert turns > 20
    assert len((await page).products) == 200
