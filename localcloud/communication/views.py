"""Handlers for whoever looks at what was sent: pages for people, JSON for tests and dashboards."""

import re
import sqlite3
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from localcloud.communication import attachments, letter, listing, suppressions
from localcloud.communication.drafts import iso
from localcloud.communication.list_page import LATEST, PAGE, list_body, list_content
from localcloud.communication.listing import Line, Wanted
from localcloud.communication.message_page import THREAD, message_body, message_content
from localcloud.communication.page import document, problem
from localcloud.communication.publisher import Publisher
from localcloud.partners.store import JsonObject, Store
from localcloud.partners.web import Refused

STATIC: Final = Path(__file__).with_name("static")
FRAGMENT: Final = "fragment"
"""Query parameter: only the part of the page that changes is wanted."""
LIMIT: Final = 1000
WORDS_LIMIT: Final = 200

_NUMBER: Final = re.compile(r"\d{1,18}")
_DOWNLOADS: Final = "attachment; filename*=UTF-8''{}"


class NoSuchPage(Exception):
    """A person asked for something that is not there."""


class Views:
    """Reads only."""

    def __init__(self, store: Store, publisher: Publisher, senders: Sequence[str]) -> None:
        self._store, self._publisher, self._senders = store, publisher, senders

    async def list_messages(self, request: Request) -> Response:
        """Messages in full, oldest first, from a number or a time on."""
        query = request.query_params
        found = listing.messages(
            self._store,
            channel=_channel(query.get("channel")),
            to=query.get("to"),
            since=_since(query.get("since")),
            limit=_limit(query.get("limit")),
        )
        return JSONResponse({"messages": found, "next": found[-1]["seq"] if found else None})

    async def one_message(self, request: Request) -> Response:
        found = listing.message(self._store, _seq(request))
        if found is None:
            raise Refused(404, "NotFound", "There is no such message.")
        return JSONResponse(found)

    async def overview(self, _request: Request) -> Response:
        """What was sent and how it fared, in numbers."""
        now = time.time()
        latest = listing.newest(self._store, Wanted(), LATEST)
        return JSONResponse(
            {
                **listing.counts(self._store),
                "suppressed": len(suppressions.listed(self._store, now)),
                "reports": self._publisher.standing(now),
                "senders": list(self._senders),
                "latest": [_latest(line) for line in latest],
            }
        )

    async def inbox(self, request: Request) -> Response:
        """The list of messages, newest first."""
        query = request.query_params
        wanted = Wanted(
            channel=query.get("channel") if query.get("channel") in {"email", "sms"} else None,
            to=query.get("to") or None,
            words=query.get("q", "").strip()[:WORDS_LIMIT] or None,
            before=int(query["before"]) if _is_number(query.get("before")) else None,
        )
        lines = listing.newest(self._store, wanted, PAGE + 1)
        standing = self._publisher.standing(time.time())
        if FRAGMENT in query:
            return HTMLResponse(list_content(wanted, lines, standing))
        return HTMLResponse(document("Mailbox", list_body(wanted, lines, standing, self._senders)))

    async def mail(self, request: Request) -> Response:
        """One message, and what became of it."""
        found = self._message(request)
        history = listing.history(self._store, found["id"])
        if FRAGMENT in request.query_params:
            return HTMLResponse(message_content(found, history))
        thread = self._thread(found) if found["channel"] == "sms" else []
        body = message_body(found, history, thread)
        return HTMLResponse(document(found["subject"] or "SMS", body))

    async def html(self, request: Request) -> Response:
        """The HTML of an email, which may neither run scripts nor load anything."""
        found = self._message(request)
        if found["html"] is None:
            raise NoSuchPage("This message has no HTML.")
        images = {
            row["content_id"]: letter.data_url(row["content_type"], row["content"])
            for row in attachments.pictures(self._store, found["seq"])
        }
        return HTMLResponse(letter.shown(found["html"], images), headers=letter.HEADERS)

    async def attachment(self, request: Request) -> Response:
        """An attachment, to be saved and never shown."""
        number = request.path_params["number"]
        row = (
            attachments.attachment(self._store, _seq(request), int(number))
            if _is_number(number)
            else None
        )
        if row is None:
            raise NoSuchPage("There is no such attachment.")
        headers = {
            "Content-Disposition": _DOWNLOADS.format(quote(row["name"], safe="")),
            "Content-Security-Policy": "default-src 'none'; sandbox",
        }
        return Response(row["content"], media_type=row["content_type"], headers=headers)

    async def static(self, request: Request) -> Response:
        path = STATIC / request.path_params["name"]
        if path.parent != STATIC or not path.is_file():
            raise NoSuchPage("There is no such file.")
        return FileResponse(path)

    def _thread(self, message: JsonObject) -> list[sqlite3.Row]:
        return listing.thread(self._store, message["from"], message["to"][0], THREAD)

    def _message(self, request: Request) -> JsonObject:
        found = listing.message(self._store, _seq(request))
        if found is None:
            raise NoSuchPage("There is no such message.")
        return found

    def routes(self) -> list[Route]:
        return [
            Route("/", self.inbox),
            Route("/messages", self.list_messages),
            Route("/messages/{seq}", self.one_message),
            Route("/overview", self.overview),
            Route("/mail/{seq}", self.mail),
            Route("/mail/{seq}/html", self.html),
            Route("/mail/{seq}/attachments/{number}", self.attachment),
            Route("/static/{name}", self.static),
        ]


async def no_such_page(_request: Request, why: Exception) -> Response:
    """The page that says that there is nothing."""
    body = problem(str(why), "See the list of all messages.")
    return HTMLResponse(document("Not found", body), 404)


def _latest(line: Line) -> JsonObject:
    return {
        "seq": line.seq,
        "id": line.id,
        "channel": line.channel,
        "sent_at": line.sent_at,
        "to": [to["address"] for to in line.recipients],
        "title": line.title,
        "status": line.status,
        "url": line.url,
    }


def _is_number(text: str | None) -> bool:
    return text is not None and _NUMBER.fullmatch(text) is not None


def _seq(request: Request) -> int:
    seq = request.path_params["seq"]
    return int(seq) if _is_number(seq) else 0


def _channel(text: str | None) -> str | None:
    if text not in {None, "", "email", "sms"}:
        raise Refused(400, "BadRequest", "channel: email or sms")
    return text or None


def _since(text: str | None) -> int | str:
    """The number of a message, or a time as messages bear it."""
    if text is None or _is_number(text):
        return int(text or 0)
    try:
        at = datetime.fromisoformat(text)
        return iso((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp())
    except (ValueError, OverflowError):
        raise Refused(400, "BadRequest", "since: the seq of a message or an ISO time") from None


def _limit(text: str | None) -> int:
    if text is None:
        return 100
    if not _is_number(text) or not 1 <= int(text) <= LIMIT:
        raise Refused(400, "BadRequest", f"limit: a number from 1 to {LIMIT}")
    return int(text)
