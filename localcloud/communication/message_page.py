"""One message: what it says, whom it went to, and what was reported about it."""

import sqlite3
from collections.abc import Sequence
from typing import Final

from localcloud.communication import letter
from localcloud.communication.drafts import iso
from localcloud.communication.page import badge, facts, live, moment, said
from localcloud.dashboard.markup import Child, Html, el, join
from localcloud.partners.store import JsonObject

EVERY_MS: Final = 1000
THREAD: Final = 20

_KIB: Final = 1024


def message_body(
    message: JsonObject, history: Sequence[sqlite3.Row], thread: Sequence[sqlite3.Row]
) -> Html:
    """The page."""
    title = message["subject"] if message["channel"] == "email" else f"SMS to {message['to'][0]}"
    shown = _email(message) if message["channel"] == "email" else _phone(message, thread)
    return join(
        el("p", el("a", "← All messages", href="/"), class_="back"),
        el("h1", title),
        el(
            "div",
            el("section", _envelope(message), shown, class_="letter"),
            el(
                "aside",
                said(),
                live(message_content(message, history), every_ms=_refresh(message)),
                aria_label="Delivery",
            ),
            class_="columns",
        ),
    )


def message_content(message: JsonObject, history: Sequence[sqlite3.Row]) -> Html:
    """The part that changes: what became of the message."""
    recipients = [
        el(
            "li",
            el("strong", to["address"]),
            badge(to["status"]),
            el("p", to["detail"], class_="detail") if to["detail"] else None,
        )
        for to in message["recipients"]
    ]
    return join(
        el("h2", "Delivery"),
        el("ul", recipients, class_="fates"),
        el("h2", "Reports"),
        el("ol", [_report(row) for row in history], class_="reports")
        if history
        else el("p", "No report yet.", class_="none"),
    )


def _refresh(message: JsonObject) -> int | None:
    return EVERY_MS if any(to["status"] is None for to in message["recipients"]) else None


def _envelope(message: JsonObject) -> Html:
    def addresses(kind: str) -> Child:
        return [
            el("a", address, href=f"/?to={_quoted(address)}", class_="to")
            for address in message[kind]
        ]

    email = message["channel"] == "email"
    return facts(
        [
            ("From", message["from"]),
            ("To", addresses("to")),
            ("Cc", addresses("cc")),
            ("Bcc", addresses("bcc")),
            ("Reply to", ", ".join(message["reply_to"])),
            ("Sent (UTC)", moment(message["sent_at"])),
            ("Operation" if email else "Message", el("code", message["id"])),
            ("Status", message["status"] if email else ""),
            ("Tag", message["tag"]),
            *[(name, value) for name, value in message["headers"].items()],
        ]
    )


def _quoted(address: str) -> str:
    return address.replace("%", "%25").replace("+", "%2B").replace("&", "%26").replace("#", "%23")


def _email(message: JsonObject) -> Html:
    html = (
        el(
            "iframe",
            src=f"{message['url']}/html",
            title="The message as HTML",
            sandbox=letter.SANDBOX,
            referrerpolicy="no-referrer",
        )
        if message["html"]
        else None
    )
    plain = el("pre", message["text"], class_="plain") if message["text"] else None
    if html and plain:
        plain = el("details", el("summary", "Plain text"), plain)
    return join(html, plain, _attachments(message))


def _attachments(message: JsonObject) -> Html | None:
    if not message["attachments"]:
        return None
    links = [
        el(
            "li",
            el("a", one["name"], href=f"{message['url']}/attachments/{number}", download=True),
            el("small", f"{one['content_type']}, {_size(one['size'])}"),
        )
        for number, one in enumerate(message["attachments"])
    ]
    return join(el("h2", "Attachments"), el("ul", links, class_="attachments"))


def _size(size: int) -> str:
    return f"{size} bytes" if size < _KIB else f"{size / _KIB:,.1f} KiB"


def _phone(message: JsonObject, thread: Sequence[sqlite3.Row]) -> Html:
    """The texts to that number, as its owner sees them."""
    bubbles = [
        el(
            "li",
            el("p", row["text"] or "(empty)", class_="bubble"),
            moment(row["sent_at"]),
            aria_current="true" if row["seq"] == message["seq"] else None,
        )
        for row in thread
    ]
    return el(
        "div",
        el("p", message["from"], class_="caller"),
        el("ol", bubbles, class_="bubbles"),
        class_="phone",
    )


def _report(row: sqlite3.Row) -> Html:
    if row["refusal"]:
        carried = f"refused by Event Grid: {row['refusal']}"
    elif not row["wanted"]:
        carried = "not published: nobody asked for it"
    elif row["published_at"] is None:
        carried = "waits for Event Grid"
    else:
        carried = f"published {iso(row['published_at'])[11:23]}"
    return el(
        "li",
        el("div", badge(row["status"]), moment(iso(row["due_at"])), class_="head"),
        el("small", row["address"], " · ", carried),
        el("small", "event ", el("code", row["event_id"])),
    )
