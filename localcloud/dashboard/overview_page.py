"""The first page: what runs where, how the orchestrations stand, what needs a person."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from localcloud.dashboard.events_page import EVENTS_PATH, Grid
from localcloud.dashboard.events_page import in_short as grids
from localcloud.dashboard.hub import Unreadable
from localcloud.dashboard.list_page import tally
from localcloud.dashboard.listing import Count, Failing
from localcloud.dashboard.mail_page import MAIL_PATH
from localcloud.dashboard.mail_page import in_short as mails
from localcloud.dashboard.mailboxes import Mailbox
from localcloud.dashboard.markup import Child, Html, el
from localcloud.dashboard.messages_page import (
    DEAD_PATH,
    MESSAGES_PATH,
    dead_letters,
    entity_url,
)
from localcloud.dashboard.neighbours import Silent
from localcloud.dashboard.page import badge, cell, instance_link, live, problem, said, table
from localcloud.dashboard.surroundings import Surroundings
from localcloud.dashboard.values import lasting
from localcloud.dashboard.wanted import QUARANTINED, Wanted
from localcloud.inspection import PartStatus

_REFRESH_MS: Final = 5000
_PARTS: Final = ("Part", "Health", "Port", "Pid", "Uptime", "Memory")
_MESSAGES: Final = ("Queue or subscription", "Active", "Scheduled", "Dead letters")
_FAILING: Final = ("What", "Name", "Instance", "Attempts", "State")


@dataclass(frozen=True, slots=True)
class Orchestrations:
    """How they stand."""

    counts: Sequence[Count]
    failing: Sequence[Failing]


def overview_body(content: Html) -> list[Child]:
    """The whole page around what changes."""
    return [el("h1", "Overview"), content, said("")]


def overview_content(
    around: Surroundings,
    orchestrations: Orchestrations | Unreadable,
    grid: Grid | Silent,
    mailbox: Mapping[str, Any] | Silent,
) -> Html:
    """All of it but the frame."""
    ill = [part.name for part in around.parts if part.health != "ok"]
    say = f"All {len(around.parts)} parts are healthy."
    if ill:
        say = f"{', '.join(ill)} not healthy."
    return live(
        _orchestrations(orchestrations),
        _messages(around.mailboxes) if around.parts else None,
        _neighbours(grid, mailbox) if around.parts else None,
        _parts(around, say),
        every_ms=_REFRESH_MS,
        say=say if around.parts else around.phase,
    )


def _orchestrations(found: Orchestrations | Unreadable) -> Html:
    heading = el("h2", "Orchestrations")
    if isinstance(found, Unreadable):
        return el("section", heading, problem(str(found), found.advice), id="numbers")
    counts = tally(found.counts)
    numbers = [
        el(
            "a",
            el("b", counts[choice]),
            el("span", choice),
            href=Wanted(status=choice).url,
            class_=f"number {choice if counts[choice] else 'zero'}",
        )
        for choice in ("open", "failed", QUARANTINED, "completed")
    ]
    return el(
        "section", heading, el("div", numbers, class_="numbers"), _failing(found), id="numbers"
    )


def _failing(found: Orchestrations) -> Child:
    if not found.failing:
        return None
    rows = [
        el(
            "tr",
            cell("What", failing.sort),
            cell("Name", failing.name),
            cell("Instance", _instance(failing.instance_id)),
            cell("Attempts", failing.attempts, class_="count"),
            cell("State", badge("Quarantined") if failing.given_up else "tried again"),
        )
        for failing in found.failing
    ]
    return table("What fails again and again, the worst first", _FAILING, rows, class_="failing")


def _instance(instance_id: str) -> Html:
    entity = instance_id.startswith("@")
    return el("code", instance_id) if entity else instance_link(instance_id)


def _messages(mailboxes: Sequence[Mailbox] | str) -> Html:
    heading = el("h2", el("a", "Messages", href=MESSAGES_PATH))
    if isinstance(mailboxes, str):
        advice = "`python -m localcloud logs servicebus` may have the reason."
        return el("section", heading, problem(mailboxes, advice), id="messages")
    dead = sum(mailbox.dead_letters for mailbox in mailboxes)
    summary = f"{dead or 'No'} dead letter{'' if dead == 1 else 's'}."
    rows = [
        el(
            "tr",
            cell("Queue or subscription", el("b", mailbox.name)),
            cell("Active", mailbox.active, class_="count"),
            cell("Scheduled", mailbox.scheduled, class_="count"),
            cell(
                "Dead letters",
                dead_letters(mailbox.dead_letters, entity_url(DEAD_PATH, mailbox.name)),
                class_="count",
            ),
        )
        for mailbox in mailboxes
    ]
    shown = table("Messages that wait", _MESSAGES, rows, class_="messages") if rows else None
    return el("section", heading, el("p", summary), shown, id="messages")


def _neighbours(grid: Grid | Silent, mailbox: Mapping[str, Any] | Silent) -> Html:
    """Event Grid and the mailbox in a sentence each; one that the cloud lacks is left out."""
    said_of = {
        ("Event Grid", EVENTS_PATH): grid if isinstance(grid, Silent) else grids(grid.overview),
        ("Mail and SMS", MAIL_PATH): mailbox if isinstance(mailbox, Silent) else mails(mailbox),
    }
    parts: list[Child] = []
    for (title, path), what in said_of.items():
        if isinstance(what, Silent) and what.absent:
            continue
        parts.append(el("h2", el("a", title, href=path)))
        parts.append(problem(str(what), what.advice) if isinstance(what, Silent) else el("p", what))
    return el("section", parts, id="neighbours")


def _parts(around: Surroundings, say: str) -> Html:
    heading, parts = el("h2", "Parts"), around.parts
    if not parts:
        advice = "`python -m localcloud up` starts everything."
        return el("section", heading, problem("No local cloud runs here.", advice), id="parts")
    memory = sum(part.memory_mib or 0 for part in parts)
    summary = f"The cloud is {around.phase}. {say} Together they take {memory:.0f} MiB."
    rows = [_part(part) for part in parts]
    notes = [el("li", f"{part.name}: {part.note}") for part in parts if part.note]
    return el(
        "section",
        heading,
        el("p", summary),
        table("Parts in the order of their start", _PARTS, rows, class_="parts"),
        el("ul", notes, class_="note") if notes else None,
        id="parts",
    )


def _part(part: PartStatus) -> Html:
    restarts = el("small", f"restarted {part.restarts}×") if part.restarts else None
    return el(
        "tr",
        cell("Part", el("b", part.name), restarts),
        cell("Health", _health(part)),
        cell("Port", ", ".join(map(str, part.ports)), class_="count"),
        cell("Pid", part.pid if part.pid is not None else "–", class_="count"),
        cell("Uptime", "–" if part.uptime_s is None else lasting(part.uptime_s), class_="count"),
        cell(
            "Memory",
            "–" if part.memory_mib is None else f"{part.memory_mib:.0f} MiB",
            class_="count",
        ),
    )


def _health(part: PartStatus) -> Html:
    if part.health == "ok":
        return el("span", el("span", "✓", aria_hidden="true"), " ok", class_="badge completed")
    mark = el("span", "✕", aria_hidden="true")
    state = "" if part.state == "running" else f"{part.state}: "
    return el("span", mark, f" {state}{part.health}", class_="badge failed")
