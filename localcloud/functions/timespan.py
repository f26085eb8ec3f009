"""Reads and writes .NET TimeSpan texts, as `host.json` and timer schedules hold them."""

import re
from datetime import timedelta

_TEXT = re.compile(
    r"(?P<sign>-)?(?:(?P<days>\d+)\.)?(?P<hours>\d+):(?P<minutes>\d+)"
    r"(?::(?P<seconds>\d+)(?:\.(?P<fraction>\d{1,7}))?)?"
)


_LAST_HOUR, _LAST_MINUTE_OR_SECOND = 23, 59


def parse_timespan(text: str) -> timedelta | None:
    """The duration of `[-][d.]hh:mm[:ss[.fffffff]]`, or None when `text` is no TimeSpan.

    Without a day part, a first number above 23 counts days: .NET reads `24:00:00` as 24 days.
    """
    match = _TEXT.fullmatch(text.strip())
    if match is None:
        return None
    days = int(match["days"] or 0)
    first, second, third = int(match["hours"]), int(match["minutes"]), int(match["seconds"] or 0)
    if match["days"] is None and first > _LAST_HOUR and match["seconds"] is not None:
        days, first, second, third = first, second, third, 0
    if first > _LAST_HOUR or max(second, third) > _LAST_MINUTE_OR_SECOND:
        return None
    microseconds = int((match["fraction"] or "").ljust(7, "0")) // 10
    span = timedelta(
        days=days, hours=first, minutes=second, seconds=third, microseconds=microseconds
    )
    return -span if match["sign"] else span


def dotnet_text(span: timedelta) -> str:
    """`span`, which is not negative, as .NET writes it: `[d.]hh:mm:ss[.fffffff]`."""
    days = f"{span.days}." if span.days else ""
    minutes, seconds = divmod(span.seconds, 60)
    hours, minutes = divmod(minutes, 60)
    fraction = f".{span.microseconds:06d}0" if span.microseconds else ""
    return f"{days}{hours:02d}:{minutes:02d}:{seconds:02d}{fraction}"
