"""What the partners tell the platform by themselves arrives, and nobody else can say it."""

import json
import time

import httpx
import pytest

from localcloud.environment import SHIPPING_WEBHOOK_KEY
from localcloud.partners.webhooks import signature
from tests.rig.books import assert_sold
from tests.rig.platform import Platform, eventually


async def test_a_delivered_parcel_ends_its_order(platform: Platform) -> None:
    placed = await platform.shop.place(platform.alice, {platform.product(): 1})
    order = await platform.shop.settled(platform.alice, placed["id"])
    (parcel,) = await platform.shipping.entries(order["id"])
    mischief = {"kind": "late", "type": "shipment.collected"}
    await platform.shipping.http.post("/control/webhooks", json=mischief)

    for status in ("collected", "delivered"):
        path = f"/control/shipments/{parcel['shipment_id']}"
        answer = await platform.shipping.http.put(path, json={"status": status})
        assert answer.status_code == 200, answer.text

    async def all_taken() -> bool:
        told = await platform.shipping.http.get(
            "/control/webhooks", params={"reference": order["id"]}
        )
        return [event["status"] for event in told.json()["webhooks"]] == ["taken", "taken"]

    await eventually(all_taken, "every notice taken")
    history = await platform.rows(
        "SELECT to_status, actor_kind FROM orders.order_status_history"
        " WHERE order_id = %s ORDER BY id",
        order["id"],
    )
    assert [(move["to_status"], move["actor_kind"]) for move in history[1:]] == [
        ("confirmed", "saga"),
        ("shipped", "saga"),
        ("delivered", "saga"),
    ]


async def test_a_customer_who_confirms_on_the_gateway_s_page_is_not_kept_waiting(
    platform: Platform,
) -> None:
    placed = await platform.shop.place(
        platform.alice, {platform.product(): 1}, payment_method="tok_confirmation_required"
    )

    async def waits() -> bool:
        found = await platform.rows(
            "SELECT gateway_id FROM payments.payments"
            " WHERE order_id = %s AND status = 'requires_action'",
            placed["id"],
        )
        return bool(found)

    await eventually(waits, "a payment that waits for its customer")
    row = await platform.row(
        "SELECT gateway_id FROM payments.payments WHERE order_id = %s", placed["id"]
    )
    path = f"/control/payments/{row['gateway_id']}/confirm"
    assert (await platform.payment.http.post(path, json={"code": "123456"})).is_success

    order = await platform.shop.settled(platform.alice, placed["id"])

    await assert_sold(platform, order)


@pytest.mark.parametrize("path", ["orders/webhooks/shipping", "payments/webhooks/gateway"])
async def test_a_notice_that_is_not_signed_by_the_partner_is_refused(
    path: str, platform: Platform
) -> None:
    body = json.dumps({"id": "evt_1", "type": "shipment.delivered", "data": {}}).encode()
    signed = signature(f"not-{SHIPPING_WEBHOOK_KEY}", body, int(time.time()))

    for headers in ({}, {"Webhook-Signature": signed}):
        async with httpx.AsyncClient() as http:
            answer = await http.post(
                f"{platform.cloud.url('functions')}/api/v1/{path}",
                content=body,
                headers={"Content-Type": "application/json", **headers},
            )
        assert (answer.status_code, answer.json()["code"]) == (401, "signature-invalid")
