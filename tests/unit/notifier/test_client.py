"""A client by its clock: order, history, heartbeats, and the ends it can come to."""

import asyncio
import json
import time
from typing import Any
from uuid import UUID, uuid4

import pytest

from notifier.client import Client, Transport
from notifier.entries import Entry, HubDialect, StreamDialect
from notifier.metrics import Metrics
from notifier.people import Person
from notifier.registry import Registry
from notifier.settings import Settings
from shared.auth import Caller
from shared.live import LiveMessage

ME = UUID("00000000-0000-4000-8000-000000000001")
ENVIRONMENT = {
    "REDIS_URL": "redis://nowhere",
    **{
        f"AUTH_{who}_{what}": "x"
        for who in ("CLIENTS", "EMPLOYEES")
        for what in ("ISSUER", "AUDIENCE", "JWKS_URL")
    },
}
SETTINGS = Settings.from_environment(ENVIRONMENT)


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def client(clock: Clock, transport: Transport = "websockets", **caller: Any) -> Client:
    facts: dict[str, Any] = {"kind": "client", "id": ME} | caller
    person = Person(Caller(**facts), time.time() + 3600)
    dialect = StreamDialect() if transport == "stream" else HubDialect()
    return Client(person, transport, dialect, settings=SETTINGS, metrics=Metrics(), clock=clock)


def entry(number: int, *groups: str, owner: UUID | None = None) -> Entry:
    message = LiveMessage(groups or ("everyone",), "notification", f"n-{number}", {}, owner)
    return Entry(f"{number}-0", message)


def sent(one: Client) -> list[dict[str, Any]]:
    """What waits for a hub client; the queue is finished by this."""
    if not one.outbox.finished:
        one.outbox.finish()

    async def everything() -> str:
        texts = []
        while (text := await one.outbox.take()) is not None:
            texts.append(text)
        return "".join(texts)

    return [json.loads(text) for text in asyncio.run(everything()).split("\x1e")[:-1]]


def ids(one: Client) -> list[str]:
    return [message["arguments"][0]["id"] for message in sent(one) if "arguments" in message]


def test_nothing_comes_before_the_answer_to_the_handshake(clock: Clock) -> None:
    one = client(clock)
    one.deliver(entry(1))
    one.deliver(entry(2))
    assert len(one.outbox) == 0
    one.shake()
    one.deliver(entry(3))

    first, *others = sent(one)
    assert first == {}
    assert [message["arguments"][0]["id"] for message in others] == ["n-1", "n-2", "n-3"]


def test_history_comes_before_what_was_held_back_and_neither_twice(clock: Clock) -> None:
    one = client(clock)
    one.shake()
    one.hold()
    one.deliver(entry(4))
    one.deliver(entry(5))
    one.release([entry(2), entry(3), entry(4)])
    one.deliver(entry(6))

    assert ids(one) == ["n-2", "n-3", "n-4", "n-5", "n-6"]


def test_a_client_that_is_told_too_much_while_it_is_held_back_is_slow(clock: Clock) -> None:
    one = client(clock)
    one.shake()
    one.hold()
    for number in range(SETTINGS.notifier_queue_messages + 1):
        one.deliver(entry(number))

    assert one.reason == "slow"
    resync, farewell = sent(one)
    assert resync["target"] == "resync"
    assert farewell["allowReconnect"] is True


@pytest.mark.parametrize(
    ("message", "seen"),
    [
        (entry(1, "everyone"), True),
        (entry(1, "clients", owner=ME), True),
        (entry(1, "clients", owner=uuid4()), False),
        (entry(1, f"order:{ME}", owner=ME), True),
        (entry(1, f"order:{ME}", owner=uuid4()), False),
        (entry(1, f"order:{ME}"), False),
        (entry(1, f"order:{ME}", f"user:{ME}"), True),
    ],
)
def test_a_customer_sees_of_orders_only_what_is_his(
    clock: Clock, message: Entry, seen: bool
) -> None:
    registry = Registry(SETTINGS, Metrics())
    one = client(clock)
    employee = client(clock, kind="employee", roles=frozenset({"admin"}))
    for anyone in (one, employee):
        registry.add(anyone)
        registry.join(anyone, f"order:{ME}")

    assert one.may_see(message) is seen
    assert employee.may_see(message) is True


def test_pings_keep_a_quiet_connection_and_messages_make_them_needless(clock: Clock) -> None:
    one = client(clock)
    one.shake()
    clock.now += 14.5
    one.tick(None)
    one.deliver(entry(1))
    clock.now += 14.5
    one.heard()
    one.tick(None)
    clock.now += 0.5
    one.tick(None)
    one.tick(None)

    assert [message.get("type") for message in sent(one)] == [None, 1, 6]


@pytest.mark.parametrize(
    ("transport", "after_s", "reason"),
    [
        ("websockets", 30.0, "timeout"),
        ("sse", 30.0, "timeout"),
        ("longpolling", 30.0, "timeout"),
        ("stream", 30.0, None),
    ],
)
def test_who_is_not_heard_of_for_thirty_seconds_is_let_go(
    clock: Clock, transport: Transport, after_s: float, reason: str | None
) -> None:
    one = client(clock, transport)
    if transport != "stream":
        one.shake()
    clock.now += after_s - 0.5
    one.tick(None)
    assert one.reason is None
    clock.now += 0.5
    one.tick(None)
    assert one.reason == reason


def test_a_handshake_has_fifteen_seconds(clock: Clock) -> None:
    one = client(clock)
    clock.now += 14.5
    one.tick(None)
    assert one.reason is None
    clock.now += 0.5
    one.tick(None)
    assert sent(one) == [{"error": "the handshake took too long"}]


def test_a_write_that_gets_stuck_ends_the_connection(clock: Clock) -> None:
    one = client(clock, "stream")
    one.writing_since = clock.now
    clock.now += 30.0
    one.tick(None)
    assert one.reason == "slow"


def test_whoever_does_not_take_its_farewell_is_cut_off(clock: Clock) -> None:
    cut = []
    one = client(clock)
    one.shake()
    one.abort = lambda: cut.append(clock.now)
    one.close("drain")
    one.close("slow")
    clock.now += 4.5
    one.tick(None)
    assert cut == []
    clock.now += 0.5
    one.tick(None)

    assert cut == [1005.0]
    assert one.reason == "drain"


def test_the_heartbeat_of_a_stream_says_where_it_stands(clock: Clock) -> None:
    one = client(clock, "stream")
    clock.now += 15
    one.tick("7-0")
    clock.now += 15
    one.tick(None)
    one.outbox.finish()
    assert asyncio.run(one.outbox.take()) == ":\nid: 7-0\n\n:\n\n"
