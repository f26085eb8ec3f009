"""Events become notifications: once, in order for each reader, whatever the queue delivers."""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from uuid_utils.compat import uuid7

from blueprints.notifications.models import Notification
from shared.db import Database, Transaction
from shared.inbox import Rejected
from tests.integration.notifications.told import TUESDAY_NOON, Told, happened
from tests.integration.shared.deliveries import message

WRITTEN = """
    SELECT type, order_id, facts, occurred_at, template_version, listed
    FROM notifications.notifications
    WHERE COALESCE(recipient_id::text, audience) = %(reader)s
    ORDER BY position
"""
REASONS = "SELECT reason FROM messaging.rejections WHERE event_id = %(event_id)s"


@pytest.fixture
def told(database: Database) -> Told:
    return Told(database)


async def written(told: Told, reader: UUID | str) -> list[tuple[Any, ...]]:
    return await told.rows(WRITTEN, reader=str(reader))


async def test_the_customer_of_an_order_is_told_with_what_the_order_says(told: Told) -> None:
    order_id = told.neighbours.order()
    notice = told.neighbours.notices[order_id]

    await told.hear(happened("order.placed.v1", order_id))

    assert await written(told, notice.customer_id) == [
        (
            "order_placed",
            order_id,
            {
                "number": notice.number,
                "amount": 4_998,
                "currency": "EUR",
                "lines": [{"name": "Assam Second Flush", "quantity": 2}],
            },
            datetime(2026, 11, 24, 10, 59, 58, tzinfo=UTC),
            1,
            True,
        )
    ]
    assert await told.deliveries(notice.customer_id) == [
        ("order_placed", "email", "pending", False, TUESDAY_NOON),
        ("order_placed", "in_app", "pending", False, TUESDAY_NOON),
    ]


@pytest.mark.parametrize(
    ("event_type", "type_", "facts", "emailed"),
    [
        ("order.confirmed.v1", "order_confirmed", {}, False),
        ("order.shipped.v1", "order_shipped", {"tracking_number": "TRK-1"}, True),
        ("order.delivered.v1", "order_delivered", {}, False),
        ("order.returned.v1", "order_returned", {}, False),
        ("order.cancelled.v1", "order_cancelled", {"reason": "out_of_stock"}, True),
        ("payment.declined.v1", "payment_declined", {"amount": 4_998, "currency": "EUR"}, True),
    ],
)
async def test_each_event_of_an_order_has_its_notification(
    event_type: str, type_: str, facts: Mapping[str, Any], emailed: bool, told: Told
) -> None:
    order_id = told.neighbours.order(tracking_number="TRK-1", cancel_reason="out_of_stock")
    notice = told.neighbours.notices[order_id]

    await told.hear(happened(event_type, order_id))

    ((kind, order, kept, *_),) = await written(told, notice.customer_id)
    assert (kind, order) == (type_, order_id)
    assert kept == {"number": notice.number, **facts}
    channels = [channel for _, channel, *_ in await told.deliveries(notice.customer_id)]
    assert channels == (["email", "in_app"] if emailed else ["in_app"])


async def test_a_refund_tells_how_much_comes_back(told: Told) -> None:
    order_id, refund_id = told.neighbours.order(), uuid7()
    told.neighbours.refunds[refund_id] = 1_250
    notice = told.neighbours.notices[order_id]

    await told.hear(happened("payment.refunded.v1", order_id, refund_id=str(refund_id)))

    ((type_, _, facts, *_),) = await written(told, notice.customer_id)
    assert type_ == "payment_refunded"
    assert facts == {"number": notice.number, "amount": 1_250, "currency": "EUR"}


async def test_requests_about_personal_data_are_acknowledged(told: Told) -> None:
    customer_id = told.customer()
    about = {"customer_id": str(customer_id), "request_id": str(uuid7())}

    await told.hear(happened("gdpr.request_received.v1", None, kind="export", **about))
    ready = {"available_until": "2026-12-01T10:00:00Z", **about}
    await told.hear(happened("gdpr.export_ready.v1", None, **ready))

    assert [(type_, facts) for type_, _, facts, *_ in await written(told, customer_id)] == [
        ("gdpr_request_received", {"kind": "export"}),
        ("gdpr_export_ready", {"available_until": "2026-12-01T10:00:00+00:00"}),
    ]


async def test_an_order_that_is_stuck_is_told_to_those_who_decide(told: Told) -> None:
    order_id = told.neighbours.order(status="stuck")

    await told.hear(happened("order.stuck.v1", order_id), queue="attention")

    ((type_, order, facts, *_),) = await written(told, "role:order-manager")
    number = told.neighbours.notices[order_id].number
    assert (type_, order, facts) == ("order_stuck", order_id, {"number": number})
    assert await told.rows(
        """
        SELECT d.channel, d.recipient_id, d.status
        FROM notifications.deliveries AS d
        JOIN notifications.notifications AS n ON n.id = d.notification_id
        WHERE n.order_id = %(order_id)s
        """,
        order_id=order_id,
    ) == [("in_app", None, "pending")]


async def test_whoever_watches_the_order_sees_it_move(told: Told) -> None:
    order_id = told.neighbours.order(status="confirmed")
    notice = told.neighbours.notices[order_id]
    event_id = str(uuid7())

    await told.hear(happened("order.confirmed.v1", order_id, event_id=event_id))

    (live,) = told.around.live
    assert live.groups == (f"order:{order_id}", "employees")
    assert (live.event, live.id, live.owner) == ("order", event_id, notice.customer_id)
    assert live.data == {
        "order_id": str(order_id),
        "number": notice.number,
        "status": "confirmed",
        "type": "order.confirmed.v1",
        "at": "2026-11-24T10:59:58+00:00",
    }


async def test_an_event_that_comes_twice_or_is_replayed_is_told_once(told: Told) -> None:
    order_id, event_id = told.neighbours.order(), str(uuid7())
    customer_id = told.neighbours.notices[order_id].customer_id

    for replayed in (None, None, 1, 2):
        await told.hear(
            happened("order.shipped.v1", order_id, event_id=event_id, replayed=replayed)
        )

    assert len(await written(told, customer_id)) == 1
    assert len(await told.deliveries(customer_id)) == 2


async def test_the_same_event_delivered_at_once_to_many_is_told_once(told: Told) -> None:
    order_id = told.neighbours.order()
    event = happened("order.placed.v1", order_id)

    await asyncio.gather(*(told.hear(event) for _ in range(8)))

    assert len(await written(told, told.neighbours.notices[order_id].customer_id)) == 1


async def test_a_crash_before_the_commit_leaves_nothing_and_the_next_delivery_does_it_all(
    told: Told,
) -> None:
    order_id = told.neighbours.order()
    customer_id = told.neighbours.notices[order_id].customer_id
    event = happened("order.placed.v1", order_id)
    tell = told.announcing.tell

    async def tell_and_die(tx: Transaction, notification: Notification, *, event_id: str) -> Any:
        await tell(tx, notification, event_id=event_id)
        raise ConnectionError("the host is gone")

    told.announcing.tell = tell_and_die  # type: ignore[method-assign]
    with pytest.raises(ConnectionError):
        await told.hear(event)
    assert await written(told, customer_id) == []
    assert await told.deliveries(customer_id) == []

    told.announcing.tell = tell  # type: ignore[method-assign]
    await told.hear(event)

    assert len(await written(told, customer_id)) == 1
    assert [live.id for live in told.around.live] == [told.around.live[0].id] * 2


async def test_events_that_come_out_of_order_keep_their_own_times(told: Told) -> None:
    order_id = told.neighbours.order(status="shipped")
    customer_id = told.neighbours.notices[order_id].customer_id

    await told.hear(happened("order.shipped.v1", order_id, at="2026-11-24T10:00:00Z"))
    await told.hear(happened("order.placed.v1", order_id, at="2026-11-24T08:00:00"))

    assert [(type_, at.hour) for type_, _, _, at, *_ in await written(told, customer_id)] == [
        ("order_shipped", 10),
        ("order_placed", 8),
    ]


async def test_another_service_may_ask_for_a_notification(told: Told) -> None:
    customer_id = told.customer()
    asked = {"type": "gdpr_request_received", "recipient_id": str(customer_id)}

    await told.hear(happened("notification.requested.v1", None, **asked, facts={"kind": "erasure"}))

    ((type_, order, facts, *_),) = await written(told, customer_id)
    assert (type_, order, facts) == ("gdpr_request_received", None, {"kind": "erasure"})


KIND = {"kind": "export"}
SOMEBODY = "0195a0a0-0000-7000-8000-000000000001"


@pytest.mark.parametrize(
    ("type_", "data", "reason"),
    [
        ("order.exploded.v1", {}, "unknown type: order.exploded.v1"),
        ("order.placed.v2", {}, "unknown type: order.placed.v2"),
        ("order.stuck.v1", {}, "unknown type: order.stuck.v1"),
        ("order.placed.v1", {}, "malformed: data.order_id"),
        ("order.placed.v1", {"order_id": "7"}, "malformed: data.order_id"),
        ("order.placed.v1", {"order_id": SOMEBODY}, f"unknown order: {SOMEBODY}"),
        ("gdpr.request_received.v1", KIND, "malformed: data.customer_id"),
        (
            "gdpr.request_received.v1",
            {"customer_id": SOMEBODY, "kind": "Bad Word"},
            "malformed: data.kind",
        ),
        (
            "gdpr.export_ready.v1",
            {"customer_id": SOMEBODY, "available_until": "soon"},
            "malformed: data.available_until",
        ),
        (
            "notification.requested.v1",
            {"type": "order_exploded", "recipient_id": SOMEBODY},
            "malformed: data.type",
        ),
        (
            "notification.requested.v1",
            {"type": "order_shipped", "recipient_id": SOMEBODY, "to": "x@y.z"},
            "malformed: data.to",
        ),
        (
            "notification.requested.v1",
            {"type": "gdpr_request_received", "facts": KIND},
            "malformed: data names either a recipient_id or an audience",
        ),
        (
            "notification.requested.v1",
            {
                "type": "gdpr_request_received",
                "facts": KIND,
                "recipient_id": SOMEBODY,
                "audience": "clients",
            },
            "malformed: data names either a recipient_id or an audience",
        ),
        (
            "notification.requested.v1",
            {"type": "gdpr_request_received", "facts": {}, "recipient_id": SOMEBODY},
            "malformed: data.facts of gdpr_request_received are exactly: kind",
        ),
        (
            "notification.requested.v1",
            {
                "type": "gdpr_request_received",
                "facts": {**KIND, "name": "Ann"},
                "recipient_id": SOMEBODY,
            },
            "malformed: data.facts of gdpr_request_received are exactly: kind",
        ),
        (
            "notification.requested.v1",
            {"type": "message", "recipient_id": SOMEBODY},
            "malformed: what somebody wrote freely does not travel in events",
        ),
    ],
)
async def test_what_cannot_be_told_is_refused_with_a_reason_and_changes_nothing(
    type_: str, data: dict[str, Any], reason: str, told: Told
) -> None:
    before, event_id = await told.count(), str(uuid7())

    with pytest.raises(Rejected):
        await told.hear(happened(type_, None, event_id=event_id, **data))

    assert await told.rows(REASONS, event_id=event_id) == [(reason,)]
    assert await told.count() == before
    assert told.around.live == []


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"specversion":"1.0"}', b"\xff\xfe"])
async def test_garbage_is_refused_and_the_next_event_is_told(body: bytes, told: Told) -> None:
    order_id = told.neighbours.order()

    with pytest.raises(Rejected):
        await told.inbox.receive_in_transaction(
            message(body), consumer="notifications", types=told.intake.handlers
        )
    await told.hear(happened("order.placed.v1", order_id))

    assert len(await written(told, told.neighbours.notices[order_id].customer_id)) == 1


async def test_an_unknown_refund_is_refused(told: Told) -> None:
    refund_id, event_id = uuid7(), str(uuid7())
    event = happened(
        "payment.refunded.v1", told.neighbours.order(), refund_id=str(refund_id), event_id=event_id
    )

    with pytest.raises(Rejected):
        await told.hear(event)

    assert await told.rows(REASONS, event_id=event_id) == [(f"unknown refund: {refund_id}",)]
    assert told.around.live == []


async def test_more_events_than_connections_are_all_told(told: Told) -> None:
    """Each takes one connection: with two, the pool would wait for itself."""
    orders = [told.neighbours.order() for _ in range(60)]

    await asyncio.gather(*(told.hear(happened("order.placed.v1", order)) for order in orders))

    customers = [told.neighbours.notices[order].customer_id for order in orders]
    ((count,),) = await told.rows(
        "SELECT count(*) FROM notifications.notifications WHERE recipient_id = ANY(%(them)s)",
        them=customers,
    )
    assert count == 60
