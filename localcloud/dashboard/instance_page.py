"""The page of one instance: what it is, how its history went, event by event."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Self
from urllib.parse import urlencode

from localcloud.dashboard.axis import Axis
from localcloud.dashboard.event_table import event_table, shown
from localcloud.dashboard.gantt import gantt, legend
from localcloud.dashboard.instance import Instance
from localcloud.dashboard.lanes import End, Lane, Sort
from localcloud.dashboard.markup import Child, Html, el
from localcloud.dashboard.page import badge, facts, instance_link, live, said
from localcloud.dashboard.paging import paged
from localcloud.dashboard.values import lasting, moment, payload
from localcloud.dashboard.wanted import instance_url
from localcloud.dashboard.weaving import weave

LANES: Final = 100
EVENTS: Final = 200
_CHILDREN: Final = 20
_REFRESH_MS: Final = 2000

_KEPT: Final[Mapping[str, Callable[[Lane], bool]]] = {
    "all": lambda _: True,
    "failed": lambda lane: lane.failed,
    "open": lambda lane: lane.end is End.OPEN or lane.pausing,
}


@dataclass(frozen=True, slots=True)
class View:
    """Which part of a long history is shown; pages count from 1."""

    lanes: str = "all"
    page: int = 1
    events: int = 1

    @classmethod
    def read(cls, query: Mapping[str, str]) -> Self:
        """The view of a query string; what makes no sense counts as not given."""
        lanes = query.get("lanes", "all")
        return cls(
            lanes if lanes in _KEPT else "all", _page(query.get("page")), _page(query.get("events"))
        )

    def url(self, instance_id: str, anchor: str) -> str:
        """The address of this view."""
        facts = {"lanes": self.lanes, "page": str(self.page), "events": str(self.events)}
        given = {name: value for name, value in facts.items() if value not in {"all", "1"}}
        query = f"?{urlencode(given)}" if given else ""
        return f"{instance_url(instance_id)}{query}#{anchor}"


def _page(text: str | None) -> int:
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 6 else 1  # noqa: PLR2004


def instance_content(instance: Instance, view: View) -> Html:
    """What changes while an instance runs, which is all of the page but its frame."""
    lanes = weave(instance)
    state = _spoken(instance, lanes)
    return live(
        _header(instance),
        _payloads(instance),
        _history(instance, lanes, view),
        _events(instance, view),
        every_ms=None if instance.ended else _REFRESH_MS,
        say=state,
    )


def instance_body(instance: Instance, view: View) -> list[Child]:
    """The whole of the page."""
    return [instance_content(instance, view), said("")]


def _spoken(instance: Instance, lanes: Sequence[Lane]) -> str:
    ended = sum(lane.end is not End.OPEN for lane in lanes)
    return f"{instance.status}; {ended} of {len(lanes)} steps have ended."


def _header(instance: Instance) -> Html:
    until = instance.completed_at or instance.seen_at
    entries: list[tuple[str, Child]] = [
        ("id", el("code", instance.instance_id)),
        ("created", moment(instance.created_at)),
        ("last updated", moment(instance.updated_at)),
        ("duration", _duration(instance, (until - instance.created_at).total_seconds())),
    ]
    if instance.renewed:
        entries.append(("continued as new, lately", moment(instance.began_at)))
    if instance.version:
        entries.append(("version", instance.version))
    if instance.parent_instance_id is not None:
        entries.append(("parent", instance_link(instance.parent_instance_id)))
    if instance.children:
        entries.append(("children", _children(instance)))
    waits: Mapping[str, int] = instance.progress.get("waits", {})
    if waits and not instance.ended:
        entries.append(("waits for", ", ".join(waits)))
    quarantined = badge("Quarantined") if instance.quarantined_at else None
    title = el("h1", instance.name, " ", badge(instance.status), " ", quarantined)
    return el("section", title, _warnings(instance), facts(entries), id="facts")


def _duration(instance: Instance, seconds: float) -> str:
    return lasting(seconds) if instance.ended else f"{lasting(seconds)} so far"


def _warnings(instance: Instance) -> Child:
    if instance.quarantined_at is not None:
        since = moment(instance.quarantined_at)
        why = el(
            "p",
            f"Set aside after {instance.attempts} attempts at a turn, at ",
            since,
            " UTC. The log of the Functions host has the reason.",
        )
        what = el("p", "It does nothing more until it is terminated or purged.")
        return el("div", why, what, class_="problem", role="alert")
    if instance.attempts > 1:
        text = f"Its present turn has been tried {instance.attempts} times."
        return el("p", text, class_="problem")
    return None


def _children(instance: Instance) -> Html:
    children = list(instance.children.values())
    items = [
        el("li", instance_link(child.instance_id), " ", child.name, " ", badge(child.status))
        for child in children[:_CHILDREN]
    ]
    if len(children) > _CHILDREN:
        items.append(el("li", f"and {len(children) - _CHILDREN} more, in the history below"))
    return el("ul", items, class_="children")


def _payloads(instance: Instance) -> Html:
    entries: list[tuple[str, Child]] = [("input", payload(instance.input, key="input"))]
    if instance.custom_status is not None:
        entries.append(("custom status", payload(instance.custom_status, key="custom-status")))
    absent = "none" if instance.ended else "none yet"
    entries.append(("output", payload(instance.output, key="output", absent=absent)))
    return el("section", facts(entries), id="payloads")


def _history(instance: Instance, lanes: Sequence[Lane], view: View) -> Html:
    heading = el("h2", "History")
    if not lanes:
        text = "It has called nothing and waited for nothing" + ("." if instance.ended else " yet.")
        return el("section", heading, el("p", text, class_="empty"), id="lanes")
    kept = [lane for lane in lanes if _KEPT[view.lanes](lane)]
    page = paged(
        kept, LANES, view.page, lambda n: replace(view, page=n).url(instance.instance_id, "lanes")
    )
    chart: Child = el("p", "No step is like that.", class_="empty")
    if page.items:
        chart = gantt(page.items, _axis(instance, lanes), instance.seen_at)
    choice = _choice(instance, lanes, view)
    return el("section", heading, choice, page.links, chart, legend(), id="lanes")


def _choice(instance: Instance, lanes: Sequence[Lane], view: View) -> Child:
    """Links to all, the failed and the open lanes; nothing where that would be all the same."""
    counts = {name: sum(map(keeps, lanes)) for name, keeps in _KEPT.items()}
    if {counts["failed"], counts["open"]} <= {0, counts["all"]}:
        return None
    links = [
        el(
            "a",
            f"{name} {count}",
            href=replace(view, lanes=name, page=1).url(instance.instance_id, "lanes"),
            aria_current="true" if name == view.lanes else None,
        )
        for name, count in counts.items()
    ]
    return el("nav", links, class_="chips", aria_label="Which steps")


def _axis(instance: Instance, lanes: Sequence[Lane]) -> Axis:
    """From the start to the end or to now: far timers must not squeeze what has happened."""
    moments = [instance.completed_at or instance.seen_at]
    for lane in lanes:
        if lane.sort is not Sort.TIMER or lane.end is End.COMPLETED:
            moments += [bar.until for bar in lane.bars if bar.until is not None]
    return Axis.over(instance.began_at, moments)


def _events(instance: Instance, view: View) -> Html:
    events = shown(instance.events)
    heading = el("h2", "Events")
    if not events:
        return el("section", heading, el("p", "None yet.", class_="empty"), id="events")
    page = paged(
        events,
        EVENTS,
        view.events,
        lambda n: replace(view, events=n).url(instance.instance_id, "events"),
    )
    table = event_table(page.items, instance.events, instance.began_at, first=page.first)
    return el("section", heading, page.links, table, id="events")
