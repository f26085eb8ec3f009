"""Cursors and ETags."""

import base64
import json
from datetime import UTC, datetime
from uuid import UUID

import pytest

from shared.http import decode_cursor, encode_cursor, etag_of, version_of
from shared.problem import EtagMismatch, InvalidCursor

THING = UUID("0195a0a0-0000-7000-8000-000000000001")
AT = datetime(2026, 1, 2, 3, 4, 5, 6, UTC)


def test_a_cursor_comes_back_as_it_went_out() -> None:
    cursor = encode_cursor(placed_at=AT, id=THING)
    assert decode_cursor(cursor, "placed_at", "id") == (
        "2026-01-02 03:04:05.000006+00:00",
        str(THING),
    )
    assert decode_cursor(cursor, placed_at=datetime.fromisoformat, id=UUID) == (AT, THING)
    assert decode_cursor(cursor, "id", placed_at=datetime.fromisoformat) == (str(THING), AT)


def test_a_cursor_stands_in_a_url_as_it_is() -> None:
    cursor = encode_cursor(name="Käse & mehr???>>>")
    assert cursor.isascii()
    assert set(cursor) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")
    assert decode_cursor(cursor, "name") == ("Käse & mehr???>>>",)


def cursor_of(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode()


@pytest.mark.parametrize(
    "cursor",
    [
        "",
        "!",
        "ä",
        "A" * 2000,
        cursor_of("{"),
        cursor_of("[]"),
        cursor_of('"id"'),
        cursor_of('{"id": 7}'),
        cursor_of('{"id": "not-a-uuid"}'),
        cursor_of(json.dumps({"id": "\0"})),
        cursor_of(json.dumps({"id": str(THING), "more": "x"})),
        encode_cursor(name="x"),
        base64.urlsafe_b64encode(b'{"id": "\xff"}').decode(),
    ],
)
def test_a_cursor_that_was_not_given_out_is_refused(cursor: str) -> None:
    with pytest.raises(InvalidCursor):
        decode_cursor(cursor, id=UUID)


def test_an_etag_is_a_version_in_quotes() -> None:
    assert etag_of(7) == '"7"'
    assert version_of(' "7" ') == 7


@pytest.mark.parametrize("tag", ["7", 'W/"7"', '"7", "8"', '"07"', '"-1"', '"x"', '"\u0667"', "*"])
def test_an_etag_that_was_not_given_out_never_matches(tag: str) -> None:
    with pytest.raises(EtagMismatch):
        version_of(tag)
