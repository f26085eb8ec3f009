"""What people want to be told, on which channels, and when they want to be left alone."""

from datetime import time

from pydantic import JsonValue

from blueprints.notifications import hours, preferences_repository
from blueprints.notifications.announcing import (
    by_default,
    cannot_be_refused,
    is_quiet_at,
    is_wanted,
)
from blueprints.notifications.api_models import (
    ChannelChoice,
    Preferences,
    QuietHours,
    TypeChoices,
    UpdatePreferences,
)
from blueprints.notifications.models import (
    CHANNELS,
    TYPES,
    Channel,
    Habits,
    MandatoryNotification,
    NotificationType,
)
from blueprints.notifications.preferences_repository import Choices
from shared.auth import Caller
from shared.db import Database, Transaction
from shared.problem import EtagMismatch, InvalidRequest


class Preferring:
    """Everybody's own preferences. `default_time_zone` is for people who never said theirs."""

    def __init__(self, database: Database, *, default_time_zone: str) -> None:
        self._database, self._default_time_zone = database, default_time_zone

    async def get(self, caller: Caller) -> tuple[Preferences, int]:
        """The caller's preferences and their version, 0 until he states any."""
        async with self._database.reading() as tx:
            return await self._current(tx, caller)

    async def update(
        self, caller: Caller, version: int, update: UpdatePreferences
    ) -> tuple[Preferences, int]:
        """The preferences as they are then, and their version.

        Raises InvalidRequest for a time zone that does not exist, a type or channel that the caller
        does not get, and a digest in quiet hours; MandatoryNotification for what cannot be
        refused; EtagMismatch if the preferences changed since.
        """
        habits = _habits(update, version)
        _check_choices(caller, update.wanted)
        async with self._database.transaction() as tx:
            if not await preferences_repository.state_habits(tx, caller.id, habits):
                raise EtagMismatch("the preferences changed since you read them")
            await preferences_repository.choose(tx, caller.id, update.wanted)
            return await self._current(tx, caller)

    async def _current(self, tx: Transaction, caller: Caller) -> tuple[Preferences, int]:
        habits, chosen = await preferences_repository.preferences(tx, caller.id)
        habits = habits or Habits(self._default_time_zone)
        preferences = Preferences(
            time_zone=habits.time_zone,
            quiet_hours=_quiet_hours(habits),
            digest=habits.digest,
            digest_at=_shown(habits.digest_at),
            types=[_choices(type_, caller, chosen) for type_ in _types(caller)],
        )
        return preferences, habits.version


def _types(caller: Caller) -> list[NotificationType]:
    reader = "employee" if caller.is_employee else "client"
    return [type_ for type_, rule in TYPES.items() if reader in rule.readers]


def _channels(caller: Caller) -> tuple[Channel, ...]:
    """Nobody knows where employees would be written to."""
    return ("in_app",) if caller.is_employee else CHANNELS


def _choices(type_: NotificationType, caller: Caller, chosen: Choices) -> TypeChoices:
    return TypeChoices(
        type=type_,
        meaning=TYPES[type_].meaning,
        channels={
            channel: ChannelChoice(
                wanted=is_wanted(type_, channel, chosen.get(type_, {})),
                default=by_default(type_, channel),
                mandatory=cannot_be_refused(type_, channel),
            )
            for channel in _channels(caller)
        },
    )


def _habits(update: UpdatePreferences, version: int) -> Habits:
    """Raises InvalidRequest."""
    if hours.zone(update.time_zone) is None:
        raise _invalid("time_zone", "There is no such time zone in the IANA database")
    quiet = None
    if update.quiet_hours is not None:
        since, until = update.quiet_hours.since, update.quiet_hours.until
        quiet = (time.fromisoformat(since), time.fromisoformat(until))
    digest_at = time.fromisoformat(update.digest_at)
    if update.digest != "off" and quiet is not None and is_quiet_at(digest_at, quiet):
        raise _invalid("digest_at", "The digest must not fall into the quiet hours")
    return Habits(update.time_zone, quiet, update.digest, digest_at, version)


def _check_choices(caller: Caller, wanted: Choices) -> None:
    types, channels = _types(caller), _channels(caller)
    refused: list[JsonValue] = []
    named = []
    for type_, choice in wanted.items():
        if type_ not in types:
            raise _invalid(f"wanted.{type_}", "You are never told of this")
        for channel, is_on in choice.items():
            if channel not in channels:
                raise _invalid(f"wanted.{type_}.{channel}", "You are never told on this channel")
            if not is_on and cannot_be_refused(type_, channel):
                refused.append({"type": type_, "channel": channel})
                named.append(f"{type_} ({channel})")
    if refused:
        detail = f"this cannot be switched off: {', '.join(named)}"
        raise MandatoryNotification(detail, refused=refused)


def _quiet_hours(habits: Habits) -> QuietHours | None:
    if habits.quiet is None:
        return None
    since, until = habits.quiet
    return QuietHours.model_validate({"from": _shown(since), "until": _shown(until)})


def _shown(at: time) -> str:
    return at.isoformat("minutes")


def _invalid(field: str, message: str) -> InvalidRequest:
    return InvalidRequest("the body is not valid", [{"field": field, "message": message}])
