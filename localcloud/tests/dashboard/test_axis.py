from datetime import UTC, datetime, timedelta

import pytest

from localcloud.dashboard.axis import Axis

START = datetime(2026, 11, 24, 8, tzinfo=UTC)


def axis(seconds: float) -> Axis:
    return Axis(START, START + timedelta(seconds=seconds))


@pytest.mark.parametrize(
    ("seconds", "labels"),
    [
        (0.001, ["0", "+1 ms"]),
        (0.385, ["0", "+100 ms", "+200 ms", "+300 ms"]),
        (1, ["0", "+200 ms", "+400 ms", "+600 ms", "+800 ms", "+1 s"]),
        (7.6, ["0", "+2 s", "+4 s", "+6 s"]),
        (63, ["0", "+15 s", "+30 s", "+45 s", "+1 min"]),
        (3600, ["0", "+15 min", "+30 min", "+45 min", "+1 h"]),
        (5 * 3600 + 1, ["0", "+2 h", "+4 h"]),
        (3 * 86_400, ["0", "+1 d", "+2 d", "+3 d"]),
        (400 * 86_400, ["0", "+128 d", "+256 d", "+384 d"]),
    ],
)
def test_ticks_are_few_and_at_round_distances(seconds: float, labels: list[str]) -> None:
    assert [tick.label for tick in axis(seconds).ticks()] == labels


def test_ticks_lie_where_their_moments_do() -> None:
    ten = axis(10)
    assert [tick.place for tick in ten.ticks()] == [0, 20, 40, 60, 80, 100]
    assert ten.place(START + timedelta(seconds=4)) == 40


def test_nothing_lies_outside_of_the_axis() -> None:
    ten = axis(10)
    assert ten.place(START - timedelta(days=1)) == 0
    assert ten.place(START + timedelta(days=1)) == 100


def test_an_axis_reaches_over_everything_and_is_never_empty() -> None:
    early, late = START - timedelta(seconds=1), START + timedelta(seconds=1)
    assert Axis.over(START, [late, early]) == Axis(early, late)
    assert Axis.over(START, [START]) == Axis(START, START + timedelta(milliseconds=1))
