"""The guard's copies of connections: who is answered when the app is gone, and who is let go."""

import socket
from collections.abc import Iterator

import pytest

from localcloud.functions.lifelines import UNTIED, HeldConnections, Lifelines
from localcloud.tests.functions.running_host import RunningHost


class Pair:
    """Both halves in one process, and a caller on a connection of their own."""

    def __init__(self) -> None:
        self.held = HeldConnections(2)
        self.app = Lifelines(self.held._other, self.held._marks)
        self.callers: list[socket.socket] = []
        self.connections: list[socket.socket] = []

    def connect(self) -> int:
        """A connection that the app ties; its slot."""
        caller, connection = socket.socketpair()
        caller.settimeout(5)
        self.callers.append(caller)
        self.connections.append(connection)
        return self.app.tie(connection.fileno())

    def die(self) -> None:
        for connection in self.connections:
            connection.close()
        self.held.for_the_guard()
        self.held.answer()


@pytest.fixture
def pair() -> Iterator[Pair]:
    made = Pair()
    yield made
    for each in (*made.callers, *made.connections):
        each.close()


def test_only_who_waits_is_answered(pair: Pair) -> None:
    waiting, _idle = pair.connect(), pair.connect()
    pair.app.marks[waiting] = 1

    pair.die()

    assert pair.callers[0].recv(1000) == (
        b"HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
    )
    assert pair.callers[0].recv(1000) == b""
    assert pair.callers[1].recv(1000) == b""


def test_a_connection_that_was_cut_is_closed_at_once_and_its_slot_is_free(pair: Pair) -> None:
    slot = pair.connect()
    assert pair.held.attend()

    pair.connections[0].close()
    pair.app.cut(slot)
    assert pair.held.attend()

    assert pair.callers[0].recv(1000) == b""
    assert pair.connect() == slot
    pair.die()


def test_what_the_guard_cannot_hold_goes_without(pair: Pair) -> None:
    assert UNTIED not in {pair.connect(), pair.connect()}

    assert pair.connect() == UNTIED

    pair.app.cut(UNTIED)
    pair.die()
    assert [caller.recv(1000) for caller in pair.callers] == [b"", b"", b""]


def test_a_successor_forgets_what_is_held_for_others(pair: Pair) -> None:
    pair.connect()
    assert pair.held.attend()
    pair.connections[0].close()

    pair.held.forget()

    assert pair.callers[0].recv(1000) == b""
    pair.held.for_the_guard()


def test_more_callers_than_the_guard_holds_are_served_all_the_same(web: RunningHost) -> None:
    callers = [socket.create_connection(("127.0.0.1", web.port), timeout=20) for _ in range(520)]
    try:
        for caller in callers[::-1][:30] + callers[:30]:
            caller.sendall(b"GET /api/text HTTP/1.1\r\nHost: x\r\n\r\n")
            assert caller.recv(65_536).startswith(b"HTTP/1.1 200 OK\r\n")
    finally:
        for caller in callers:
            caller.close()
    assert web.http.get("/api/text").status_code == 200
