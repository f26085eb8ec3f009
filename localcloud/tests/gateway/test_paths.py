"""Paths are cut once, and refused where two readers could cut them differently."""

import pytest

from localcloud.gateway.paths import check_lengths, joined, segments_of
from localcloud.gateway.policy.faults import Refusal


@pytest.mark.parametrize(
    ("path", "segments"),
    [
        ("/", ("",)),
        ("/orders", ("orders",)),
        ("/orders/", ("orders", "")),
        ("/a//b", ("a", "", "b")),
        ("/%6Frders/a%20b", ("orders", "a b")),
        ("/na%C3%AFve", ("naïve",)),
        ("/a%252Fb", ("a%2Fb",)),
        ("/a;b=c/~x", ("a;b=c", "~x")),
        ("/...", ("...",)),
    ],
)
def test_a_path_is_cut_into_decoded_segments(path: str, segments: tuple[str, ...]) -> None:
    assert segments_of(path) == segments


@pytest.mark.parametrize(
    "path",
    [
        "orders",
        "",
        "*",
        "/a/../b",
        "/..",
        "/./a",
        "/%2e%2E/admin",
        "/.%2e/admin",
        "/a%2Fb",
        "/a%2fb",
        "/a%5Cb",
        "/a\\b",
        "/a%00b",
        "/a%0d%0ab",
        "/a%7f",
        "/a%",
        "/a%2",
        "/a%zz",
        "/a%FFb",
        "/a%C0%AF",
    ],
)
def test_a_path_with_two_readings_is_refused(path: str) -> None:
    with pytest.raises(Refusal) as refusal:
        segments_of(path)
    assert (refusal.value.status, refusal.value.reason) == (400, "BadRequest")


def test_a_path_is_written_in_one_way() -> None:
    assert joined(segments_of("/%6Frders/a%20b/na%c3%afve/x;y=1,2/%252F")) == (
        "/orders/a%20b/na%C3%AFve/x;y=1,2/%252F"
    )


@pytest.mark.conforms(
    "Limits",
    "Length of URL path segment: 1,024 characters",
    source="learn:azure/api-management/service-limits",
)
def test_a_segment_has_at_most_1024_characters() -> None:
    assert segments_of("/" + "a" * 1024) == ("a" * 1024,)
    with pytest.raises(Refusal) as refusal:
        segments_of("/" + "a" * 1025)
    assert refusal.value.status == 414


@pytest.mark.conforms(
    "Limits",
    "Request URL size: 16,384 bytes, which includes an up to 2,048 bytes long query string",
    source="learn:azure/api-management/service-limits",
)
@pytest.mark.parametrize(("path", "query"), [("/" + "a" * 16_383, ""), ("/", "q" * 2049)])
def test_a_url_beyond_azures_bounds_is_too_long(path: str, query: str) -> None:
    check_lengths(path[:-1], query[:2048])
    with pytest.raises(Refusal) as refusal:
        check_lengths(path, query)
    assert (refusal.value.status, refusal.value.reason) == (414, "UriTooLong")
