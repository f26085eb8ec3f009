"""The frame of every page, and the pieces that several pages share."""

from collections.abc import Mapping, Sequence
from typing import Final

from localcloud.dashboard.markup import Child, Html, el, join

_MARKS: Final[Mapping[str, str]] = {
    "Delivered": "✓",
    "Expanded": "⇶",
    "Bounced": "✕",
    "Failed": "✕",
    "Suppressed": "⊘",
    "FilteredSpam": "!",
    "Quarantined": "!",
    "Viewed": "◉",
    "Clicked": "↗",
}
"""Shapes beside the words, so that colour is never alone."""
_WORDS: Final[Mapping[str, str]] = {"FilteredSpam": "Filtered as spam"}


def document(title: str, *content: Child) -> Html:
    """A whole page."""
    head = el(
        "head",
        el("meta", charset="utf-8"),
        el("meta", name="viewport", content="width=device-width, initial-scale=1"),
        el("meta", name="color-scheme", content="light dark"),
        el("title", f"{title} – local mailbox"),
        el("link", rel="icon", href="/static/icon.svg", type="image/svg+xml"),
        el("link", rel="stylesheet", href="/static/mailbox.css"),
        el("script", src="/static/mailbox.js", defer=True),
    )
    body = el(
        "body",
        el("a", "Skip to content", href="#main", class_="skip"),
        el(
            "header",
            el("a", el("span", "✉", aria_hidden="true"), " Mailbox", href="/", class_="brand"),
            el("span", "Communication Services of the local cloud", class_="place"),
            class_="top",
        ),
        el("main", content, id="main", tabindex=-1),
    )
    return join(Html("<!doctype html>"), el("html", head, body, lang="en"))


def live(*content: Child, every_ms: int | None) -> Html:
    """A part of the page that a script asks for again. None when it will not change any more."""
    return el("div", content, id="live", data_refresh=every_ms)


def said() -> Html:
    """Where a script tells what changed, for those who do not see it."""
    return el("p", id="said", role="status", aria_live="polite", class_="said")


def badge(status: str | None) -> Html:
    """What became of a message, with a shape and a colour."""
    if status is None:
        mark, words, kind = "…", "On its way", "waiting"
    else:
        mark, words, kind = _MARKS.get(status, "?"), _WORDS.get(status, status), status.lower()
    return el("span", el("span", mark, aria_hidden="true"), " ", words, class_=f"badge {kind}")


def moment(at: str) -> Html:
    """A time of the form 2026-11-24T12:30:00.123456Z, to the second, as UTC."""
    return el("time", f"{at[:10]} {at[11:19]}", datetime=at, title=f"{at} (UTC)")


def facts(entries: Sequence[tuple[str, Child]]) -> Html:
    """Names with their values; those without a value are left out."""
    shown = [el("div", el("dt", name), el("dd", value)) for name, value in entries if value]
    return el("dl", shown, class_="facts")


def problem(why: str, advice: str) -> Html:
    """What went wrong and what to do."""
    return el("div", el("p", why), el("p", el("a", advice, href="/")), class_="problem")
