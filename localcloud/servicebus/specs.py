"""What queues, topics and subscriptions are told to be, and how Azure names each of their settings.

The names are the same in the topology file, in the store and in the administration API.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Final, NamedTuple, Self

from localcloud.servicebus.rules import DEFAULT_RULE, Rule, TrueFilter

MAX_LOCK_MS: Final = 300_000
MAX_DELIVERY_COUNT: Final = 2_000
MIN_HISTORY_MS: Final = 20_000
MAX_HISTORY_MS: Final = 7 * 24 * 3_600_000
MIN_IDLE_MS: Final = 300_000
MAX_METADATA: Final = 1_024
MAX_ENTITY_NAME: Final = 260
MAX_PART_NAME: Final = 50
"""Characters in the name of a subscription or rule."""
INFINITE: Final = "P10675199DT2H48M5.4775807S"
"""What Azure writes for a duration that never ends."""
STATUSES: Final = ("Active", "Disabled", "SendDisabled", "ReceiveDisabled")

_INFINITE_DAYS: Final = 10_675_199
_DURATION: Final = re.compile(
    r"P(?:(?P<days>\d+)D)?"
    r"(?:T(?:(?P<hours>\d+)H)?(?:(?P<minutes>\d+)M)?(?:(?P<seconds>\d+(?:\.\d+)?)S)?)?"
)
_ENTITY_NAME: Final = re.compile(
    r"(?!.*/subscriptions/)[a-z0-9](?:[\w.\-/]*[a-z0-9])?", re.ASCII | re.IGNORECASE
)
_PART_NAME: Final = re.compile(r"[$a-z0-9](?:[\w.\-]*[a-z0-9])?", re.ASCII | re.IGNORECASE)


class InvalidSetting(Exception):
    """A value that the setting cannot have; the text names the setting."""


def duration_ms(text: str) -> int | None:
    """An ISO 8601 duration in milliseconds, None when it is Azure's "never". ValueError."""
    match = _DURATION.fullmatch(text)
    if match is None or not any(match.groups()):
        raise ValueError(f"is not a duration such as PT30S: {text!r}")
    parts = {unit: float(number or 0) for unit, number in match.groupdict().items()}
    if parts["days"] >= _INFINITE_DAYS:
        return None
    hours = parts["days"] * 24 + parts["hours"]
    return round(((hours * 60 + parts["minutes"]) * 60 + parts["seconds"]) * 1000)


def duration_text(ms: int | None) -> str:
    """The ISO 8601 form of a duration, as Azure writes it: `P1DT2H3M4.5S`."""
    if ms is None:
        return INFINITE
    days, rest = divmod(ms, 86_400_000)
    hours, rest = divmod(rest, 3_600_000)
    minutes, rest = divmod(rest, 60_000)
    parts = ((hours, "H"), (minutes, "M"), (rest / 1000, "S"))
    clock = "".join(f"{number:g}{unit}" for number, unit in parts if number)
    date = f"{days}D" if days else ""
    return f"P{date}T{clock}" if clock else f"P{date or 'T0S'}"


class Setting(NamedTuple):
    """One setting of an entity: Azure's name, ours, and the type of its values in JSON.

    A fixed one cannot be changed once the entity exists.
    """

    name: str
    attribute: str
    kind: type
    duration: bool = False
    fixed: bool = False


_COMMON: Final = (
    Setting("DefaultMessageTimeToLive", "default_ttl_ms", str, duration=True),
    Setting("EnableBatchedOperations", "batched", bool),
    Setting("Status", "status", str),
    Setting("UserMetadata", "user_metadata", str),
    Setting("AutoDeleteOnIdle", "idle_ms", str, duration=True),
)
_INLET: Final = (
    Setting("MaxSizeInMegabytes", "max_size_mb", int),
    Setting("RequiresDuplicateDetection", "detects_duplicates", bool, fixed=True),
    Setting("DuplicateDetectionHistoryTimeWindow", "history_ms", str, duration=True),
    Setting("EnablePartitioning", "partitioned", bool, fixed=True),
    Setting("EnableExpress", "express", bool),
)
_OUTLET: Final = (
    Setting("LockDuration", "lock_ms", str, duration=True),
    Setting("RequiresSession", "requires_session", bool, fixed=True),
    Setting("DeadLetteringOnMessageExpiration", "dead_letter_expired", bool),
    Setting("MaxDeliveryCount", "max_delivery_count", int),
    Setting("ForwardTo", "forward_to", str),
    Setting("ForwardDeadLetteredMessagesTo", "forward_dead_letters_to", str),
)


_ENDLESS: Final = ("default_ttl_ms", "idle_ms")
"""Durations that may be Azure's "never"."""


@dataclass(frozen=True, kw_only=True)
class Spec:
    """What every entity has. Raises InvalidSetting when a value cannot be."""

    SETTINGS: ClassVar[tuple[Setting, ...]] = _COMMON

    name: str
    default_ttl_ms: int | None = None
    batched: bool = True
    status: str = "Active"
    user_metadata: str | None = None
    idle_ms: int | None = None

    def __post_init__(self) -> None:
        _demand(self.status in STATUSES, f"Status must be one of {', '.join(STATUSES)}")
        _demand(self.default_ttl_ms != 0, "DefaultMessageTimeToLive must be above zero")
        metadata = len(self.user_metadata or "")
        _demand(metadata <= MAX_METADATA, f"UserMetadata has at most {MAX_METADATA} characters")
        patient = self.idle_ms is None or self.idle_ms >= MIN_IDLE_MS
        _demand(patient, "AutoDeleteOnIdle must be at least PT5M")

    @classmethod
    def of(cls, name: str, values: Mapping[str, Any], **more: Any) -> Self:
        """The entity with these settings, by Azure's names. Raises InvalidSetting."""
        left = dict(values)
        read = {s.attribute: _read(s, left.pop(s.name)) for s in cls.SETTINGS if s.name in left}
        if left:
            raise InvalidSetting(f"unknown property {next(iter(left))}")
        return cls(name=name, **{k: v for k, v in read.items() if v is not None}, **more)

    def settings(self, *, with_defaults: bool = True) -> dict[str, Any]:
        """The settings by Azure's names, as `of` reads them; those without a value are left out."""
        defaults = {known.name: known.default for known in fields(self)}
        values: list[tuple[Setting, Any]] = [(s, getattr(self, s.attribute)) for s in self.SETTINGS]
        return {
            s.name: duration_text(value) if s.duration else value
            for s, value in values
            if (s.duration or value is not None)
            and (with_defaults or value != defaults[s.attribute])
        }


@dataclass(frozen=True, kw_only=True)
class _Inlet(Spec):
    """What messages can be sent to."""

    max_size_mb: int = 1_024
    detects_duplicates: bool = False
    history_ms: int = 600_000
    partitioned: bool = False
    express: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        _demand(bool(_ENTITY_NAME.fullmatch(self.name)), f"the name {self.name!r} is not allowed")
        _demand(
            len(self.name) <= MAX_ENTITY_NAME, f"a name has at most {MAX_ENTITY_NAME} characters"
        )
        _demand(not self.partitioned, "EnablePartitioning is not supported")
        _demand(not self.express, "EnableExpress is not supported")
        _demand(self.max_size_mb > 0, "MaxSizeInMegabytes must be above zero")
        kept = MIN_HISTORY_MS <= self.history_ms <= MAX_HISTORY_MS
        _demand(kept, "DuplicateDetectionHistoryTimeWindow must be PT20S to P7D")


@dataclass(frozen=True, kw_only=True)
class _Outlet(Spec):
    """What messages can be received from."""

    lock_ms: int = 60_000
    requires_session: bool = False
    dead_letter_expired: bool = False
    max_delivery_count: int = 10
    forward_to: str | None = None
    forward_dead_letters_to: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        held = 0 < self.lock_ms <= MAX_LOCK_MS
        _demand(held, "LockDuration must be above zero and at most PT5M")
        counted = 1 <= self.max_delivery_count <= MAX_DELIVERY_COUNT
        _demand(counted, f"MaxDeliveryCount must be 1 to {MAX_DELIVERY_COUNT}")
        apart = not (self.requires_session and self.forward_to)
        _demand(apart, "RequiresSession excludes ForwardTo")


@dataclass(frozen=True, kw_only=True)
class QueueSpec(_Outlet, _Inlet):
    """One queue."""

    SETTINGS = _OUTLET + _INLET + _COMMON


@dataclass(frozen=True, kw_only=True)
class TopicSpec(_Inlet):
    """One topic. Its subscriptions are told apart from it."""

    SETTINGS = (
        *_INLET,
        Setting("SupportOrdering", "ordered", bool),
        Setting("FilteringMessagesBeforePublishing", "filters_early", bool),
        Setting("EnableSubscriptionPartitioning", "partitions_subscriptions", bool),
        *_COMMON,
    )

    ordered: bool = True
    filters_early: bool = False
    partitions_subscriptions: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        _demand(not self.filters_early, "FilteringMessagesBeforePublishing is not supported")
        _demand(
            not self.partitions_subscriptions, "EnableSubscriptionPartitioning is not supported"
        )


@dataclass(frozen=True, kw_only=True)
class SubscriptionSpec(_Outlet):
    """One subscription; its rules are alternatives, any of them suffices."""

    SETTINGS = (
        *_OUTLET,
        # No filter fails here: what it cannot compare is unknown, and does not match.
        Setting("DeadLetteringOnFilterEvaluationExceptions", "dead_letter_filter_errors", bool),
        *_COMMON,
    )

    topic: str
    dead_letter_filter_errors: bool = True
    rules: tuple[Rule, ...] = (Rule(DEFAULT_RULE, TrueFilter()),)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_part_name(self.name)


def check_part_name(name: str) -> None:
    """Whether a subscription or rule may be called so. Raises InvalidSetting."""
    _demand(bool(_PART_NAME.fullmatch(name)), f"the name {name!r} is not allowed")
    _demand(len(name) <= MAX_PART_NAME, f"a name has at most {MAX_PART_NAME} characters")


def _demand(condition: bool, complaint: str) -> None:
    if not condition:
        raise InvalidSetting(complaint)


def _read(setting: Setting, value: Any) -> Any:
    if value is None:
        return None
    if type(value) is not setting.kind:
        raise InvalidSetting(f"{setting.name} must be of type {setting.kind.__name__}")
    if not setting.duration:
        return None if value == "" else value
    try:
        ms = duration_ms(str(value))
    except ValueError as error:
        raise InvalidSetting(f"{setting.name} {error}") from error
    if ms is None and setting.attribute not in _ENDLESS:
        raise InvalidSetting(f"{setting.name} must end")
    return ms
