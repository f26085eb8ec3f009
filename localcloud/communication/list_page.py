"""The mailbox: what was sent, newest first."""

from collections.abc import Sequence
from typing import Final
from urllib.parse import urlencode

from localcloud.communication.listing import Line, Wanted
from localcloud.communication.outcomes import EMAIL_RULES, SMS_RULES, Rule
from localcloud.communication.page import badge, live, moment, said
from localcloud.communication.publisher import NO_ENDPOINT
from localcloud.dashboard.markup import Child, Html, el, join
from localcloud.partners.store import JsonObject

PAGE: Final = 50
LATEST: Final = 5
EVERY_MS: Final = 2000
SHOWN_RECIPIENTS: Final = 3

_CHANNELS: Final[Sequence[tuple[str, str | None]]] = (
    ("All", None),
    ("Email", "email"),
    ("SMS", "sms"),
)


def list_body(
    wanted: Wanted, lines: Sequence[Line], standing: JsonObject, senders: Sequence[str]
) -> Html:
    """The page: how to search, the list, and what addresses mean."""
    return join(
        el("h1", "Sent messages"),
        _search(wanted),
        said(),
        live(list_content(wanted, lines, standing), every_ms=EVERY_MS),
        _rules(senders),
    )


def list_content(wanted: Wanted, lines: Sequence[Line], standing: JsonObject) -> Html:
    """The part that changes. One line more than a page holds says that there are older ones."""
    shown = lines[:PAGE]
    if not shown:
        return join(_standing(standing), _nothing(wanted))
    items = [_sms(line) if line.channel == "sms" else _email(line) for line in shown]
    return join(
        _standing(standing),
        el("ol", items, class_="messages", reversed=True, data_newest=shown[0].seq),
        _pager(wanted, shown, more=len(lines) > PAGE),
    )


def _search(wanted: Wanted) -> Html:
    channels = [
        el(
            "a",
            name,
            href=_link(wanted, channel=channel, before=None),
            aria_current="true" if channel == wanted.channel else None,
        )
        for name, channel in _CHANNELS
    ]
    form = el(
        "form",
        el("label", "Search", for_="q", class_="unseen"),
        el(
            "input",
            id="q",
            name="q",
            type="search",
            value=wanted.words or "",
            placeholder="Subject, text or address",
        ),
        el("input", type="hidden", name="channel", value=wanted.channel)
        if wanted.channel
        else None,
        el("input", type="hidden", name="to", value=wanted.to) if wanted.to else None,
        el("button", "Search", type="submit"),
        role="search",
        class_="search",
    )
    only = (
        el(
            "p",
            "Only messages to ",
            el("strong", wanted.to),
            " · ",
            el("a", "show all", href=_link(wanted, to=None, before=None)),
            class_="only",
        )
        if wanted.to
        else None
    )
    return join(
        el("div", form, el("nav", channels, aria_label="Channel", class_="chips"), class_="tools"),
        only,
    )


def _link(wanted: Wanted, **changes: str | int | None) -> str:
    """The list with something else wanted."""
    values: dict[str, str | int | None] = {
        "q": wanted.words,
        "channel": wanted.channel,
        "to": wanted.to,
        "before": wanted.before,
        **changes,
    }
    query = urlencode({name: value for name, value in values.items() if value is not None})
    return f"/?{query}" if query else "/"


def _email(line: Line) -> Html:
    return _item(
        line,
        el("a", line.title, href=line.url, class_="title"),
        el("p", line.extract, class_="extract") if line.extract else None,
    )


def _sms(line: Line) -> Html:
    return _item(line, el("a", line.title or "(empty)", href=line.url, class_="bubble"))


def _item(line: Line, *content: Child) -> Html:
    icon = el("span", "SMS" if line.channel == "sms" else "✉", aria_hidden="true", class_="icon")
    head = el(
        "div",
        el("span", _names(line), class_="names"),
        badge(line.status),
        moment(line.sent_at),
        class_="head",
    )
    kind = el("span", "SMS" if line.channel == "sms" else "Email", class_="unseen")
    return el("li", icon, kind, el("div", head, content, class_="what"), class_=line.channel)


def _names(line: Line) -> Html:
    shown = [
        el("a", to["address"], href=_link(Wanted(), to=to["address"]), class_="to")
        for to in line.recipients[:SHOWN_RECIPIENTS]
    ]
    more = len(line.recipients) - len(shown)
    return join(shown, el("span", f"and {more} more", class_="more") if more > 0 else None)


def _pager(wanted: Wanted, shown: Sequence[Line], *, more: bool) -> Html | None:
    newest = el("a", "Newest", href=_link(wanted, before=None)) if wanted.before else None
    older = el("a", "Older", href=_link(wanted, before=shown[-1].seq), rel="next") if more else None
    return el("nav", newest, older, aria_label="Pages", class_="pager") if newest or older else None


def _nothing(wanted: Wanted) -> Html:
    if wanted == Wanted():
        return el(
            "div",
            el("p", "Nothing was sent yet.", class_="big"),
            el("p", "Email and SMS that the platform sends appear here by themselves."),
            class_="empty",
        )
    return el(
        "div",
        el("p", "No message is like that.", class_="big"),
        el("p", el("a", "Show all messages", href="/")),
        class_="empty",
    )


def _standing(standing: JsonObject) -> Html | None:
    """Said only when delivery reports do not get through."""
    trouble = standing["last_error"]
    if not standing["waiting"] or trouble in {None, NO_ENDPOINT}:
        return None
    number = standing["waiting"]
    reports = "1 delivery report waits" if number == 1 else f"{number} delivery reports wait"
    return el("p", f"{reports} for Event Grid: {trouble}", class_="problem", role="alert")


def _rules(senders: Sequence[str]) -> Html:
    emails = [
        _rule(join(el("code", f"{name}@…"), " or ", el("code", f"…@{name}.example")), rule)
        for name, rule in EMAIL_RULES.items()
    ]
    texts = [_rule(el("code", f"…{end}"), rule) for end, rule in SMS_RULES.items()]
    rest = el("tr", el("td", "everything else"), el("td", "Delivered"))
    return el(
        "details",
        el("summary", "What happens to which address"),
        el(
            "p",
            "An address may go on after its name with ",
            el("code", "+"),
            " and anything, which makes it another address with the same fate.",
        ),
        el("table", el("tbody", emails, texts, rest)),
        el("p", "Senders: ", ", ".join(senders)),
        class_="rules",
    )


def _rule(address: Html, rule: Rule) -> Html:
    return el("tr", el("td", address), el("td", rule.words))
