"""One story from five tellers, and who hears how much of it."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from blueprints.orders.timeline import OrderTimeline
from shared.auth import Caller
from shared.problem import NotFound
from tests.integration.orders.conftest import (
    CARLA,
    Happened,
    Paid,
    Shop,
    Told,
    client,
)


class Warehouse:
    """Tells of one reservation."""

    def __init__(self, at: datetime) -> None:
        self.at = at

    async def stock_history(self, order_id: Any) -> list[Happened]:
        del order_id
        return [Happened(self.at, "reserved")]


async def told(shop: Shop, caller: Caller, order_id: Any) -> list[tuple[str, str, str | None]]:
    now = datetime.now(UTC)
    shop.payments.told = [
        Paid(now + timedelta(seconds=1), "authorize_unknown", 9_307, None, public=False),
        Paid(now + timedelta(seconds=2), "authorised", 9_307, None, public=True),
    ]
    shop.messages.told = [Told(now + timedelta(seconds=3), "order_placed", "email", "accepted")]
    timeline = OrderTimeline(shop.database, Warehouse(now), shop.payments, shop.messages)
    entries = (await timeline.of(caller, order_id)).items
    assert [entry.at for entry in entries] == sorted(entry.at for entry in entries)
    return [(entry.area, entry.what, entry.detail) for entry in entries]


async def test_the_customer_reads_the_public_part_in_order(shop: Shop) -> None:
    alice = client()
    order = await shop.place(alice)

    assert await told(shop, alice, order.id) == [
        ("order", "placed", None),
        ("stock", "reserved", None),
        ("payment", "authorised", None),
        ("message", "order_placed", "email accepted"),
    ]


async def test_employees_read_all_of_it(shop: Shop) -> None:
    order = await shop.place(CARLA, customer_id=client().id, reason="phoned in")

    assert await told(shop, CARLA, order.id) == [
        ("order", "placed", "phoned in"),
        ("stock", "reserved", None),
        ("payment", "authorize_unknown", None),
        ("payment", "authorised", None),
        ("message", "order_placed", "email accepted"),
    ]


async def test_what_employees_note_among_themselves_stays_there(shop: Shop) -> None:
    alice = client()
    order = await shop.place(CARLA, customer_id=alice.id, reason="phoned in")
    await shop.fulfilment.park(order.id, "card_declined", ["void_payment"], saga=str(order.id))
    await shop.cancelling.request(CARLA, order.id, "partner_recovered")
    await shop.fulfilment.cancel(order.id, "cancel_requested")

    story = await told(shop, alice, order.id)

    assert [entry for entry in story if entry[0] == "order"] == [
        ("order", "placed", None),
        ("order", "stuck", None),
        ("order", "cancelling", None),
        ("order", "cancelled", "cancel_requested"),
    ]


async def test_someone_elses_story_is_not_found(shop: Shop) -> None:
    order = await shop.place()

    with pytest.raises(NotFound):
        await shop.timeline.of(client(), order.id)
