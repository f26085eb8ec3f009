"""Duplicate detection and staging, without a wire."""

import asyncio
from pathlib import Path

from localcloud.servicebus import encoding as enc
from localcloud.servicebus import message as wire
from localcloud.servicebus.changes import Delete, ForgetIds, Insert, RememberId
from localcloud.servicebus.errors import AmqpError
from localcloud.servicebus.message import Content
from localcloud.servicebus.routing import History, Staging
from localcloud.servicebus.store import Store

WINDOW_MS = 20_000


def content(message_id: str) -> Content:
    return Content.parse(enc.composite(wire.PROPERTIES, (enc.string(message_id),)))


def at(now_ms: int) -> Staging:
    staging = Staging()
    staging.now_ms = now_ms
    return staging


def test_an_id_is_known_for_the_window_and_then_forgotten() -> None:
    history = History("q", WINDOW_MS)
    first = at(1_000)
    assert history.is_new(content("a"), first)
    assert first.changes == [RememberId("q", "a", 21_000)]
    assert not history.is_new(content("a"), at(20_999))
    late = at(21_000)
    assert history.is_new(content("a"), late)
    assert late.changes == [ForgetIds("q", 21_000), RememberId("q", "a", 41_000)]


def test_a_restored_id_is_known() -> None:
    history = History("q", WINDOW_MS)
    history.restore(RememberId("q", "a", 5_000))
    assert not history.is_new(content("a"), at(4_999))
    assert history.is_new(content("a"), at(5_000))


async def outcome(staging: Staging, store: Store) -> AmqpError | None:
    done: asyncio.Future[AmqpError | None] = asyncio.get_running_loop().create_future()
    staging.submit(store, done.set_result)
    return await done


async def test_a_message_that_could_not_be_stored_is_no_duplicate_when_it_comes_again(
    tmp_path: Path,
) -> None:
    store = Store(tmp_path / "s.db", 1 << 20)
    store.start()
    history = History("q", WINDOW_MS)
    twin = Insert(1, "q", 1, 1, 1, None, 0, b"")
    admitted: list[str] = []
    refused = Staging(twin)
    assert history.is_new(content("a"), refused)
    refused.add(twin, lambda: admitted.append("refused"))
    failure = await outcome(refused, store)
    assert failure is not None
    again = Staging()
    assert history.is_new(content("a"), again)
    again.add(twin, lambda: admitted.append("stored"))
    assert await outcome(again, store) is None
    assert admitted == ["stored"]
    assert not history.is_new(content("a"), Staging())
    assert await outcome(Staging(Delete(1)), store) is None
    await store.close()


async def test_nothing_to_store_is_done_at_once(tmp_path: Path) -> None:
    store = Store(tmp_path / "s.db", 1 << 20)
    staging = Staging()
    staging.count("t", 1)
    outcomes: list[AmqpError | None] = []
    staging.submit(store, outcomes.append)
    assert outcomes == [None]
    await store.close()
