"""What people choose holds for what they are told, and what is mandatory cannot be refused."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from blueprints.notifications.api_models import (
    ChannelChoice,
    NotificationQuery,
    Preferences,
    UpdatePreferences,
)
from blueprints.notifications.models import MandatoryNotification
from shared.auth import ORDER_MANAGER, Caller
from shared.db import Database
from shared.problem import EtagMismatch, InvalidRequest, Problem
from tests.integration.notifications.told import TUESDAY_NOON, Told, happened

NIGHT = {"from": "22:00", "until": "07:00"}


@pytest.fixture
def told(database: Database) -> Told:
    return Told(database)


@pytest.fixture
def alice() -> Caller:
    return Caller("client", uuid4(), scopes=frozenset({"notifications.readwrite"}))


def wishes(**changes: Any) -> UpdatePreferences:
    return UpdatePreferences.model_validate({"time_zone": "Europe/Berlin"} | changes)


def channels(preferences: Preferences, type_: str) -> dict[str, ChannelChoice]:
    (found,) = (one for one in preferences.types if one.type == type_)
    return {str(channel): choice for channel, choice in found.channels.items()}


async def hears(told: Told, person: Caller, event_type: str) -> dict[str, list[Any]]:
    """Let something happen to an order of the person; (status, digest, due) by channel."""
    before = len(await told.deliveries(person.id))
    await told.hear(happened(event_type, told.neighbours.order(person.id)))
    written = (await told.deliveries(person.id))[before:]
    return {channel: rest for _, channel, *rest in written}


async def test_who_never_chose_has_the_defaults_and_no_version(told: Told, alice: Caller) -> None:
    preferences, version = await told.preferring.get(alice)

    assert version == 0
    assert (preferences.time_zone, preferences.quiet_hours) == ("Europe/Berlin", None)
    assert (preferences.digest, preferences.digest_at) == ("off", "08:00")
    assert len(preferences.types) == 11
    on, off = (True, True, False), (False, False, False)
    shown = {
        one.type: [(c.wanted, c.default, c.mandatory) for c in one.channels.values()]
        for one in preferences.types
    }
    must = [(True, True, True), (True, True, True), off]
    assert shown == {
        "order_placed": must,
        "order_confirmed": [on, off, off],
        "payment_declined": [on, on, off],
        "order_shipped": [on, on, off],
        "order_delivered": [on, off, off],
        "order_cancelled": must,
        "order_returned": [on, off, off],
        "payment_refunded": must,
        "gdpr_request_received": must,
        "gdpr_export_ready": must,
        "message": [on, off, off],
    }


async def test_employees_are_told_in_the_app_only(told: Told) -> None:
    oscar = Caller("employee", uuid4(), frozenset({ORDER_MANAGER}))

    preferences, _ = await told.preferring.get(oscar)

    assert {one.type: [*one.channels] for one in preferences.types} == {
        "order_stuck": ["in_app"],
        "message": ["in_app"],
    }
    assert channels(preferences, "order_stuck")["in_app"].mandatory


async def test_choices_are_kept_whole_and_replaced_whole(told: Told, alice: Caller) -> None:
    first = wishes(
        quiet_hours=NIGHT,
        digest="weekly",
        digest_at="18:30",
        wanted={"order_shipped": {"sms": True, "email": False}, "order_placed": {"sms": True}},
    )
    kept, version = await told.preferring.update(alice, 0, first)

    assert version == 1
    assert kept.quiet_hours is not None
    assert (kept.quiet_hours.since, kept.quiet_hours.until) == ("22:00", "07:00")
    assert (kept.digest, kept.digest_at) == ("weekly", "18:30")
    assert {c: x.wanted for c, x in channels(kept, "order_shipped").items()} == {
        "in_app": True,
        "email": False,
        "sms": True,
    }
    assert await told.preferring.get(alice) == (kept, 1)

    anew, version = await told.preferring.update(alice, 1, wishes(time_zone="Asia/Tokyo"))

    assert (version, anew.time_zone, anew.quiet_hours) == (2, "Asia/Tokyo", None)
    assert channels(anew, "order_shipped")["email"].wanted
    assert not channels(anew, "order_placed")["sms"].wanted


@pytest.mark.parametrize(
    ("changes", "problem", "about"),
    [
        ({"time_zone": "Mars/Olympus"}, InvalidRequest, ["time_zone"]),
        ({"time_zone": "localtime"}, InvalidRequest, ["time_zone"]),
        ({"wanted": {"order_stuck": {"in_app": True}}}, InvalidRequest, ["wanted.order_stuck"]),
        (
            {"quiet_hours": NIGHT, "digest": "daily", "digest_at": "06:59"},
            InvalidRequest,
            ["digest_at"],
        ),
        (
            {"wanted": {"order_placed": {"email": False}, "order_shipped": {"email": False}}},
            MandatoryNotification,
            [{"type": "order_placed", "channel": "email"}],
        ),
        (
            {"wanted": {t: {"in_app": False} for t in ("payment_refunded", "gdpr_export_ready")}},
            MandatoryNotification,
            [
                {"type": "payment_refunded", "channel": "in_app"},
                {"type": "gdpr_export_ready", "channel": "in_app"},
            ],
        ),
    ],
)
async def test_a_refused_change_names_what_is_refused_and_changes_nothing(
    changes: dict[str, Any], problem: type[Problem], about: Any, told: Told, alice: Caller
) -> None:
    await told.preferring.update(alice, 0, wishes(wanted={"order_shipped": {"sms": True}}))
    before = await told.preferring.get(alice)

    with pytest.raises(problem) as refused:
        await told.preferring.update(alice, 1, wishes(**changes))

    extra: dict[str, Any] = refused.value.extra
    named = extra.get("refused") or [error["field"] for error in extra["errors"]]
    assert named == about
    assert await told.preferring.get(alice) == before


async def test_an_employee_cannot_ask_for_email(told: Told) -> None:
    oscar = Caller("employee", uuid4(), frozenset({ORDER_MANAGER}))

    with pytest.raises(InvalidRequest):
        await told.preferring.update(oscar, 0, wishes(wanted={"message": {"email": True}}))

    assert (await told.preferring.get(oscar))[1] == 0


@pytest.mark.parametrize("stale", [0, 2, 10**17])
async def test_a_change_against_another_version_is_refused(
    stale: int, told: Told, alice: Caller
) -> None:
    await told.preferring.update(alice, 0, wishes(time_zone="Asia/Tokyo"))

    with pytest.raises(EtagMismatch):
        await told.preferring.update(alice, stale, wishes(time_zone="Europe/Paris"))

    preferences, version = await told.preferring.get(alice)
    assert (preferences.time_zone, version) == ("Asia/Tokyo", 1)


async def test_a_channel_switched_on_is_used_and_one_switched_off_is_logged(
    told: Told, alice: Caller
) -> None:
    choice = {
        "order_shipped": {"sms": True, "email": False},
        "order_confirmed": {"in_app": False, "email": True},
        "order_delivered": {"in_app": False},
    }
    await told.preferring.update(alice, 0, wishes(wanted=choice))

    assert await hears(told, alice, "order.shipped.v1") == {
        "in_app": ["pending", False, TUESDAY_NOON],
        "email": ["skipped", False, TUESDAY_NOON],
        "sms": ["pending", False, TUESDAY_NOON],
    }
    assert (await hears(told, alice, "order.confirmed.v1"))["in_app"][0] == "skipped"
    assert (await hears(told, alice, "order.delivered.v1"))["in_app"][0] == "skipped"
    listed = await told.service.list(alice, NotificationQuery())
    assert [item.type for item in listed.items] == ["order_shipped"]
    assert listed.unread_count == 1
    reasons = await told.rows(
        """
        SELECT a.outcome, a.reason
        FROM notifications.attempts AS a
        JOIN notifications.deliveries AS d ON d.id = a.delivery_id
        WHERE d.recipient_id = %(alice)s
        """,
        alice=alice.id,
    )
    assert reasons == [("skipped", "not_wanted")] * 3


async def test_in_quiet_hours_mail_waits_unless_mandatory_and_sms_always(
    told: Told, alice: Caller
) -> None:
    everything = {
        "order_shipped": {"sms": True},
        "order_placed": {"sms": True},
        "order_confirmed": {"email": True},
    }
    await told.preferring.update(
        alice,
        0,
        wishes(time_zone="America/New_York", quiet_hours=NIGHT, wanted=everything),
    )
    told.now = at = datetime(2026, 11, 25, 4, 30, tzinfo=UTC)  # 23:30 in New York
    morning = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)

    assert await hears(told, alice, "order.shipped.v1") == {
        "in_app": ["pending", False, at],
        "email": ["pending", False, morning],
        "sms": ["pending", False, morning],
    }
    assert await hears(told, alice, "order.placed.v1") == {
        "in_app": ["pending", False, at],
        "email": ["pending", False, at],
        "sms": ["pending", False, morning],
    }


async def test_a_digest_takes_every_mail_that_is_not_mandatory(told: Told, alice: Caller) -> None:
    weekly = wishes(digest="weekly", digest_at="09:00", wanted={"order_shipped": {"sms": True}})
    await told.preferring.update(alice, 0, weekly)
    monday = datetime(2026, 11, 30, 8, 0, tzinfo=UTC)

    shipped = await hears(told, alice, "order.shipped.v1")

    assert shipped["email"] == ["pending", True, monday]
    assert shipped["sms"] == ["pending", False, TUESDAY_NOON]
    assert (await hears(told, alice, "order.cancelled.v1"))["email"] == [
        "pending",
        False,
        TUESDAY_NOON,
    ]


async def test_a_digest_that_the_clock_jumps_over_does_not_land_in_quiet_hours(
    told: Told, alice: Caller
) -> None:
    habits = wishes(
        digest="daily", digest_at="02:30", quiet_hours={"from": "03:00", "until": "06:00"}
    )
    await told.preferring.update(alice, 0, habits)
    told.now = datetime(2026, 3, 28, 12, 0, tzinfo=UTC)

    shipped = await hears(told, alice, "order.shipped.v1")

    assert shipped["email"] == ["pending", True, datetime(2026, 3, 29, 4, 0, tzinfo=UTC)]


async def test_what_waits_is_called_off_when_its_channel_is_switched_off(
    told: Told, alice: Caller
) -> None:
    await told.preferring.update(alice, 0, wishes(quiet_hours={"from": "11:00", "until": "13:00"}))
    for event in ("order.shipped.v1", "payment.declined.v1", "order.placed.v1"):
        await hears(told, alice, event)
    async with told.database.transaction() as tx:  # the shipped one is being sent
        await tx.execute(
            """
            UPDATE notifications.deliveries AS d
            SET claimed_until = clock_timestamp() + interval '1 minute'
            FROM notifications.notifications AS n
            WHERE n.id = d.notification_id AND n.type = 'order_shipped' AND d.channel = 'email'
            """
        )

    off = {"order_shipped": {"email": False}, "payment_declined": {"email": False}}
    await told.preferring.update(alice, 1, wishes(wanted=off))

    emails = {t: status for t, c, status, *_ in await told.deliveries(alice.id) if c == "email"}
    assert emails == {
        "order_shipped": "pending",
        "payment_declined": "skipped",
        "order_placed": "pending",
    }


async def test_a_zone_that_is_no_longer_known_counts_as_the_default(
    told: Told, alice: Caller
) -> None:
    await told.preferring.update(alice, 0, wishes(quiet_hours={"from": "11:00", "until": "13:00"}))
    async with told.database.transaction() as tx:
        await tx.execute(
            "UPDATE notifications.people SET time_zone = 'Europe/Atlantis' WHERE person_id = %s",
            [alice.id],
        )

    due = (await hears(told, alice, "order.shipped.v1"))["email"][2]

    assert due == TUESDAY_NOON + timedelta(hours=1)
