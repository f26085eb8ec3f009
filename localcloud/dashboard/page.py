"""The frame of every page, and the pieces that several pages share."""

from collections.abc import Mapping, Sequence
from typing import Final

from localcloud.dashboard.markup import Child, Html, el, join
from localcloud.dashboard.wanted import LIST_PATH, instance_url

ROOMS: Final[Mapping[str, str]] = {
    "Overview": "/",
    "Orchestrations": LIST_PATH,
    "Messages": "/messages",
    "Event Grid": "/events",
    "Mail": "/mail",
}
FRAGMENT: Final = "fragment"
"""Query parameter: only the part of the page that changes is wanted."""

_MARKS: Final[Mapping[str, str]] = {
    "Pending": "○",
    "Running": "▸",
    "ContinuedAsNew": "▸",
    "Suspended": "‖",
    "Completed": "✓",
    "Failed": "✕",
    "Terminated": "■",
    "Canceled": "■",
    "Quarantined": "!",
}
"""Shapes beside the words, so that colour is never alone."""


def document(title: str, *content: Child, room: str = "") -> Html:
    """A whole page. `room` is the one that the navigation marks as the present one."""
    rooms = [
        el("li", el("a", name, href=path, aria_current="page" if name == room else None))
        for name, path in ROOMS.items()
    ]
    head = el(
        "head",
        el("meta", charset="utf-8"),
        el("meta", name="viewport", content="width=device-width, initial-scale=1"),
        el("meta", name="color-scheme", content="light dark"),
        el("title", f"{title} – local cloud"),
        el("link", rel="icon", href="/static/icon.svg", type="image/svg+xml"),
        el("link", rel="stylesheet", href="/static/dashboard.css"),
        el("script", src="/static/dashboard.js", defer=True),
    )
    body = el(
        "body",
        el("a", "Skip to content", href="#main", class_="skip"),
        el(
            "header",
            el("a", "Local cloud", href="/", class_="brand"),
            el("nav", el("ul", rooms), aria_label="Rooms"),
            class_="top",
        ),
        el("main", content, id="main", tabindex=-1),
    )
    return join(Html("<!doctype html>"), el("html", head, body, lang="en"))


def live(*content: Child, every_ms: int | None, say: str) -> Html:
    """A part of the page that a script asks for again; `say` is what a screen reader hears when it
    changes. None when it will not change any more.
    """
    return el("div", content, id="live", data_refresh=every_ms, data_say=say)


def said(text: str) -> Html:
    """Where a script tells of changes; it stays while what it speaks of is replaced."""
    return el("p", text, id="said", role="status", aria_live="polite", class_="said")


def badge(status: str) -> Html:
    """A status with its shape and its colour."""
    mark = el("span", _MARKS.get(status, "?"), aria_hidden="true")
    return el("span", mark, " ", status, class_=f"badge {status.lower()}")


def instance_link(instance_id: str, text: str | None = None) -> Html:
    """A link to an instance's page."""
    return el("a", el("code", text or instance_id), href=instance_url(instance_id))


def facts(entries: Sequence[tuple[str, Child]]) -> Html:
    """Names with their values."""
    return el(
        "dl", [el("div", el("dt", n), el("dd", value)) for n, value in entries], class_="facts"
    )


def problem(why: str, advice: str, *, title: str = "") -> Html:
    """What went wrong and what to do."""
    heading = el("h2", title) if title else None
    return el("div", heading, el("p", why), el("p", advice), class_="problem", role="alert")


def table(caption: str, headings: Sequence[str], rows: Sequence[Child], *, class_: str) -> Html:
    """A table in a box of its own that scrolls sideways where the window is narrow."""
    head = el("thead", el("tr", [el("th", heading, scope="col") for heading in headings]))
    inner = el("table", el("caption", caption), head, el("tbody", rows), class_=class_)
    return el("div", inner, class_="scroll", tabindex=0, role="region", aria_label=caption)


def cell(label: str, *content: Child, class_: str | None = None) -> Html:
    """A cell that carries its column's name to where the columns fold."""
    return el("td", content, data_label=label, class_=class_)
