"""When a timer is due: NCRONTAB expressions and constant intervals."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Protocol

from croniter import CroniterError, croniter

from localcloud.functions.timespan import parse_timespan

_FIELD = re.compile(r"[0-9*/,\-]+")
_NAMED = {
    "month": re.compile(
        r"(?:[0-9*/,\-]|jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)+", re.IGNORECASE
    ),
    "weekday": re.compile(r"(?:[0-6*/,\-]|sun|mon|tue|wed|thu|fri|sat)+", re.IGNORECASE),
}
_CLASSIC, _WITH_SECONDS = 5, 6
_MONITORED_FROM = timedelta(minutes=1)


class Schedule(Protocol):
    """Tells occurrences."""

    def next_after(self, moment: datetime) -> datetime:
        """The first occurrence after `moment`, in UTC."""
        ...

    @property
    def is_constant(self) -> bool:
        """Whether it counts from the last run rather than by the clock."""
        ...


@dataclass(frozen=True, slots=True)
class Interval:
    """Every `span` after the run before."""

    span: timedelta
    is_constant: bool = True

    def next_after(self, moment: datetime) -> datetime:
        return moment + self.span


@dataclass(frozen=True, slots=True)
class Cron:
    """An NCRONTAB expression, read in `zone`. Unlike cron, day and weekday must both fit."""

    expression: str
    zone: tzinfo
    is_constant: bool = False

    def next_after(self, moment: datetime) -> datetime:
        times = croniter(
            self.expression,
            moment.astimezone(self.zone),
            second_at_beginning=True,
            day_or=False,
        )
        found: datetime = times.get_next(datetime)
        return found.astimezone(UTC)


def parse_schedule(text: str, zone: tzinfo = UTC) -> Schedule:
    """The schedule that `text` writes: five or six NCRONTAB fields, or a TimeSpan.

    ValueError when it is neither, or never due.
    """
    span = parse_timespan(text)
    if span is not None:
        if span <= timedelta(0):
            raise ValueError(f"{text!r} is no positive interval")
        return Interval(span)
    fields = text.split()
    if len(fields) not in {_CLASSIC, _WITH_SECONDS}:
        raise ValueError(f"{text!r} is neither an NCRONTAB expression nor a TimeSpan")
    *plain, month, weekday = fields
    if not (
        all(_FIELD.fullmatch(field) for field in plain)
        and _NAMED["month"].fullmatch(month)
        and _NAMED["weekday"].fullmatch(weekday)
    ):
        raise ValueError(f"{text!r} holds a field that NCRONTAB does not know")
    schedule = Cron(" ".join(fields), zone)
    try:
        schedule.next_after(datetime.now(UTC))
    except CroniterError as error:
        raise ValueError(f"{text!r} is no schedule: {error}") from error
    return schedule


def is_monitored(schedule: Schedule, now: datetime) -> bool:
    """Whether missed runs are made up for: Azure does so from one minute between two runs."""
    first = schedule.next_after(now)
    return schedule.next_after(first) - first >= _MONITORED_FROM


@dataclass(frozen=True, slots=True)
class Status:
    """What is known of a timer's past. `last` None: it never ran."""

    last: datetime | None
    next: datetime
    updated: datetime

    def as_json(self) -> dict[str, str]:
        """As the function sees it."""
        last = self.last or datetime(1, 1, 1, tzinfo=UTC)
        return {
            "Last": last.isoformat(),
            "Next": self.next.isoformat(),
            "LastUpdated": self.updated.isoformat(),
        }

    @classmethod
    def from_json(cls, stored: dict[str, str]) -> "Status":
        last = datetime.fromisoformat(stored["Last"])
        return cls(
            last=last if last.year > 1 else None,
            next=datetime.fromisoformat(stored["Next"]),
            updated=datetime.fromisoformat(stored["LastUpdated"]),
        )


def opening(stored: Status | None, schedule: Schedule, now: datetime) -> tuple[Status, bool]:
    """The status with which a start begins, and whether an occurrence was missed.

    A schedule that was changed meanwhile begins anew: its past occurrences were never promised.
    """
    if stored is None:
        return Status(None, schedule.next_after(now), now), False
    if stored.next != schedule.next_after(stored.last or stored.updated):
        return Status(None, schedule.next_after(now), now), False
    return stored, stored.next < now
