"""Somebody sets the machine's clock, an hour forwards or back, while sagas are under way."""

import asyncio
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from localcloud import parts
from localcloud.cloud import LocalCloud
from localcloud.parts import Part
from tests.chaos.settings import PATIENT
from tests.rig.clock import Clock
from tests.rig.platform import Platform, eventually, opened

HOUR_S = 3600
UNHURRIED = PATIENT | {"RESERVATION_TTL_S": "86400", "CONFIRMATION_WINDOW_S": "600"}
SET = {"postgres", "functions", "servicebus"}
"""The parts whose clock is set: the durable store, the host that works on it, and its broker."""


@pytest.fixture
def clock() -> Clock:
    folder = Path(tempfile.mkdtemp(prefix="clock-"))
    folder.chmod(0o755)  # the database's user has to read it
    return Clock(folder / "clock")


@pytest.fixture
async def platform(clock: Clock) -> AsyncIterator[Platform]:
    steps = [
        clock.governed(step) if isinstance(step, Part) and step.name in SET else step
        for step in parts.ALL
    ]
    state = Path(tempfile.mkdtemp(prefix="platform-"))
    cloud = LocalCloud(state, port_base=0, settings=UNHURRIED, steps=steps)
    await asyncio.to_thread(cloud.start)
    try:
        async with opened(cloud) as platform:
            yield platform
    finally:
        await asyncio.to_thread(cloud.erase)


async def order_row(platform: Platform, order_id: str) -> dict[str, Any]:
    return await platform.row(
        "SELECT status, cancel_reason FROM orders.orders WHERE id = %s", order_id
    )


async def ended(platform: Platform, order_id: str, status: str) -> None:
    async def has() -> bool:
        return bool((await order_row(platform, order_id))["status"] == status)

    await eventually(has, f"an order that is {status}", within_s=90)


async def under_way(platform: Platform) -> tuple[str, str]:
    """An order that waits for its customer, and one whose step is held at the gateway."""
    asked = await platform.shop.place(
        platform.alice, {platform.product(): 1}, payment_method="tok_confirmation_required"
    )

    async def waits() -> bool:
        found = await platform.rows(
            "SELECT 1 FROM payments.payments WHERE order_id = %s AND status = 'requires_action'",
            asked["id"],
        )
        return bool(found)

    await eventually(waits, "a payment to confirm")
    held = await platform.shop.place(platform.bruno, {platform.product(): 1})
    return str(asked["id"]), str(held["id"])


async def test_timers_fire_and_leases_hold_when_the_clock_is_set_forwards(
    platform: Platform, clock: Clock
) -> None:
    async with platform.payment.barrier(
        "authorize", "after_effect", match={"payment_method": "tok_success"}
    ) as authorised:
        asked, held = await under_way(platform)
        await authorised.reached()
        clock.set(HOUR_S)
    await ended(platform, held, "confirmed")
    await ended(platform, asked, "cancelled")

    assert (await order_row(platform, asked))["cancel_reason"] == "confirmation_expired"
    operations = [entry["operation"] for entry in await platform.payment.entries(held)]
    assert operations == ["authorize", "capture"]


async def test_a_saga_goes_on_when_the_clock_is_set_back(platform: Platform, clock: Clock) -> None:
    async with platform.payment.barrier(
        "authorize", "after_effect", match={"payment_method": "tok_success"}
    ) as authorised:
        asked, held = await under_way(platform)
        await authorised.reached()
        clock.set(-HOUR_S)
    await ended(platform, held, "confirmed")
    # Its timer waits an hour longer, as the clock says; an event still wakes it at once.
    answer = await platform.shop.call(
        "DELETE", f"/orders/{asked}", platform.alice, params={"reason": "changed_mind"}
    )
    assert answer.status_code == 202, answer.text
    await ended(platform, asked, "cancelled")

    operations = [entry["operation"] for entry in await platform.payment.entries(held)]
    assert operations == ["authorize", "capture"]
