"""Facts about three orders in which all is well; the tests of the invariants spoil them."""

from typing import Any

from tests.rig.facts import Facts, Row

SOLD, BACK, STUCK = "order-sold", "order-back", "order-stuck"
TEA, MUG = "product-tea", "product-mug"


def order(id_: str, status: str, **more: Any) -> Row:
    return {
        "id": id_,
        "status": status,
        "gross_total": 500,
        "currency": "EUR",
        "cancel_reason": None,
        "stuck_undos": [],
        "lines": {TEA: 2},
    } | more


def moves(id_: str, *statuses: str) -> list[Row]:
    pairs = zip((None, *statuses), statuses, strict=False)
    return [{"order_id": id_, "from_status": a, "to_status": b, "times": 1} for a, b in pairs]


def events(id_: str, *types: str) -> list[Row]:
    return [{"order_id": id_, "type": f"{type_}.v1", "times": 1} for type_ in types]


def payment(id_: str, status: str, captured: int, refunded: int) -> Row:
    return {
        "order_id": id_,
        "status": status,
        "amount": 500,
        "currency": "EUR",
        "captured_amount": captured,
        "refunded_amount": refunded,
        "refunding_amount": 0,
        "gateway_id": f"pay-{id_}",
    }


def at_gateway(id_: str, *operations: str) -> list[Row]:
    status = "authorized"
    entries: list[Row] = []
    for operation in operations:
        status = {"capture": "captured", "void": "voided"}.get(operation, status)
        entries.append(
            {
                "reference": id_,
                "payment_id": f"pay-{id_}",
                "operation": operation,
                "amount": 500,
                "currency": "EUR",
                "status": status,
            }
        )
    return entries


def at_carrier(id_: str, *operations: str) -> list[Row]:
    return [{"reference": id_, "shipment_id": f"shp-{id_}", "operation": o} for o in operations]


WELL = Facts(
    orders=[
        order(SOLD, "confirmed"),
        order(BACK, "cancelled", cancel_reason="cancel_requested"),
        order(STUCK, "stuck", stuck_undos=["cancel_shipment"]),
    ],
    moves=[
        *moves(SOLD, "placed", "confirmed"),
        *moves(BACK, "placed", "cancelling", "cancelled"),
        *moves(STUCK, "placed", "stuck"),
    ],
    events=[
        *events(SOLD, "order.placed", "order.confirmed", "payment.authorised", "payment.captured"),
        *events(BACK, "order.placed", "order.cancel_requested", "order.cancelled"),
        *events(BACK, "payment.authorised", "payment.captured", "payment.refunded"),
        *events(STUCK, "order.placed", "order.stuck", "payment.authorised", "payment.voided"),
    ],
    placements=[
        {"caller_id": "alice", "key": f"key-{id_}", "order_id": id_} for id_ in (SOLD, BACK, STUCK)
    ],
    payments=[
        payment(SOLD, "captured", 500, 0),
        payment(BACK, "refunded", 500, 500),
        payment(STUCK, "voided", 0, 0),
    ],
    refunds=[{"order_id": BACK, "status": "succeeded", "times": 1}],
    shipments=[
        {"order_id": SOLD, "status": "booked", "provider_id": f"shp-{SOLD}"},
        {"order_id": BACK, "status": "cancelled", "provider_id": f"shp-{BACK}"},
        {"order_id": STUCK, "status": "cancelling", "provider_id": None},
    ],
    inventory=[
        {
            "product_id": TEA,
            "on_hand": 9,
            "reserved": 2,
            "promised": 2,
            "on_hand_moved": 9,
            "reserved_moved": 2,
        }
    ],
    reservations=[
        {"order_id": SOLD, "product_id": TEA, "quantity": 2, "status": "committed"},
        {"order_id": BACK, "product_id": TEA, "quantity": 2, "status": "released"},
        {"order_id": STUCK, "product_id": TEA, "quantity": 2, "status": "released"},
    ],
    gateway=[
        *at_gateway(SOLD, "authorize", "capture"),
        *at_gateway(BACK, "authorize", "capture", "refund"),
        *at_gateway(STUCK, "authorize", "void"),
    ],
    carrier=[*at_carrier(SOLD, "book"), *at_carrier(BACK, "book", "cancel")],
)
