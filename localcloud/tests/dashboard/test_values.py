import json
from datetime import UTC, datetime, timedelta, timezone

import pytest

from localcloud.dashboard.values import CUT_CHARACTERS, Payload, lasting, moment, payload, size


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-3, "0 ms"),
        (0, "0 ms"),
        (0.0004, "0 ms"),
        (0.999, "999 ms"),
        (0.9996, "1.00 s"),
        (1.239, "1.24 s"),
        (9.994, "9.99 s"),
        (10, "10 s"),
        (59.99, "59 s"),
        (60, "1 min 00 s"),
        (125, "2 min 05 s"),
        (3599, "59 min 59 s"),
        (3720, "1 h 02 min"),
        (86_400 * 2 + 3600 * 3, "2 d 03 h"),
    ],
)
def test_durations_are_told_in_the_unit_that_fits(seconds: float, words: str) -> None:
    assert lasting(seconds) == words


def test_a_time_is_shown_in_utc_wherever_it_was_written() -> None:
    at = datetime(2026, 11, 24, 9, 1, 2, 345_678, timezone(timedelta(hours=1)))
    assert moment(at) == (
        '<time datetime="2026-11-24T08:01:02.345Z">2026-11-24 08:01:02.345</time>'
    )
    assert moment(at.astimezone(UTC)) == moment(at)
    assert moment(None) == '<span class="none">–</span>'


def test_sizes_are_told_in_the_unit_that_fits() -> None:
    assert [size(count) for count in (0, 1023, 1024, 5_000_000)] == [
        "0 bytes",
        "1023 bytes",
        "1.0 KB",
        "4.8 MB",
    ]


@pytest.mark.parametrize(
    ("stored", "shown"),
    [
        ('{"a":1}', '{"a": 1}'),
        (json.dumps('{"a":[1,2]}'), '{"a": [1, 2]}'),
        (json.dumps("null"), "null"),
        (json.dumps("5"), '"5"'),
        (json.dumps("[not json"), '"[not json"'),
        ("Orchestrator function 'x' failed", "Orchestrator function 'x' failed"),
        ("", ""),
        ("é\\u00e9", "é\\u00e9"),
        ('"\\u00e9"', '"é"'),
        (
            json.dumps({"first": "x" * 40, "second": ["y" * 40, 1]}),
            '{\n  "first": "' + "x" * 40 + '",\n  "second": ["' + "y" * 40 + '", 1]\n}',
        ),
    ],
)
def test_json_is_laid_out_and_anything_else_left_as_it_is(stored: str, shown: str) -> None:
    value = Payload.of(stored)
    assert value is not None
    assert value.readable() == shown


@pytest.mark.parametrize("depth", [30, 300, 30_000])
def test_json_of_any_depth_can_be_shown(depth: int) -> None:
    value = Payload.of("[" * depth + "]" * depth)
    assert value is not None
    assert value.readable().replace("\n", "").replace(" ", "") == "[" * depth + "]" * depth


def test_numbers_that_python_refuses_are_shown_as_they_are() -> None:
    value = Payload.of("9" * 5000)
    assert value is not None
    assert value.readable() == "9" * 5000


def test_a_short_payload_is_open_and_a_long_one_folded() -> None:
    short = payload(Payload.of('"' + "x" * 2046 + '"'), key="k")
    long = payload(Payload.of('"' + "x" * 2047 + '"'), key="k")
    assert short.startswith('<pre class="payload">')
    assert long.startswith('<details id="k" class="fold"><summary>2.0 KB, show</summary><pre')
    assert payload(None, key="k", absent="none yet") == '<span class="none">none yet</span>'


def test_a_huge_payload_is_cut_and_says_so() -> None:
    text = json.dumps("é" * CUT_CHARACTERS, ensure_ascii=False)
    value = Payload.of(text)
    assert value is not None
    assert value.cut
    assert value.size == 2 * CUT_CHARACTERS + 2
    shown = payload(value, key="k")
    assert "<summary>128.0 KB, show</summary>" in shown
    assert '<p class="note">Only the first 64.0 KB are shown.</p>' in shown
    assert shown.count("é") == CUT_CHARACTERS - 1


@pytest.mark.parametrize(
    ("stored", "shown"),
    [("{}", ""), ("null", ""), ('{ "refused":"out_of_stock"}', '{"refused": "out_of_stock"}')],
)
def test_a_preview_is_one_short_line(stored: str, shown: str) -> None:
    value = Payload.of(stored)
    assert value is not None
    assert value.preview() == shown


def test_a_long_payload_has_no_preview() -> None:
    value = Payload.of('"' + "x" * 80 + '"')
    assert value is not None
    assert value.preview() == ""
