"""When timers are due: the rules, without waiting for any."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from localcloud.functions.schedules import Status, is_monitored, opening, parse_schedule
from localcloud.functions.timespan import parse_timespan

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)  # a Tuesday


@pytest.mark.conforms(
    "Timers",
    "a schedule may be a TimeSpan, which .NET reads (24:00:00 is 24 days)",
    source="learn:azure/azure-functions/functions-bindings-timer#timespan",
)
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("00:00:01", timedelta(seconds=1)),
        ("01:30", timedelta(hours=1, minutes=30)),
        ("1.02:03:04", timedelta(days=1, hours=2, minutes=3, seconds=4)),
        ("00:00:00.5", timedelta(milliseconds=500)),
        ("-00:00:01", timedelta(seconds=-1)),
        ("24:00:00", timedelta(days=24)),
        ("00:60:00", None),
        ("5", None),
        ("0 */5 * * * *", None),
    ],
)
def test_timespans_are_read_as_dotnet_reads_them(text: str, expected: timedelta | None) -> None:
    assert parse_timespan(text) == expected


@pytest.mark.conforms(
    "Timers",
    "NCRONTAB has five or six fields, the first of six for seconds",
    source="learn:azure/azure-functions/functions-bindings-timer#ncrontab-expressions",
)
@pytest.mark.parametrize(
    ("text", "following"),
    [
        ("0 */5 * * * *", datetime(2026, 11, 24, 12, 5, tzinfo=UTC)),
        ("*/10 * * * * *", datetime(2026, 11, 24, 12, 0, 10, tzinfo=UTC)),
        ("*/5 * * * *", datetime(2026, 11, 24, 12, 5, tzinfo=UTC)),
        ("0 30 9-17 * * 1-5", datetime(2026, 11, 24, 12, 30, tzinfo=UTC)),
        ("0 0 0 1 jan *", datetime(2027, 1, 1, tzinfo=UTC)),
        ("0 0 0 13 * Fri", datetime(2027, 8, 13, tzinfo=UTC)),
        ("00:10:00", datetime(2026, 11, 24, 12, 10, tzinfo=UTC)),
    ],
)
def test_the_next_occurrence_comes_after_noon(text: str, following: datetime) -> None:
    assert parse_schedule(text).next_after(NOON) == following


@pytest.mark.conforms(
    "Timers",
    "WEBSITE_TIME_ZONE sets the zone of a schedule, which is UTC otherwise",
    source="learn:azure/azure-functions/functions-bindings-timer#ncrontab-time-zones",
)
def test_a_schedule_follows_its_time_zone_through_summer_time() -> None:
    schedule = parse_schedule("0 0 3 * * *", ZoneInfo("Europe/Vienna"))

    assert schedule.next_after(datetime(2026, 7, 1, tzinfo=UTC)).hour == 1
    assert schedule.next_after(datetime(2026, 12, 1, tzinfo=UTC)).hour == 2


@pytest.mark.parametrize(
    "text",
    ["", "* * *", "0 0 0 30 2 *", "0 0 0 * * 7", "0 0 0 L * *", "@daily", "61 * * * * *", "00:00"],
)
def test_what_is_no_schedule_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"no|neither|know"):
        parse_schedule(text)


@pytest.mark.conforms(
    "Timers",
    "a schedule that recurs more often than every minute is not monitored",
    source="learn:azure/azure-functions/functions-bindings-timer#attributes",
)
def test_schedules_under_a_minute_are_not_monitored() -> None:
    assert not is_monitored(parse_schedule("*/30 * * * * *"), NOON)
    assert is_monitored(parse_schedule("0 * * * * *"), NOON)
    assert is_monitored(parse_schedule("00:01:00"), NOON)
    assert not is_monitored(parse_schedule("00:00:59"), NOON)


HOURLY = parse_schedule("0 0 * * * *")


def test_a_new_timer_has_missed_nothing() -> None:
    status, past_due = opening(None, HOURLY, NOON)

    assert status == Status(None, NOON + timedelta(hours=1), NOON)
    assert past_due is False


@pytest.mark.conforms(
    "Timers",
    "an occurrence missed while the host was down runs at its start, as past due",
    source="extensions:src/WebJobs.Extensions/Extensions/Timers/Scheduling/ScheduleMonitor.cs",
)
def test_an_occurrence_that_passed_while_the_host_was_down_is_past_due() -> None:
    stored = Status(NOON - timedelta(hours=3), NOON - timedelta(hours=2), NOON)

    assert opening(stored, HOURLY, NOON) == (stored, True)


def test_an_occurrence_still_to_come_is_not_past_due() -> None:
    stored = Status(NOON, NOON + timedelta(hours=1), NOON)

    assert opening(stored, HOURLY, NOON + timedelta(minutes=59)) == (stored, False)


@pytest.mark.conforms(
    "Timers",
    "a changed schedule begins anew: nothing of it was missed",
    source="extensions:src/WebJobs.Extensions/Extensions/Timers/Scheduling/ScheduleMonitor.cs",
)
def test_a_changed_schedule_begins_anew() -> None:
    stored = Status(NOON - timedelta(days=2), NOON - timedelta(days=1), NOON)

    status, past_due = opening(stored, HOURLY, NOON)

    assert (status.last, status.next, past_due) == (None, NOON + timedelta(hours=1), False)


def test_a_status_survives_its_file_form() -> None:
    for last in (None, NOON):
        status = Status(last, NOON + timedelta(hours=1), NOON)
        assert Status.from_json(status.as_json()) == status
