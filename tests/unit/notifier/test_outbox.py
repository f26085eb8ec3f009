"""A client's queue: bounded, in order, with an end; a reader that is cancelled loses nothing."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifier.outbox import SENT_AT_ONCE, Outbox


async def everything(outbox: Outbox) -> list[str]:
    """All that can be taken until the end."""
    taken = []
    while (text := await outbox.take()) is not None:
        taken.append(text)
    return taken


@given(st.lists(st.text(st.characters(codec="ascii"), max_size=3000), max_size=60))
def test_what_is_put_is_taken_in_order_up_to_the_bounds(texts: list[str]) -> None:
    outbox = Outbox(messages=40, size=20_000)
    accepted = [text for text in texts if outbox.put(text)]
    assert len(outbox) == len(accepted) <= 40
    assert outbox.bytes == sum(map(len, accepted)) <= 20_000
    outbox.finish("end")

    taken = asyncio.run(everything(outbox))

    assert "".join(taken) == "".join([*accepted, "end"])
    assert all(len(text) <= SENT_AT_ONCE for text in taken)
    assert outbox.bytes == 0


def test_a_full_queue_refuses_until_something_is_taken() -> None:
    outbox = Outbox(messages=2, size=10)
    assert outbox.put("aaaaa")
    assert not outbox.put("bbbbbb")
    assert outbox.put("bbbbb")
    assert not outbox.put("")
    assert asyncio.run(outbox.take()) == "aaaaabbbbb"
    assert outbox.put("c")


def test_the_last_words_find_room_in_a_full_queue_and_nothing_comes_after_them() -> None:
    outbox = Outbox(messages=1, size=1)
    assert outbox.put("a")
    outbox.finish("resync", "farewell")
    assert outbox.finished
    assert not outbox.put("b")
    assert asyncio.run(everything(outbox)) == ["aresyncfarewell"]
    assert asyncio.run(outbox.take()) is None


def test_what_waits_can_be_dropped() -> None:
    outbox = Outbox(messages=9, size=99)
    for text in "abc":
        outbox.put(text)
    assert outbox.clear() == 3
    outbox.finish("end")
    assert asyncio.run(everything(outbox)) == ["end"]


async def test_a_cancelled_reader_takes_nothing_with_it() -> None:
    outbox = Outbox(messages=9, size=99)
    reader = asyncio.create_task(outbox.take())
    await asyncio.sleep(0)
    outbox.put("a")
    reader.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reader
    assert await outbox.take() == "a"
