"""The page that lists instances: how many stand how, a form to narrow it, the newest first."""

from collections.abc import Sequence
from typing import Final

from localcloud.dashboard.hub import Unreadable
from localcloud.dashboard.listing import Count, Listing, Row
from localcloud.dashboard.markup import Child, Html, el
from localcloud.dashboard.page import badge, cell, instance_link, live, problem, said, table
from localcloud.dashboard.values import lasting, moment
from localcloud.dashboard.wanted import (
    CHOICES,
    LIST_PATH,
    QUARANTINED,
    Edge,
    Wanted,
    field_time,
)

PAGE: Final = 50
_REFRESH_MS: Final = 5000
_HEADINGS: Final = ("Status", "Name", "Id", "Created (UTC)", "Duration", "Custom status")


def list_body(wanted: Wanted, listing: Listing | Unreadable) -> list[Child]:
    """The whole page; a hub that cannot be read leaves the form in place."""
    names = [] if isinstance(listing, Unreadable) else sorted({c.name for c in listing.counts})
    problems = [el("li", text) for text in (wanted.problems or {}).values()]
    return [
        el("h1", "Orchestrations"),
        el("ul", problems, class_="problem", role="alert") if problems else None,
        _form(wanted, names),
        list_content(wanted, listing),
        said(""),
    ]


def list_content(wanted: Wanted, listing: Listing | Unreadable) -> Html:
    """What changes while the page stands, numbers and list; later pages of it stay as they are."""
    every_ms = _REFRESH_MS if wanted.edge is None else None
    if isinstance(listing, Unreadable):
        what = el("section", problem(str(listing), listing.advice), id="list")
        return live(what, every_ms=every_ms, say=str(listing))
    counts = _chosen(wanted, listing.counts)
    rows = [_row(row) for row in listing.rows]
    body: Child = table("Instances, newest first", _HEADINGS, rows, class_="instances")
    if not rows:
        body = _empty(wanted)
    say = f"{counts['']} instances, {counts['open']} open, {counts['failed']} failed."
    return live(
        el("section", _chips(wanted, counts), id="counts"),
        el("section", body, _pager(wanted, listing), id="list"),
        every_ms=every_ms,
        say=say,
    )


def tally(counts: Sequence[Count]) -> dict[str, int]:
    """The number of instances for every choice of status."""
    numbers = {
        choice: sum(c.number for c in counts if not statuses or c.status in statuses)
        for choice, statuses in CHOICES.items()
    }
    return numbers | {QUARANTINED: sum(c.number for c in counts if c.quarantined)}


def _chosen(wanted: Wanted, counts: Sequence[Count]) -> dict[str, int]:
    name = wanted.name.lower()
    return tally([count for count in counts if not name or count.name.lower() == name])


def _chips(wanted: Wanted, counts: dict[str, int]) -> Html:
    links = [
        el(
            "a",
            choice.capitalize() or "All",
            " ",
            el("b", number),
            href=wanted.chosen(choice).url,
            aria_current="true" if choice == wanted.status else None,
        )
        for choice, number in counts.items()
    ]
    return el("nav", links, class_="chips", aria_label="Status")


def _form(wanted: Wanted, names: Sequence[str]) -> Html:
    known = dict.fromkeys([*names, *([wanted.name] if wanted.name else [])])
    options = [
        el("option", name, value=name, selected=name.lower() == wanted.name.lower())
        for name in known
    ]
    times = [
        _field(
            label,
            el("input", type="datetime-local", name=name, step=1, value=field_time(at), id=name),
            name,
        )
        for label, name, at in (
            ("Created from (UTC)", "from", wanted.created_from),
            ("until (UTC)", "to", wanted.created_to),
        )
    ]
    kept = el("input", type="hidden", name="status", value=wanted.status) if wanted.status else None
    return el(
        "form",
        kept,
        _field(
            "Name",
            el("select", el("option", "any", value=""), options, name="name", id="name"),
            "name",
        ),
        _field(
            "Id begins with",
            el("input", name="prefix", value=wanted.prefix, id="prefix", autocomplete="off"),
            "prefix",
        ),
        times,
        el(
            "div",
            el("button", "Show", type="submit"),
            el("a", "Clear", href=LIST_PATH) if wanted.narrowed else None,
            class_="buttons",
        ),
        method="get",
        action=LIST_PATH,
        class_="filter",
        role="search",
    )


def _field(label: str, control: Html, name: str) -> Html:
    return el("div", el("label", label, for_=name), control, class_="field")


def _row(row: Row) -> Html:
    until = row.completed_at or row.seen_at
    took = lasting((until - row.created_at).total_seconds())
    above: Child = None
    if row.parent_instance_id is not None:
        above = el("small", "child of ", instance_link(row.parent_instance_id))
    return el(
        "tr",
        cell(
            "Status", badge(row.status), " ", badge("Quarantined") if row.quarantined_at else None
        ),
        cell("Name", row.name),
        cell("Id", instance_link(row.instance_id), above),
        cell("Created (UTC)", moment(row.created_at)),
        cell("Duration", took if row.completed_at else f"{took} so far"),
        cell("Custom status", el("code", row.custom_status) if row.custom_status else "–"),
    )


def _empty(wanted: Wanted) -> Html:
    if wanted.edge is not None:
        what = "There is nothing beyond this."
    elif wanted.narrowed:
        what = "No instance is like that."
    else:
        what = "No orchestration has been started yet."
    way = el("a", "Show all", href=LIST_PATH) if wanted.narrowed or wanted.edge else None
    return el("p", what, " ", way, class_="empty")


def _pager(wanted: Wanted, listing: Listing) -> Child:
    if not (listing.newer or listing.older):
        return None
    links: list[Child] = []
    if listing.newer and listing.rows:
        first = listing.rows[0]
        edge = Edge(first.created_at, first.instance_id, newer=True)
        links += [
            el("a", "Newest", href=wanted.beyond(None).url),
            el("a", "Newer", href=wanted.beyond(edge).url, rel="prev"),
        ]
    if listing.older and listing.rows:
        last = listing.rows[-1]
        edge = Edge(last.created_at, last.instance_id, newer=False)
        links.append(el("a", "Older", href=wanted.beyond(edge).url, rel="next"))
    return el("nav", links, class_="pager", aria_label="Pages")
