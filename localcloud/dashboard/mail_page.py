"""The page of Communication Services: how many mails and SMS went where, and the latest."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from localcloud.dashboard.events_page import at
from localcloud.dashboard.markup import Child, Html, el
from localcloud.dashboard.neighbours import Silent
from localcloud.dashboard.page import cell, live, problem, said, table
from localcloud.dashboard.values import moment

MAIL_PATH: Final = "/mail"
_REFRESH_MS: Final = 5000
_CHANNELS: Final = {"email": "Email", "sms": "SMS"}
_COUNTED: Final = ("Channel", "Messages", "Recipients", "Awaiting a report", "Outcomes")
_LATEST: Final = ("Sent (UTC)", "Channel", "To", "Subject or text", "Outcome")
_GOOD: Final = ("Delivered", "Expanded")


def mail_body(overview: Mapping[str, Any] | Silent, base: str | None) -> list[Child]:
    """The whole page; `base` is the address of the mailbox itself."""
    return [el("h1", "Mail and SMS"), mail_content(overview, base), said("")]


def mail_content(overview: Mapping[str, Any] | Silent, base: str | None) -> Html:
    """All of it but the frame."""
    if isinstance(overview, Silent):
        what = el("section", problem(str(overview), overview.advice), id="channels")
        return live(what, every_ms=_REFRESH_MS, say=str(overview))
    say = in_short(overview)
    return live(
        _channels(overview, say, base or ""),
        _latest(overview.get("latest") or [], base or ""),
        every_ms=_REFRESH_MS,
        say=say,
    )


def in_short(overview: Mapping[str, Any]) -> str:
    """How the mailbox stands, in a sentence."""
    counts = {name: (overview.get(name) or {}).get("messages", 0) for name in _CHANNELS}
    reports = overview.get("reports") or {}
    suppressed = overview.get("suppressed", 0)
    return (
        f"{counts['email']} emails and {counts['sms']} SMS sent,"
        f" {suppressed} address{'' if suppressed == 1 else 'es'} suppressed,"
        f" {reports.get('waiting', 0)} reports on their way to Event Grid."
    )


def _channels(overview: Mapping[str, Any], say: str, base: str) -> Html:
    rows = []
    for name, title in _CHANNELS.items():
        counts = overview.get(name) or {}
        rows.append(
            el(
                "tr",
                cell("Channel", el("b", title)),
                cell("Messages", counts.get("messages", 0), class_="count"),
                cell("Recipients", counts.get("recipients", 0), class_="count"),
                cell("Awaiting a report", counts.get("awaiting", 0), class_="count"),
                cell("Outcomes", _outcomes(counts.get("by_status") or {})),
            )
        )
    reports = overview.get("reports") or {}
    error, refused = reports.get("last_error"), reports.get("refused", 0)
    advice = f"{refused} refused for good." if refused else "They are kept and tried again."
    way = el("a", "Open the mailbox", href=f"{base}/", rel="noreferrer")
    return el(
        "section",
        problem(f"Reports do not reach Event Grid: {error}", advice) if error else None,
        el("p", say, " ", way),
        table("What was sent, by channel", _COUNTED, rows, class_="channels"),
        id="channels",
    )


def _outcomes(by_status: Mapping[str, int]) -> Child:
    if not by_status:
        return "–"
    return [[outcome(status, f" {count}"), " "] for status, count in by_status.items()]


def outcome(status: str, more: str = "") -> Html:
    """What became of a message for one of its recipients."""
    good = status in _GOOD
    mark = el("span", "✓" if good else "✕", aria_hidden="true")
    return el("span", mark, f" {status}{more}", class_=f"badge {'completed' if good else 'failed'}")


def _latest(messages: Sequence[Mapping[str, Any]], base: str) -> Html:
    rows = [
        el(
            "tr",
            cell("Sent (UTC)", moment(at(message.get("sent_at")))),
            cell("Channel", _CHANNELS.get(str(message.get("channel")), "–")),
            cell("To", ", ".join(map(str, message.get("to") or []))),
            cell(
                "Subject or text",
                el("a", message.get("title") or "untitled", href=f"{base}{_below(message)}"),
            ),
            cell("Outcome", outcome(str(message["status"])) if message.get("status") else "–"),
        )
        for message in messages
    ]
    shown: Child = el("p", "Nothing has been sent yet.", class_="empty")
    if rows:
        shown = table("The newest first", _LATEST, rows, class_="mails")
    return el("section", el("h2", "Latest"), shown, id="latest")


def _below(message: Mapping[str, Any]) -> str:
    """The path of a message's page; whatever else is said leads to the mailbox as a whole."""
    url = str(message.get("url") or "")
    return url if url.startswith("/mail/") else "/"
