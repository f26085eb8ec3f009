"""When people may be disturbed: quiet hours and digests, in local hours of any time zone; pure.

Local time is what a clock on the wall shows. Where it jumps ahead some times do not exist, where it
goes back some come twice, and a whole date may be missing (Samoa, 30 December 2011).
"""

import functools
import importlib.resources
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from typing import Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

_DAY = timedelta(days=1)
_STEP = timedelta(hours=1)
"""No zone ever changed its offset twice within this."""
_MONDAY = 0


@functools.cache
def _names() -> frozenset[str]:
    """The zones of the IANA database; a machine's own, such as `localtime`, are none."""
    listed = importlib.resources.files("tzdata").joinpath("zones").read_text(encoding="ascii")
    return frozenset(listed.split())


def zone(name: str) -> ZoneInfo | None:
    """The time zone of that IANA name, spelt exactly so; None if there is none."""
    try:
        return ZoneInfo(name) if name in _names() else None
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None


def quiet_until(moment: datetime, where: ZoneInfo, quiet: tuple[time, time] | None) -> datetime:
    """The first instant from `moment` on, in UTC, that lies outside of the quiet hours.

    Quiet is every local time from the first of `quiet` up to, not including, the second. That is
    `moment` itself outside of them, and otherwise at most a day plus a change of the clock later.
    """
    if quiet is None:
        return moment.astimezone(UTC)
    since, until = (_of_day(at) for at in quiet)
    length = (until - since) % _DAY
    for begins, ends, offset in _even_stretches(moment, where):
        into_quiet = (_of_day((begins + offset).time()) - since) % _DAY
        if into_quiet >= length:
            return begins
        if begins + (length - into_quiet) < ends:
            return begins + (length - into_quiet)
    raise AssertionError("unreachable: stretches go on for ever")


def next_digest(
    after: datetime, where: ZoneInfo, at: time, rhythm: Literal["daily", "weekly"]
) -> datetime:
    """The first instant after `after`, in UTC, at which a digest goes out.

    That is once a day (or on Mondays) when the local clock first shows `at`; where it jumps over
    `at`, right after the jump. A date that the clock leaves out, or of which it leaves out the rest
    from `at` on, has none.
    """
    day = after.astimezone(where).date() - _DAY
    while True:
        if rhythm == "daily" or day.weekday() == _MONDAY:
            instant = _first_at(day, at, where)
            if instant is not None and instant > after:
                return instant
        day += _DAY


def _first_at(day: date, at: time, where: ZoneInfo) -> datetime | None:
    """The first instant of that local date at which its clock shows `at` or later."""
    wanted = datetime.combine(day, at)
    instant = wanted.replace(tzinfo=where).astimezone(UTC)
    if instant.astimezone(where).replace(tzinfo=None) == wanted:
        return instant
    # PEP 495: a time that was left out, read with fold 0, is an instant after the jump; with fold 1
    # it is one before.
    before = wanted.replace(tzinfo=where, fold=1).astimezone(UTC)
    jump = _change(before, instant, where)
    return jump if jump.astimezone(where).date() == day else None


def _even_stretches(
    moment: datetime, where: ZoneInfo
) -> Iterator[tuple[datetime, datetime, timedelta]]:
    """From `moment` on: beginning, end and offset of stretches in which local time runs evenly."""
    begins = moment.astimezone(UTC)
    offset = _offset(begins, where)
    looked_at = begins
    while True:
        ahead = looked_at + _STEP
        if _offset(ahead, where) != offset:
            ahead = _change(looked_at, ahead, where)
        yield begins, ahead, offset
        begins, looked_at, offset = ahead, ahead, _offset(ahead, where)


def _change(before: datetime, after: datetime, where: ZoneInfo) -> datetime:
    """The instant after `before`, up to `after`, at which the offset becomes that of `after`."""
    low, high = 0, int((after - before).total_seconds()) + 1
    then = _offset(after, where)
    base = before.replace(microsecond=0)
    while high - low > 1:
        middle = (low + high) // 2
        if _offset(base + timedelta(seconds=middle), where) == then:
            high = middle
        else:
            low = middle
    return base + timedelta(seconds=high)


def _offset(instant: datetime, where: ZoneInfo) -> timedelta:
    offset = instant.astimezone(where).utcoffset()
    assert offset is not None, "a ZoneInfo always has an offset"
    return offset


def _of_day(at: time) -> timedelta:
    return timedelta(
        hours=at.hour, minutes=at.minute, seconds=at.second, microseconds=at.microsecond
    )
