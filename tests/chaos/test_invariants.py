"""Every invariant can fail: each is shown facts that break it, and only it is broken by them."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tests.chaos.sound import (
    MUG,
    SOLD,
    STUCK,
    WELL,
    at_carrier,
    at_gateway,
    events,
    payment,
)
from tests.rig.facts import Facts, Row
from tests.rig.invariants import INVARIANTS, violations

type Break = Callable[[Facts], Facts]


def with_rows(facts: Facts, table: str, rows: list[Row]) -> Facts:
    return Facts(**{**vars(facts), table: rows})


def changed(table: str, index: int, **values: Any) -> Break:
    """One row says something else."""

    def broken(facts: Facts) -> Facts:
        rows = list(getattr(facts, table))
        rows[index] = {**rows[index], **values}
        return with_rows(facts, table, rows)

    return broken


def more(table: str, *rows: Row) -> Break:
    return lambda facts: with_rows(facts, table, [*getattr(facts, table), *rows])


def less(table: str, index: int) -> Break:
    def broken(facts: Facts) -> Facts:
        rows = list(getattr(facts, table))
        del rows[index]
        return with_rows(facts, table, rows)

    return broken


def both(first: Break, second: Break) -> Break:
    return lambda facts: second(first(facts))


GHOST = "order-ghost"
ENDED, KEYS, MONEY, PARCELS = (
    "every_order_has_ended",
    "every_key_placed_one_order",
    "money_matches_the_gateway",
    "parcels_match_the_carrier",
)
SUMS, GOODS, TWICE, TOLD, QUEUES = (
    "counters_are_sums",
    "only_confirmed_orders_keep_goods",
    "nothing_happened_twice",
    "every_move_was_told_once",
    "queues_are_empty",
)

BROKEN: dict[str, tuple[str, Break]] = {
    "an order that does not end": (ENDED, changed("orders", 1, status="cancelling")),
    "a cancellation without a reason": (ENDED, changed("orders", 1, cancel_reason=None)),
    "a stuck order that leaves nothing to do": (ENDED, changed("orders", 2, stuck_undos=[])),
    "a key whose order is missing": (
        KEYS,
        more("placements", {"caller_id": "bob", "key": "k", "order_id": GHOST}),
    ),
    "an order that two keys placed": (
        KEYS,
        more("placements", {"caller_id": "bob", "key": "k", "order_id": SOLD}),
    ),
    "an order that no key placed": (KEYS, less("placements", 0)),
    "money of no order": (MONEY, more("gateway", *at_gateway(GHOST, "authorize", "void"))),
    "money that we do not know of": (MONEY, less("payments", 2)),
    "money that the gateway does not know of": (
        MONEY,
        both(
            changed("payments", 2, status="authorized"),
            lambda facts: replace(facts, gateway=facts.gateway[:5]),
        ),
    ),
    "another payment at the gateway": (MONEY, changed("payments", 2, gateway_id="pay-other")),
    "a cent too much taken": (MONEY, changed("gateway", 1, amount=501)),
    "a cent too little given back": (MONEY, changed("gateway", 4, amount=499)),
    "another amount asked for": (MONEY, changed("gateway", 5, amount=499)),
    "another currency asked for": (MONEY, changed("gateway", 0, currency="USD")),
    "money that is still held": (MONEY, less("gateway", 6)),
    "a refund under way": (MONEY, changed("payments", 0, refunding_amount=1)),
    "a confirmed order that cost something else": (MONEY, changed("orders", 0, gross_total=499)),
    "a parcel of no order": (PARCELS, more("carrier", *at_carrier(GHOST, "book"))),
    "a parcel of a cancelled order": (PARCELS, less("carrier", 2)),
    "a confirmed order without a parcel": (PARCELS, less("carrier", 0)),
    "another parcel than ours": (PARCELS, changed("shipments", 0, provider_id="shp-other")),
    "stock that moved in secret": (SUMS, changed("inventory", 0, on_hand_moved=8)),
    "a reservation that moved nothing": (SUMS, changed("inventory", 0, reserved_moved=0)),
    "stock reserved for nobody": (SUMS, changed("inventory", 0, promised=0)),
    "stock sold that is not there": (
        SUMS,
        changed("inventory", 0, on_hand=1, on_hand_moved=1),
    ),
    "stock held after the end": (GOODS, changed("reservations", 0, status="held")),
    "stock kept for a cancelled order": (GOODS, changed("reservations", 1, status="committed")),
    "a confirmed order without its stock": (GOODS, changed("reservations", 0, status="released")),
    "a confirmed order with too little": (GOODS, changed("reservations", 0, quantity=1)),
    "stock kept for no order": (
        GOODS,
        more(
            "reservations",
            {"order_id": GHOST, "product_id": MUG, "quantity": 1, "status": "committed"},
        ),
    ),
    "an order confirmed twice": (
        TWICE,
        both(changed("moves", 1, times=2), changed("events", 1, times=2)),
    ),
    "a confirmation nobody was told of": (TOLD, less("events", 1)),
    "a confirmation told twice": (TOLD, changed("events", 1, times=2)),
    "a placement told twice": (TOLD, more("events", *events(SOLD, "order.placed"))),
    "a refund told twice": (TOLD, changed("events", 9, times=2)),
    "a capture told twice": (TOLD, changed("events", 3, times=2)),
    "an event of no order": (TOLD, more("events", *events(GHOST, "order.placed"))),
    "a dead letter": (QUEUES, lambda facts: replace(facts, waiting={"dead letters": 1})),
}


def test_good_facts_break_nothing() -> None:
    assert violations(WELL) == []


@pytest.mark.parametrize("what", BROKEN)
def test_an_invariant_notices(what: str) -> None:
    invariant, broken = BROKEN[what]

    problems = violations(broken(WELL))

    assert problems
    assert {problem.split(":")[0] for problem in problems} == {invariant}


@pytest.mark.parametrize(
    ("table", "rows"),
    [
        ("gateway", [{**at_gateway(SOLD, "capture")[0], "amount": 0}]),
        ("gateway", [{**at_gateway(STUCK, "void")[0]}]),
        ("carrier", at_carrier(SOLD, "cancel", "book")),
    ],
)
def test_an_effect_that_changes_no_sum_is_noticed_when_it_is_doubled(
    table: str, rows: list[Row]
) -> None:
    problems = violations(more(table, *rows)(WELL))

    assert {problem.split(":")[0] for problem in problems} == {TWICE}


def test_a_second_payment_is_noticed_though_it_was_never_taken() -> None:
    second = {**at_gateway(SOLD, "authorize")[0], "payment_id": "pay-second"}

    problems = violations(more("gateway", second)(WELL))

    assert {problem.split(":")[0] for problem in problems} == {TWICE, MONEY}


def test_what_a_person_has_to_undo_is_allowed_to_a_stuck_order() -> None:
    undos = ["cancel_shipment", "refund_payment", "release_stock"]
    facts = changed("orders", 2, stuck_undos=undos)(WELL)
    facts = changed("reservations", 2, status="committed")(facts)
    facts = changed("inventory", 0, reserved=4, reserved_moved=4, promised=4)(facts)
    facts = replace(
        facts,
        gateway=[*facts.gateway[:5], *at_gateway(STUCK, "authorize", "capture")],
        payments=[*facts.payments[:2], payment(STUCK, "captured", 500, 0)],
        carrier=[*facts.carrier, *at_carrier(STUCK, "book")],
    )

    assert violations(facts) == []


@pytest.mark.parametrize("undo", ["refund_payment", "release_stock"])
def test_a_stuck_order_keeps_nothing_else(undo: str) -> None:
    facts = changed("orders", 2, stuck_undos=[undo])(WELL)
    facts = replace(facts, carrier=[*facts.carrier, *at_carrier(STUCK, "book")])

    assert {problem.split(":")[0] for problem in violations(facts)} == {PARCELS}


def test_every_invariant_is_broken_by_something() -> None:
    assert {invariant for invariant, _ in BROKEN.values()} == {i.__name__ for i in INVARIANTS}
