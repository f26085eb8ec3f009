"""The pages of Event Grid and of the mailbox, over servers that answer as these parts do."""

from pathlib import Path
from typing import Any

import httpx
import pytest

from localcloud.dashboard.addresses import Addresses
from localcloud.dashboard.hub import TaskHub
from localcloud.dashboard.mailboxes import Broker
from localcloud.dashboard.neighbours import Neighbour
from localcloud.dashboard.peeking import Window
from localcloud.dashboard.surroundings import Surroundings
from localcloud.tests.dashboard.conftest import Page, client_of
from localcloud.tests.dashboard.posts import EVENT_GRID, HOSTILE, MAILBOX, answering
from localcloud.tests.dashboard.test_hostile import KNOWN_TAGS
from localcloud.tests.dashboard.test_overview import PARTS

NOWHERE = "postgresql://durable@127.0.0.1:1/hub"


def client(eventgrid: str | None, communication: str | None) -> httpx.AsyncClient:
    """Of a dashboard with these parts, and nothing else."""
    found = Addresses(
        Broker("127.0.0.1", 1, "key", Path("none.pem")),
        Window(""),
        TaskHub(NOWHERE),
        Neighbour("eventgrid", "Event Grid", eventgrid),
        Neighbour("communication", "Communication Services", communication),
    )
    around = Surroundings("ready", PARTS, [])
    return client_of(NOWHERE, lambda: around, lambda: found)


async def seen(path: str, answers: dict[str, Any]) -> Page:
    with answering(answers) as base:
        async with client(base, base) as opened:
            return Page(await opened.get(path))


async def test_event_grids_subscriptions_are_shown_with_what_became_of_their_events() -> None:
    page = await seen("/events", EVENT_GRID)
    assert page.status == 200
    assert page.text("//section[@id='totals']/p") == (
        "12 events published, 4 delivered, 1 pending, 2 dead letters, 1 dropped."
    )
    assert page.texts("//h2") == [
        *("Topic platform-events", "System topic communication", "Dead letters")
    ]
    assert page.rows("grid") == [
        [
            *("attention", "type is order.stuck.v1", "attentionServiceBusQueue", "4", "1", "2"),
            *("! 21 dropped", "2026-11-24 13:00:09.000"),
            "NotFound: HTTP 4042026-11-24 13:00:01.000",
        ],
        [
            *("hooksAwaitingManualAction", "every event", f"https://x.example/{HOSTILE}WebHook"),
            *("0", "0", "0", "0", "–", "–"),
        ],
    ]
    assert page.rows("given-up") == [
        [
            *("order.stuck.v1e-1", "platform-events/attention"),
            *("MaxDeliveryAttemptsExceededNotFound", "30", "2026-11-24 12:59:00.000"),
            "eventgrid-dead-letters/platform-events/attention/1.json",
        ]
    ]


async def test_the_mailbox_is_shown_with_its_latest_messages_and_the_way_to_them() -> None:
    with answering(MAILBOX) as base:
        async with client(None, base) as opened:
            page = Page(await opened.get("/mail"))
    assert page.status == 200
    assert page.rows("channels") == [
        ["Email", "3", "4", "1", "✓ Delivered 2 ✕ Bounced 1"],
        ["SMS", "1", "1", "0", "–"],
    ]
    assert page.rows("mails") == [
        ["2026-11-24 13:00:00.123", "Email", "a@x.example", HOSTILE, "✕ Bounced"],
        ["2026-11-24 12:00:00.000", "SMS", "+4915112345678", "untitled", "–"],
    ]
    assert page.links("//table[@class='mails']//a") == [f"{base}/mail/17", f"{base}/"]
    assert page.texts("//div[@role='alert']/p") == [
        "Reports do not reach Event Grid: refused",
        "They are kept and tried again.",
    ]


@pytest.mark.parametrize(("path", "answers"), [("/events", EVENT_GRID), ("/mail", MAILBOX)])
async def test_what_a_part_says_is_shown_as_text(path: str, answers: dict[str, Any]) -> None:
    page = await seen(path, answers)
    assert HOSTILE in page.text("//main")
    assert {str(element.tag) for element in page.root.iter()} <= KNOWN_TAGS


@pytest.mark.parametrize(
    ("path", "part", "title"),
    [("/events", "eventgrid", "Event Grid"), ("/mail", "communication", "Communication Services")],
)
async def test_a_part_that_is_down_is_named_and_a_missing_one_too(
    path: str, part: str, title: str
) -> None:
    async with client("http://127.0.0.1:1", "http://127.0.0.1:1") as opened:
        down = Page(await opened.get(path))
    async with client(None, None) as opened:
        missing = Page(await opened.get(path))
    assert (down.status, missing.status) == (503, 503)
    why, advice = down.texts("//div[@role='alert']/p")
    assert why.startswith(f"{title} does not answer: [Errno ")
    assert advice.startswith(f"`python -m localcloud logs {part}` ")
    assert missing.texts("//div[@role='alert']/p")[0] == f"This cloud has no {title}."


@pytest.mark.parametrize("answer", [None, [], "text"])
async def test_a_part_that_answers_nonsense_is_named(answer: Any) -> None:
    answers = {"/overview": answer, "/dead-letters": {}}
    page = await seen("/events", {k: v for k, v in answers.items() if v is not None})
    assert page.status == 503
    assert page.text("//div[@role='alert']/p[1]").startswith("Event Grid does not answer: GET /")


async def test_a_part_that_says_little_is_shown_all_the_same() -> None:
    events = await seen("/events", {"/overview": {}, "/dead-letters": {}})
    assert events.texts("//p[@class='empty']") == ["There is no topic.", "No event was given up."]
    mail = await seen("/mail", {"/overview": {}})
    assert mail.texts("//p[@class='empty']") == ["Nothing has been sent yet."]
    assert (events.status, mail.status) == (200, 200)


async def test_the_overview_has_a_sentence_for_each_and_leaves_out_what_is_not_there() -> None:
    with answering(MAILBOX) as base:
        async with client("http://127.0.0.1:1", base) as opened:
            page = Page(await opened.get("/"))
        async with client(None, base) as opened:
            less = Page(await opened.get("/"))
    assert page.texts("//section[@id='neighbours']/h2") == ["Event Grid", "Mail and SMS"]
    why, _, mail = page.texts("//section[@id='neighbours']//p")
    assert why.startswith("Event Grid does not answer: [Errno ")
    assert mail == (
        "3 emails and 1 SMS sent, 1 address suppressed, 0 reports on their way to Event Grid."
    )
    assert less.texts("//section[@id='neighbours']/h2") == ["Mail and SMS"]
