"""Quiet hours and digests in every time zone, through every change of the clocks."""

import itertools
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from blueprints.notifications import hours

DAY = timedelta(days=1)
ZONES = sorted(hours._names())
# The largest jump ahead is a whole day (Samoa and Tokelau, 30 December 2011); usual is one hour.
LONGEST_JUMP = timedelta(days=1)

moments = st.datetimes(datetime(1995, 1, 1), datetime(2045, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
zones = st.sampled_from(ZONES).map(ZoneInfo)
wall_clock = st.builds(time, st.integers(0, 23), st.integers(0, 59))
quiet_hours = st.tuples(wall_clock, wall_clock).filter(lambda pair: pair[0] != pair[1])


def near_a_change(zone_name: str, at: datetime) -> datetime:
    """The first instant after `at` with another offset, to the minute."""
    where, step = ZoneInfo(zone_name), timedelta(minutes=1)
    offset = at.astimezone(where).utcoffset()
    while at.astimezone(where).utcoffset() == offset:
        at += step
    return at


BERLIN, SAMOA, LORD_HOWE = (
    ZoneInfo("Europe/Berlin"),
    ZoneInfo("Pacific/Apia"),
    ZoneInfo("Australia/Lord_Howe"),
)
NIGHT = (time(22), time(7))


def is_quiet(instant: datetime, where: ZoneInfo, quiet: tuple[time, time]) -> bool:
    """By the wall clock alone."""
    shown = instant.astimezone(where).time()
    since, until = quiet
    return since <= shown < until if since < until else not until <= shown < since


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


@pytest.mark.parametrize(
    ("asked", "where", "quiet", "allowed"),
    [
        ("2026-11-24T21:59:59+01:00", BERLIN, NIGHT, "2026-11-24T21:59:59+01:00"),
        ("2026-11-24T22:00:00+01:00", BERLIN, NIGHT, "2026-11-25T07:00:00+01:00"),
        ("2026-11-25T06:59:59+01:00", BERLIN, NIGHT, "2026-11-25T07:00:00+01:00"),
        ("2026-11-25T07:00:00+01:00", BERLIN, NIGHT, "2026-11-25T07:00:00+01:00"),
        # Within one day, and with the seconds kept out of the end.
        ("2026-11-25T12:34:56+01:00", BERLIN, (time(12), time(14)), "2026-11-25T14:00:00+01:00"),
        # The night in which the clocks go ahead, and the one in which they go back.
        ("2026-03-28T23:00:00+01:00", BERLIN, NIGHT, "2026-03-29T07:00:00+02:00"),
        ("2026-10-24T23:00:00+02:00", BERLIN, NIGHT, "2026-10-25T07:00:00+01:00"),
        # 02:30 does not exist on that day: the first instant after the gap.
        ("2026-03-29T00:00:00+01:00", BERLIN, (time(22), time(2, 30)), "2026-03-29T03:00:00+02:00"),
        # 02:30 comes twice: quiet ends at the first, and what comes in the second wait waits again.
        ("2026-10-25T02:10:00+02:00", BERLIN, (time(22), time(2, 30)), "2026-10-25T02:30:00+02:00"),
        ("2026-10-25T02:10:00+01:00", BERLIN, (time(22), time(2, 30)), "2026-10-25T02:30:00+01:00"),
        # From quiet hours the clock falls back to before they began.
        ("2026-10-25T02:45:00+02:00", BERLIN, (time(2, 30), time(6)), "2026-10-25T02:00:00+01:00"),
        # Half an hour only, and a date that never was.
        (
            "2026-04-05T01:45:00+11:00",
            LORD_HOWE,
            (time(1, 40), time(5)),
            "2026-04-05T01:30:00+10:30",
        ),
        ("2011-12-29T23:00:00-10:00", SAMOA, (time(22), time(0)), "2011-12-31T00:00:00+14:00"),
    ],
)
def test_a_message_waits_for_the_end_of_the_quiet_hours(
    asked: str, where: ZoneInfo, quiet: tuple[time, time], allowed: str
) -> None:
    assert hours.quiet_until(utc(asked), where, quiet) == utc(allowed)


def test_without_quiet_hours_nothing_waits() -> None:
    asked = utc("2026-11-24T03:00:00+01:00")

    assert hours.quiet_until(asked, BERLIN, None) == asked


@settings(max_examples=300, deadline=None)
@given(moments, zones, quiet_hours)
@example(
    near_a_change("America/Havana", utc("2026-10-30T00:00Z")),
    ZoneInfo("America/Havana"),
    (time(0, 30), time(6)),
)
@example(
    near_a_change("Pacific/Apia", utc("2011-12-29T00:00Z")) - DAY, SAMOA, (time(1), time(0, 59))
)
@example(utc("2026-03-29T00:30Z"), BERLIN, (time(1, 30), time(1, 29)))
def test_no_message_goes_out_in_quiet_hours_or_early_or_later_than_it_must(
    asked: datetime, where: ZoneInfo, quiet: tuple[time, time]
) -> None:
    allowed = hours.quiet_until(asked, where, quiet)

    assert asked <= allowed <= asked + DAY + LONGEST_JUMP
    assert not is_quiet(allowed, where, quiet)
    if is_quiet(asked, where, quiet):
        assert allowed.second == 0
        minutes = int((allowed - asked) / timedelta(minutes=1))
        waited = [allowed - timedelta(minutes=n) for n in range(1, minutes + 1)]
        assert all(is_quiet(instant, where, quiet) for instant in waited)
        jumped = abs(_offset(allowed, where) - _offset(asked, where))
        assert allowed <= asked + DAY + jumped
    else:
        assert allowed == asked


def _offset(instant: datetime, where: ZoneInfo) -> timedelta:
    offset = instant.astimezone(where).utcoffset()
    assert offset is not None
    return offset


@pytest.mark.parametrize(
    ("after", "where", "at", "goes"),
    [
        ("2026-11-24T07:59:59+01:00", BERLIN, time(8), "2026-11-24T08:00:00+01:00"),
        ("2026-11-24T08:00:00+01:00", BERLIN, time(8), "2026-11-25T08:00:00+01:00"),
        # 02:30 does not exist, then comes twice.
        ("2026-03-28T12:00:00+01:00", BERLIN, time(2, 30), "2026-03-29T03:00:00+02:00"),
        ("2026-10-24T12:00:00+02:00", BERLIN, time(2, 30), "2026-10-25T02:30:00+02:00"),
        ("2026-10-25T02:30:00+02:00", BERLIN, time(2, 30), "2026-10-26T02:30:00+01:00"),
        # 30 December 2011 never was.
        ("2011-12-29T09:00:00-10:00", SAMOA, time(8), "2011-12-31T08:00:00+14:00"),
    ],
)
def test_the_daily_digest_goes_out_at_its_hour(
    after: str, where: ZoneInfo, at: time, goes: str
) -> None:
    assert hours.next_digest(utc(after), where, at, "daily") == utc(goes)


def test_the_weekly_digest_goes_out_on_mondays() -> None:
    tuesday, monday = utc("2026-11-24T07:00:00+01:00"), utc("2026-11-30T08:00:00+01:00")

    assert hours.next_digest(tuesday, BERLIN, time(8), "weekly") == monday
    assert hours.next_digest(monday, BERLIN, time(8), "weekly") == monday + 7 * DAY


@settings(max_examples=300, deadline=None)
@given(moments, zones, wall_clock)
@example(utc("2026-03-28T12:00Z"), BERLIN, time(2, 30))
@example(utc("2011-12-29T12:00Z"), SAMOA, time(8))
def test_digests_go_out_once_a_date_at_their_hour_or_right_after_a_jump(
    after: datetime, where: ZoneInfo, at: time
) -> None:
    dates: list[date] = []
    digest = after
    for _ in range(3):
        last, digest = digest, hours.next_digest(digest, where, at, "daily")
        local = digest.astimezone(where)
        dates.append(local.date())
        assert last < digest <= last + 2 * DAY + timedelta(hours=2)
        if local.time() != at:
            before = (digest - timedelta(seconds=1)).astimezone(where)
            assert before.replace(tzinfo=None) < datetime.combine(local.date(), at)
            assert local.time() > at
    assert len(set(dates)) == 3

    for earlier, later in itertools.pairwise(dates):
        left_out = [earlier + n * DAY for n in range(1, (later - earlier).days)]
        assert all(_never_shows(day, at, where) for day in left_out)


@settings(max_examples=150, deadline=None)
@given(moments, zones, wall_clock)
def test_weekly_digests_are_those_daily_ones_that_fall_on_a_monday(
    after: datetime, where: ZoneInfo, at: time
) -> None:
    weekly = hours.next_digest(after, where, at, "weekly")
    daily = hours.next_digest(after, where, at, "daily")
    while daily.astimezone(where).weekday() != 0:
        daily = hours.next_digest(daily, where, at, "daily")

    assert weekly == daily


def _never_shows(day: date, at: time, where: ZoneInfo) -> bool:
    """Whether the clock of that date never shows `at` or later: the date ends before."""
    for minute in range(int((DAY - _since_midnight(at)) / timedelta(minutes=1))):
        wanted = datetime.combine(day, at) + timedelta(minutes=minute)
        shown = wanted.replace(tzinfo=where).astimezone(UTC).astimezone(where)
        if shown.replace(tzinfo=None) == wanted:
            return False
    return True


def _since_midnight(at: time) -> timedelta:
    return timedelta(hours=at.hour, minutes=at.minute)


@pytest.mark.parametrize(
    "name", ["", "Mars/Olympus", "localtime", "../etc/passwd", "Europe", "europe/berlin", "UTC+1"]
)
def test_what_is_no_iana_zone_is_not_taken_for_one(name: str) -> None:
    assert hours.zone(name) is None


def test_every_zone_of_the_database_is_known() -> None:
    assert len(ZONES) > 590
    assert all(hours.zone(name) is not None for name in ZONES)
