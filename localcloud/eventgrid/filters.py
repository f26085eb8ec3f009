"""Which events a subscription gets: compiled once, and told in words."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from localcloud.eventgrid.conditions import Condition, condition_of, refuse_too_many
from localcloud.eventgrid.elements import Elements
from localcloud.eventgrid.events import Event, path_of

ALL: Final = "All"
"""As an event type: every type there is."""


@dataclass(frozen=True)
class Filter:
    """All of it must hold; a part that is empty always does."""

    types: frozenset[str]
    begins: str
    ends: str
    case_sensitive: bool
    arrays: bool
    conditions: tuple[Condition, ...]

    def compiled(self, schema: str) -> Callable[[Event], bool]:
        """The test of an event of a topic with that schema."""
        types = self.types
        fold = str if self.case_sensitive else str.casefold
        begins, ends, arrays = fold(self.begins), fold(self.ends), self.arrays
        paths = [(path_of(condition.key, schema), condition) for condition in self.conditions]

        def wanted(event: Event) -> bool:
            if types and event.type not in types:
                return False
            if begins or ends:
                subject = fold(event.subject)
                if not subject.startswith(begins) or not subject.endswith(ends):
                    return False
            return all(c.holds(event.at(path), arrays=arrays) for path, c in paths)

        return wanted

    def words(self) -> str:
        """For people."""
        parts = [f"type is {' or '.join(sorted(self.types))}"] if self.types else []
        parts += [f"subject begins with {self.begins}"] if self.begins else []
        parts += [f"subject ends with {self.ends}"] if self.ends else []
        parts += [condition.words for condition in self.conditions]
        return " and ".join(parts) or "every event"


def filter_of(entry: Elements) -> Filter:
    """What ARM's `filter` describes. Raises SpecRefused."""
    types = entry.strings("includedEventTypes")
    conditions = tuple(map(condition_of, entry.each("advancedFilters")))
    refuse_too_many(conditions, f"{entry.place}.advancedFilters")
    made = Filter(
        types=frozenset() if ALL in types else frozenset(types),
        begins=entry.take("subjectBeginsWith", str, ""),
        ends=entry.take("subjectEndsWith", str, ""),
        case_sensitive=entry.take("isSubjectCaseSensitive", bool, default=False),
        arrays=entry.take("enableAdvancedFilteringOnArrays", bool, default=False),
        conditions=conditions,
    )
    entry.end()
    return made
