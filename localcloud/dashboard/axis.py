"""The time axis: where a moment lies, and which moments are marked."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

_STEPS_MS: Final = (
    *(1, 2, 5, 10, 20, 50, 100, 200, 500),
    *(1000 * seconds for seconds in (1, 2, 5, 10, 15, 30)),
    *(60_000 * minutes for minutes in (1, 2, 5, 10, 15, 30)),
    *(3_600_000 * hours for hours in (1, 2, 3, 6, 12)),
)
_DAY_MS: Final = 86_400_000
_TICKS_MAX: Final = 5
_UNITS: Final = ((_DAY_MS, "d"), (3_600_000, "h"), (60_000, "min"), (1000, "s"), (1, "ms"))


@dataclass(frozen=True, slots=True)
class Tick:
    """A mark on the axis: its place in per cent, and the time since the beginning."""

    place: float
    label: str


@dataclass(frozen=True, slots=True)
class Axis:
    """The time from `start` to `end`, at least a millisecond."""

    start: datetime
    end: datetime

    @classmethod
    def over(cls, start: datetime, moments: Sequence[datetime]) -> "Axis":
        """From `start`, or the earliest moment, to the latest."""
        first = min([start, *moments])
        return cls(first, max([first + timedelta(milliseconds=1), *moments]))

    def place(self, at: datetime) -> float:
        """Where `at` lies, in per cent of the axis, to the hundredth; never outside of it."""
        share = (at - self.start) / (self.end - self.start)
        return round(100 * min(max(share, 0.0), 1.0), 2)

    def ticks(self) -> list[Tick]:
        """At most five marks after the beginning, at round distances, and the beginning itself."""
        length_ms = (self.end - self.start) / timedelta(milliseconds=1)
        step = _step(length_ms)
        count = int(length_ms // step)
        return [
            Tick(round(100 * number * step / length_ms, 2), _label(number * step))
            for number in range(count + 1)
        ]


def _step(length_ms: float) -> int:
    """The smallest round step that gives no more than the wanted ticks."""
    for step in _STEPS_MS:
        if length_ms / step <= _TICKS_MAX:
            return step
    days: int = 1
    while length_ms / (days * _DAY_MS) > _TICKS_MAX:
        days *= 2
    return days * _DAY_MS


def _label(distance_ms: int) -> str:
    """A distance in the largest unit that leaves no fraction, such as `+90 min`; `0` for none."""
    if not distance_ms:
        return "0"
    for length, unit in _UNITS:
        if distance_ms % length == 0:
            return f"+{distance_ms // length} {unit}"
    raise AssertionError("every step is a whole number of milliseconds")
