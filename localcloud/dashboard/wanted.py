"""What a person asked the list for: read from the query string, written back into links."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final, Self
from urllib.parse import quote, urlencode

LIST_PATH: Final = "/orchestrations"

CHOICES: Final[Mapping[str, tuple[str, ...]]] = {
    "": (),
    "open": ("Pending", "Running", "ContinuedAsNew", "Suspended"),
    "suspended": ("Suspended",),
    "completed": ("Completed",),
    "failed": ("Failed",),
    "terminated": ("Terminated", "Canceled"),
    "quarantined": (),
}
"""What may be chosen, and the statuses that it stands for; none means any."""

QUARANTINED: Final = "quarantined"
"""No status: what is set aside has one beside it."""


@dataclass(frozen=True, slots=True)
class Edge:
    """Where a page begins: beyond this instance, towards the newer or the older ones."""

    at: datetime
    instance_id: str
    newer: bool

    @property
    def token(self) -> str:
        return f"{self.at.astimezone(UTC).isoformat()}~{self.instance_id}"

    @classmethod
    def read(cls, token: str, *, newer: bool) -> Self:
        """The edge out of a link. ValueError when it is none."""
        at, _, instance_id = token.partition("~")
        return cls(_time(at), instance_id, newer)


@dataclass(frozen=True, slots=True)
class Wanted:
    """A selection of instances. `problems` are what could not be understood, by field."""

    status: str = ""
    name: str = ""
    prefix: str = ""
    created_from: datetime | None = None
    created_to: datetime | None = None
    edge: Edge | None = None
    problems: Mapping[str, str] | None = None

    @classmethod
    def read(cls, query: Mapping[str, str]) -> Self:
        """The selection of a query string; a field that makes no sense is left out and named."""
        problems: dict[str, str] = {}
        times: dict[str, datetime | None] = {"from": None, "to": None}
        for field in times:
            if text := query.get(field, "").strip():
                try:
                    times[field] = _time(text)
                except (ValueError, OverflowError):
                    problems[field] = f"“{text}” is no time; write 2026-11-24T08:00, in UTC."
        status = query.get("status", "").lower()
        if status not in CHOICES:
            problems["status"] = f"There is no status “{status}”."
            status = ""
        edge = None
        for side in ("before", "after"):
            if token := query.get(side, ""):
                try:
                    edge = Edge.read(token.replace("\0", ""), newer=side == "after")
                except (ValueError, OverflowError):
                    problems["edge"] = "The link to this page is damaged; these are the newest."
        return cls(
            status,
            query.get("name", "").replace("\0", "").strip(),
            query.get("prefix", "").replace("\0", "").strip(),
            times["from"],
            times["to"],
            edge,
            problems or None,
        )

    @property
    def narrowed(self) -> bool:
        """Whether anything but everything is wanted."""
        return any((self.status, self.name, self.prefix, self.created_from, self.created_to))

    def params(self) -> dict[str, Any]:
        """The parameters of a statement that selects by it."""
        return {
            "name": self.name,
            "prefix": self.prefix,
            "statuses": list(CHOICES[self.status]) or None,
            "quarantined": self.status == QUARANTINED,
            "created_from": self.created_from,
            "created_to": self.created_to,
        }

    def chosen(self, status: str) -> "Wanted":
        """The same with another status, from the newest on."""
        return replace(self, status=status, edge=None)

    def beyond(self, edge: Edge | None) -> "Wanted":
        """The same selection on another page; without an edge the first."""
        return replace(self, edge=edge)

    @property
    def url(self) -> str:
        """The address of the list with this selection."""
        facts = {
            "status": self.status,
            "name": self.name,
            "prefix": self.prefix,
            "from": field_time(self.created_from),
            "to": field_time(self.created_to),
        }
        if self.edge is not None:
            facts["after" if self.edge.newer else "before"] = self.edge.token
        given = {name: value for name, value in facts.items() if value}
        return f"{LIST_PATH}?{urlencode(given)}" if given else LIST_PATH


def instance_url(instance_id: str) -> str:
    """The address of an instance's page."""
    return f"{LIST_PATH}/{quote(instance_id, safe='')}"


def field_time(at: datetime | None) -> str:
    """A time as a `datetime-local` field has it, in UTC; empty for none."""
    return "" if at is None else at.astimezone(UTC).replace(tzinfo=None).isoformat()


def _time(text: str) -> datetime:
    at = datetime.fromisoformat(text)
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
