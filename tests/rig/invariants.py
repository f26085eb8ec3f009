"""What must hold of every order once nothing moves any more, whatever was killed on the way.

Each invariant is a function from facts to the ways in which they break it, in words.
"""

import asyncio
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence

from tests.rig.facts import Facts, Row, gathered
from tests.rig.platform import Platform

ENDED = frozenset({"confirmed", "cancelled", "stuck"})
OPEN_RESERVATIONS = frozenset({"held", "committed"})
OURS_FOR_THEIRS = {
    "declined": {"failed"},
    "voided": {"voided"},
    "captured": {"captured", "partially_refunded", "refunded"},
}
"""Our statuses for a payment by the gateway's, where it may rest in it."""

EVENT_OF_A_MOVE = {
    "placed": "order.placed.v1",
    "confirmed": "order.confirmed.v1",
    "cancelling": "order.cancel_requested.v1",
    "cancelled": "order.cancelled.v1",
    "stuck": "order.stuck.v1",
}
ONCE_PER_PAYMENT = (
    "payment.authorised.v1",
    "payment.declined.v1",
    "payment.captured.v1",
    "payment.voided.v1",
)


def every_order_has_ended(facts: Facts) -> Iterator[str]:
    """Confirmed, cancelled for a reason, or stuck with the undos that a person has to do."""
    for order in facts.orders:
        if order["status"] not in ENDED:
            yield f"order {order['id']} is {order['status']}"
        if order["status"] == "cancelled" and not order["cancel_reason"]:
            yield f"order {order['id']} is cancelled for no reason"
        if order["status"] == "stuck" and not order["stuck_undos"]:
            yield f"order {order['id']} is stuck for no reason"


def every_key_placed_one_order(facts: Facts) -> Iterator[str]:
    """A key's answer names an order, and no order was placed under two keys or none."""
    placed = Counter(row["order_id"] for row in facts.placements)
    orders = {order["id"] for order in facts.orders}
    for order_id in sorted(placed.keys() - orders):
        yield f"order {order_id} was answered and is missing"
    for order_id in sorted(orders):
        if placed[order_id] != 1:
            yield f"order {order_id} was placed under {placed[order_id]} keys"


def money_matches_the_gateway(facts: Facts) -> Iterator[str]:
    """Our payments are the gateway's, to the cent; what an order ended with, it has cost."""
    orders = {order["id"]: order for order in facts.orders}
    ours = {payment["order_id"]: payment for payment in facts.payments}
    theirs = _by_payment(facts.gateway)
    for order_id in sorted({reference for reference, _ in theirs} - orders.keys()):
        yield f"the gateway has a payment for {order_id}, which is no order"
    for (order_id, gateway_id), entries in theirs.items():
        yield from _compared(order_id, gateway_id, entries, ours, orders)
    known = {order_id for order_id, _ in theirs}
    for order_id, payment in ours.items():
        if order_id not in known and (payment["status"] != "voided" or payment["gateway_id"]):
            yield f"payment of {order_id} is {payment['status']}, and the gateway has none"
        if payment["refunding_amount"]:
            yield f"payment of {order_id} has {payment['refunding_amount']} under way"
    for order in facts.orders:
        yield from _costs_what_it_should(order, ours.get(order["id"]))


def _by_payment(ledger: Sequence[Row]) -> dict[tuple[str, str], list[Row]]:
    grouped: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for entry in ledger:
        grouped[entry["reference"], entry["payment_id"]].append(entry)
    return grouped


def _compared(
    order_id: str,
    gateway_id: str,
    entries: Sequence[Row],
    ours: dict[str, Row],
    orders: dict[str, Row],
) -> Iterator[str]:
    payment = ours.get(order_id)
    if payment is None:
        yield f"the gateway has a payment for {order_id}, and we have none"
        return
    if payment["gateway_id"] not in {gateway_id, None}:
        yield f"payment of {order_id} is {payment['gateway_id']}, at the gateway {gateway_id}"
    captured, refunded = _sum(entries, "capture"), _sum(entries, "refund")
    if (payment["captured_amount"], payment["refunded_amount"]) != (captured, refunded):
        yield (
            f"payment of {order_id}: we have {payment['captured_amount']} taken and"
            f" {payment['refunded_amount']} given back, the gateway {captured} and {refunded}"
        )
    asked = entries[0]["amount"], entries[0]["currency"]
    if asked != (payment["amount"], payment["currency"]):
        yield f"payment of {order_id} was asked for as {asked}"
    status = entries[-1]["status"]
    undos = orders[order_id]["stuck_undos"] if order_id in orders else ()
    if {"void_payment", "refund_payment"} & set(undos):
        return  # a person looks at it
    if payment["status"] not in OURS_FOR_THEIRS.get(status, ()):
        yield f"payment of {order_id} is {payment['status']}, at the gateway {status}"


def _sum(entries: Sequence[Row], operation: str) -> int:
    return sum(int(e["amount"]) for e in entries if e["operation"] == operation)


def _costs_what_it_should(order: Row, payment: Row | None) -> Iterator[str]:
    captured = payment["captured_amount"] if payment else 0
    refunded = payment["refunded_amount"] if payment else 0
    kept = captured - refunded
    if order["status"] == "confirmed" and kept != order["gross_total"]:
        yield f"order {order['id']} is confirmed for {order['gross_total']} and has cost {kept}"
    if order["status"] == "cancelled" and kept:
        yield f"order {order['id']} is cancelled and has cost {kept}"
    if order["status"] == "stuck" and kept and "refund_payment" not in order["stuck_undos"]:
        yield f"order {order['id']} is stuck and has cost {kept}"


def parcels_match_the_carrier(facts: Facts) -> Iterator[str]:
    """A confirmed order has one parcel, the one that we know; any other order has none."""
    live: dict[str, list[str]] = defaultdict(list)
    for entry in facts.carrier:
        if entry["operation"] == "book":
            live[entry["reference"]].append(entry["shipment_id"])
        elif entry["operation"] == "cancel":
            live[entry["reference"]].remove(entry["shipment_id"])
    orders = {order["id"]: order for order in facts.orders}
    for order_id in sorted({entry["reference"] for entry in facts.carrier} - orders.keys()):
        yield f"the carrier has a parcel for {order_id}, which is no order"
    ours = {shipment["order_id"]: shipment for shipment in facts.shipments}
    for order_id, order in orders.items():
        if "cancel_shipment" in order["stuck_undos"] and order["status"] == "stuck":
            continue  # a person looks at it
        booked = ours.get(order_id, {}).get("status") == "booked"
        known = [ours[order_id]["provider_id"]] if booked else []
        wanted = 1 if order["status"] == "confirmed" else 0
        if live[order_id] != known or len(known) != wanted:
            yield (
                f"order {order_id} is {order['status']}: we know of the parcels {known},"
                f" the carrier of {live[order_id]}"
            )


def counters_are_sums(facts: Facts) -> Iterator[str]:
    """What is on hand and reserved is what the movements and the reservations sum to."""
    for row in facts.inventory:
        counters = row["reserved"], row["on_hand"]
        if counters != (row["reserved_moved"], row["on_hand_moved"]):
            yield f"product {row['product_id']}: counters and movements differ: {dict(row)}"
        if row["reserved"] != row["promised"]:
            yield f"product {row['product_id']}: {row['reserved']} reserved, not {row['promised']}"
        if not 0 <= row["reserved"] <= row["on_hand"]:
            yield f"product {row['product_id']} is oversold: {dict(row)}"


def only_confirmed_orders_keep_goods(facts: Facts) -> Iterator[str]:
    """All that a confirmed order has bought is kept for it, and for others nothing."""
    kept: dict[str, dict[str, int]] = defaultdict(dict)
    for row in facts.reservations:
        if row["status"] in OPEN_RESERVATIONS:
            kept[row["order_id"]][row["product_id"]] = row["quantity"]
        if row["status"] == "held":
            yield f"order {row['order_id']} still holds {row['product_id']}"
    orders = {order["id"]: order for order in facts.orders}
    for order_id in sorted(kept.keys() - orders.keys()):
        yield f"stock is kept for {order_id}, which is no order"
    for order_id, order in orders.items():
        if "release_stock" in order["stuck_undos"] and order["status"] == "stuck":
            continue  # a person looks at it
        wanted = order["lines"] if order["status"] == "confirmed" else {}
        if kept[order_id] != wanted:
            yield f"order {order_id} is {order['status']} and keeps {kept[order_id]}"


def nothing_happened_twice(facts: Facts) -> Iterator[str]:
    """No effect at a partner and no move of an order is repeated."""
    for ledger in (facts.gateway, facts.carrier):
        effects = Counter((e["reference"], e["operation"]) for e in ledger)
        for (order_id, operation), times in effects.items():
            if times > 1:
                yield f"{operation} happened {times} times for order {order_id}"
    for move in facts.moves:
        # An order may be parked, taken up and parked again.
        if move["times"] > 1 and "stuck" not in {move["from_status"], move["to_status"]}:
            yield f"order {move['order_id']} became {move['to_status']} {move['times']} times"


def every_move_was_told_once(facts: Facts) -> Iterator[str]:
    """An event for each move of an order and each of its money's, and none too many."""
    told: dict[str, Counter[str]] = defaultdict(Counter)
    for event in facts.events:
        told[event["order_id"]][event["type"]] += event["times"]
    moved: dict[str, Counter[str]] = defaultdict(Counter)
    for move in facts.moves:
        moved[move["order_id"]][EVENT_OF_A_MOVE[move["to_status"]]] += move["times"]
    for refund in facts.refunds:
        if refund["status"] == "succeeded":
            moved[refund["order_id"]]["payment.refunded.v1"] += refund["times"]
    exact = {*EVENT_OF_A_MOVE.values(), "payment.refunded.v1"}
    for order_id in sorted(moved.keys() | told.keys()):
        for type_ in sorted(exact):
            if told[order_id][type_] != moved[order_id][type_]:
                yield (
                    f"order {order_id}: {told[order_id][type_]} of {type_},"
                    f" not {moved[order_id][type_]}"
                )
        for type_ in ONCE_PER_PAYMENT:
            if told[order_id][type_] > 1:
                yield f"order {order_id}: {told[order_id][type_]} of {type_}"


def queues_are_empty(facts: Facts) -> Iterator[str]:
    """No message, dead letter, unsent event, open instance, task or question is left."""
    for place, count in facts.waiting.items():
        yield f"{count} left in {place}"


type Invariant = Callable[[Facts], Iterator[str]]

INVARIANTS: tuple[Invariant, ...] = (
    every_order_has_ended,
    every_key_placed_one_order,
    money_matches_the_gateway,
    parcels_match_the_carrier,
    counters_are_sums,
    only_confirmed_orders_keep_goods,
    nothing_happened_twice,
    every_move_was_told_once,
    queues_are_empty,
)


def violations(facts: Facts) -> list[str]:
    """Everything that is wrong, in words; empty when all is well."""
    return [
        f"{invariant.__name__}: {problem}"
        for invariant in INVARIANTS
        for problem in invariant(facts)
    ]


async def assert_all_is_well(platform: Platform, *, within_s: float = 60) -> Facts:
    """The facts once every invariant holds. AssertionError with what still breaks them in the end.

    Waits for what comes late by design: events that the relay sends, money that reconciliation
    finds.
    """
    deadline = time.monotonic() + within_s
    while problems := violations(facts := await gathered(platform)):
        assert time.monotonic() < deadline, "\n".join(problems)
        await asyncio.sleep(0.2)
    return facts
