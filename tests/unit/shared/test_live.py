"""Live messages: which there can be, and that they come out of the feed as they went in."""

from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.live import Feed, LiveMessage

ME = UUID("00000000-0000-4000-8000-000000000001")
TEXT = st.text(st.characters(codec="utf-8"), max_size=40)
DATA = st.dictionaries(TEXT, st.none() | st.booleans() | st.integers() | TEXT, max_size=5)


@given(identifier=TEXT, data=DATA, owner=st.none() | st.uuids())
def test_a_message_is_read_as_it_was_written(
    identifier: str, data: dict[str, Any], owner: UUID | None
) -> None:
    message = LiveMessage((f"user:{ME}", "clients"), "order", identifier, data, owner)
    assert LiveMessage.from_text(message.to_text()) == message


@pytest.mark.parametrize(
    "group",
    [f"user:{ME}", f"order:{ME}", "role:order-manager", "clients", "employees", "everyone"],
)
def test_there_are_six_kinds_of_groups(group: str) -> None:
    assert LiveMessage((group,), "order", "1", {}).groups == (group,)


@pytest.mark.parametrize(
    "groups", [(), ("",), ("all",), ("user:me",), (f"user:{ME}\n",), ("role:",), ("clients", "x")]
)
def test_a_message_to_no_group_that_there_is_cannot_be_made(groups: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="group"):
        LiveMessage(groups, "order", "1", {})


def test_a_message_that_is_too_large_is_not_written() -> None:
    with pytest.raises(ValueError, match="at most 16384 bytes"):
        LiveMessage(("clients",), "order", "1", {"text": "é" * 20_000}).to_text()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"groups":["clients"],"event":"order","id":"1"}',
        '{"groups":["clients"],"event":"order","id":"1","data":[]}',
        '{"groups":["clients"],"event":"resync","id":"1","data":{}}',
        '{"groups":["nobody"],"event":"order","id":"1","data":{}}',
        '{"groups":["clients"],"event":"order","id":"1","data":{},"owner":"me"}',
        '{"groups":["clients"],"event":"order","id":"1","data":{},"owner":7}',
    ],
)
def test_what_is_no_message_is_not_read_as_one(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        LiveMessage.from_text(text)


async def test_nothing_is_published_without_a_connection() -> None:
    feed = Feed("redis://127.0.0.1:1/0")
    assert await feed.publish([]) is True
    assert await feed.publish([LiveMessage(("clients",), "order", "1", {})]) is False
    await feed.close()
