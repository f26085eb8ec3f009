"""The platform as production is: no key or password to any store, and tokens that end mid-run."""

import asyncio
import tempfile
import time
import uuid
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from redis.asyncio import Redis

from demo.live import Live
from demo.mailbox import Mailbox
from demo.shop import Person
from localcloud import environment, parts
from localcloud.cloud import LocalCloud
from localcloud.parts import Command, Site
from tests.e2e.conftest import HURRIED
from tests.rig.customers import stranger, told
from tests.rig.platform import Platform, eventually, opened
from tests.rig.postgres import connected

LIFETIME_S = 6
NOT_NEEDED = {"dashboard"}


def _short_lived(site: Site) -> Command:
    plain = parts.IDENTITY.command(site)
    return replace(plain, arguments=[*plain.arguments, "--managed-token-lifetime", str(LIFETIME_S)])


@pytest.fixture(scope="module")
async def keyless() -> AsyncIterator[Platform]:
    steps = [
        replace(step, command=_short_lived) if step is parts.IDENTITY else step
        for step in parts.ALL
        if step.name not in NOT_NEEDED
    ]
    state = Path(tempfile.mkdtemp(prefix="keyless-"))
    cloud = LocalCloud(state, port_base=0, settings=HURRIED, steps=steps, keyless=True)
    await asyncio.to_thread(cloud.start)
    try:
        async with opened(cloud) as platform:
            yield platform
    finally:
        await asyncio.to_thread(cloud.erase)


async def test_nothing_is_lost_while_tokens_end_and_nobody_has_a_key(keyless: Platform) -> None:
    began = time.monotonic()
    assert _held_secrets(keyless.cloud) == set()
    email = f"{uuid.uuid4()}@clients.example"
    person = await stranger(keyless, email=email)
    live: list[str] = []
    line = Live(keyless.cloud.url("notifier"), lambda _, event: live.append(event["type"]))
    async with line.listening(person):
        orders = [(await keyless.shop.place(person, {keyless.product(): 1}))["id"]]
        while time.monotonic() - began < 2 * LIFETIME_S:
            order = await keyless.shop.place(person, {keyless.product(): 1})
            orders.append(order["id"])
            await keyless.shop.settled(person, order["id"])
        # Every connection to the database is opened anew, with a token of this moment.
        assert await _ended_connections(keyless) > 0
        orders.append(await _placed_again_until_it_is(keyless, person))
        for order_id in orders:
            settled = await keyless.shop.settled(person, order_id)
            assert settled["status"] == "confirmed"
        await _ship(keyless, orders[0])
        assert set(await line.heard(orders[0], "order_shipped")) >= {"order_shipped"}

    await keyless.quiet()
    await told(keyless, person, orders[0], "order_placed", "order_confirmed", "order_shipped")
    async with Mailbox(keyless.cloud.url("communication")) as mailbox:
        mails = await mailbox.sent_to(email, since=0, at_least=len(orders) + 1)
    assert len(mails) == len(orders) + 1  # each placed, one shipped
    captured = await keyless.row(
        "SELECT count(*) AS payments, count(DISTINCT order_id) AS orders FROM payments.payments"
        " WHERE status = 'captured' AND order_id = ANY(%s::uuid[])",
        orders,
    )
    assert captured == {"payments": len(orders), "orders": len(orders)}
    verified = await keyless.shop.call("GET", "/audit/verify", keyless.ada)
    assert (verified.status_code, verified.json()["ok"]) == (200, True), verified.text
    assert await _oldest_cache_connection_s(keyless) <= LIFETIME_S + 1


async def _placed_again_until_it_is(platform: Platform, person: Person) -> str:
    """The id of an order whose first attempts may meet a connection that has just ended."""
    lines, key = {platform.product(): 1}, str(uuid.uuid4())
    placed: list[str] = []

    async def done() -> bool:
        answer = await platform.shop.try_place(person, lines, key=key)
        assert answer.status_code in {201, 503}, answer.text
        placed.extend([answer.json()["id"]] if answer.status_code == 201 else [])
        return bool(placed)

    await eventually(done, "an order in a database that ended all connections")
    return placed[0]


async def _ended_connections(platform: Platform) -> int:
    """How many connections of the application the database has ended now."""
    async with connected(platform.database_url) as owner:
        ended = await owner.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'platform_app'"
        )
        return ended.rowcount


async def _ship(platform: Platform, order_id: str) -> None:
    read = await platform.shop.call("GET", f"/orders/{order_id}", platform.oscar)
    answer = await platform.shop.call(
        "PUT",
        f"/orders/{order_id}/status",
        platform.oscar,
        json={"status": "shipped"},
        if_match=read.headers["ETag"],
    )
    assert answer.status_code == 200, answer.text


def _held_secrets(cloud: LocalCloud) -> set[str]:
    """Which secrets of the cloud, or of its partners, the product was told."""
    secrets = vars(cloud.state.secrets()) | environment.vault_secrets()
    told = "\n".join(
        f"{name}={value}"
        for part in cloud.record().parts
        if part.name in {"functions", "notifier"} and part.process is not None
        for name, value in psutil.Process(part.process.pid).environ().items()
        if not name.startswith("LOCALCLOUD_")  # the host's own
    )
    assert "IDENTITY_ENDPOINT=" in told
    return {name for name, value in secrets.items() if value in told}


async def _oldest_cache_connection_s(platform: Platform) -> int:
    """Of the product's, which are at database 0; the gateway's limits are at another."""
    async with Redis(port=platform.cloud.ports["valkey"]) as redis:
        clients = await redis.client_list()
    return max(int(client["age"]) for client in clients if client["db"] == "0")
