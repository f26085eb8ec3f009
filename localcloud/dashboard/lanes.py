"""What a history looks like against time: a lane for each call, timer and wait."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from localcloud.dashboard.values import Payload


class Sort(StrEnum):
    """What a lane shows, in words."""

    ACTIVITY = "activity"
    HTTP = "HTTP call"
    CHILD = "sub-orchestration"
    TIMER = "timer"
    EVENT = "external event"
    ENTITY = "entity call"
    SIGNAL = "entity signal"
    SUSPENSION = "by hand"


class End(StrEnum):
    """How a bar stands, in words."""

    OPEN = "open"
    COMPLETED = "completed"
    FAILED = "failed"
    UNFINISHED = "unfinished"
    UNFIRED = "did not fire"
    MISSED = "never came"


@dataclass(slots=True, eq=False)
class Bar:
    """One attempt, scheduled `at`, or one wait. `began_at` is when it began to run, if known.

    `paused_until` is the end of the pause that follows it, before the next attempt.
    """

    at: datetime
    id: int = -1
    input: Payload | None = None
    child_id: str = ""
    fires_at: datetime | None = None
    began_at: datetime | None = None
    until: datetime | None = None
    end: End = End.OPEN
    result: Payload | None = None
    reason: str = ""
    paused_until: datetime | None = None
    note: str = ""


@dataclass(slots=True, eq=False)
class Lane:
    """What happened to one call. `key` is unique in its history and stays the same."""

    sort: Sort
    name: str
    key: str
    bars: list[Bar] = field(default_factory=list)

    @property
    def pausing(self) -> bool:
        """Whether another attempt is to come."""
        return self.bars[-1].paused_until is not None

    @property
    def end(self) -> End:
        """How the last attempt stands."""
        return self.bars[-1].end

    @property
    def failed(self) -> bool:
        """Whether any attempt failed."""
        return any(bar.end is End.FAILED for bar in self.bars)
