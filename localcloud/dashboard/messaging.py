"""The handlers of the pages of messages, of Event Grid and of the mailbox."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from localcloud.dashboard.addresses import STOPPED, Addresses, Find
from localcloud.dashboard.events_page import EVENTS_PATH, Grid, events_body, events_content
from localcloud.dashboard.hub import Unreadable
from localcloud.dashboard.letters_page import (
    PAGE,
    Letters,
    letter_body,
    letters_body,
    letters_content,
)
from localcloud.dashboard.mail_page import MAIL_PATH, mail_body, mail_content
from localcloud.dashboard.mailboxes import Mailbox
from localcloud.dashboard.markup import Child, Html
from localcloud.dashboard.messages_page import (
    DEAD_PATH,
    SEEN,
    Depth,
    Post,
    Sightings,
    messages_body,
    messages_content,
)
from localcloud.dashboard.neighbours import Neighbour, Silent
from localcloud.dashboard.page import FRAGMENT, document
from localcloud.dashboard.peeking import DEAD_LETTERS, Peeked
from localcloud.dashboard.rejections import read_rejections

_NO_CLOUD = Silent(STOPPED, "`python -m localcloud up` starts everything.")
_HIGHEST = 2**63 - 1


class Messaging:
    """Pages that ask the broker, Event Grid and Communication Services; each may be down."""

    def __init__(self, find: Find) -> None:
        self._find = find
        self._sightings = Sightings()

    async def messages(self, request: Request) -> Response:
        """Every queue and subscription; 503 when the broker does not answer."""
        post = await self._post()
        return _answer(
            request,
            "Messages",
            messages_content(post),
            messages_body(post),
            failed=isinstance(post, str),
        )

    async def _post(self) -> Post | str:
        addresses = await asyncio.to_thread(self._find)
        if addresses is None:
            return STOPPED
        broker = addresses.broker
        try:
            mailboxes = await asyncio.to_thread(broker.mailboxes)
            names = [mailbox.name for mailbox in mailboxes if "/" in mailbox.name]
            filters = await asyncio.to_thread(broker.filters, names)
            scheduled = await asyncio.to_thread(broker.scheduled)
        except OSError as refused:
            return f"The broker does not answer: {refused}"
        changes = self._sightings.changes(mailboxes)
        try:
            depths = await _depths(addresses, mailboxes)
        except OSError as refused:
            return Post(mailboxes, filters, {}, changes, scheduled, str(refused))
        return Post(mailboxes, filters, depths, changes, scheduled)

    async def letters(self, request: Request) -> Response:
        """The dead letters of an entity, or what waits in it; or one of them as a whole."""
        dead = request.url.path.startswith(DEAD_PATH)
        entity = request.query_params.get("entity", "")
        sequence = _number(request, "sequence")
        begin = sequence or _number(request, "begin") or 1
        addresses = await asyncio.to_thread(self._find)
        if addresses is None:
            found: Letters | str = STOPPED
        else:
            found = await _letters(addresses, entity, begin, 1 if sequence else PAGE, dead=dead)
        if sequence and isinstance(found, Letters):
            return _letter(found, sequence)
        title = found.title if isinstance(found, Letters) else f"Messages of {entity}"
        return _answer(
            request,
            title,
            letters_content(found),
            letters_body(found, title),
            failed=isinstance(found, str),
        )

    async def events(self, request: Request) -> Response:
        """Event Grid; 503 when it does not answer."""
        grid = await self.grid()
        body, content = events_body(grid), events_content(grid)
        return _answer(request, "Event Grid", content, body, failed=isinstance(grid, Silent))

    async def grid(self) -> Grid | Silent:
        """What Event Grid says of itself."""
        neighbour = await self._neighbour("eventgrid")
        try:
            overview, dead = await asyncio.gather(
                neighbour.ask("/overview"), neighbour.ask("/dead-letters?limit=50")
            )
        except Silent as why:
            return why
        return Grid(overview, dead.get("dead_letters") or [])

    async def mail(self, request: Request) -> Response:
        """The mailbox; 503 when it does not answer."""
        overview, base = await self.mailbox()
        body, content = mail_body(overview, base), mail_content(overview, base)
        return _answer(request, "Mail and SMS", content, body, failed=isinstance(overview, Silent))

    async def mailbox(self) -> tuple[Mapping[str, Any] | Silent, str | None]:
        """What Communication Services say of themselves, and the address of their own pages."""
        neighbour = await self._neighbour("communication")
        try:
            return await neighbour.ask("/overview"), neighbour.base
        except Silent as why:
            return why, neighbour.base

    async def _neighbour(self, part: str) -> Neighbour:
        addresses = await asyncio.to_thread(self._find)
        if addresses is None:
            return _Nobody(part, part, None)
        return addresses.eventgrid if part == "eventgrid" else addresses.communication


class _Nobody(Neighbour):
    """In place of a part when no cloud runs."""

    async def ask(self, path: str) -> dict[str, Any]:  # noqa: ARG002 - there is nobody
        raise _NO_CLOUD


async def _depths(addresses: Addresses, mailboxes: Sequence[Mailbox]) -> Mapping[str, Depth]:
    filled = [mailbox for mailbox in mailboxes if mailbox.active or mailbox.scheduled]
    if not filled:
        return {}
    seen = await addresses.window.peek_all([mailbox.path for mailbox in filled], limit=SEEN)
    return {
        mailbox.name: Depth.of(messages) for mailbox, messages in zip(filled, seen, strict=True)
    }


async def _letters(
    addresses: Addresses, entity: str, begin: int, limit: int, *, dead: bool
) -> Letters | str:
    try:
        mailboxes = await asyncio.to_thread(addresses.broker.mailboxes)
        known = next((mailbox for mailbox in mailboxes if mailbox.name == entity), None)
        if known is None:
            raise HTTPException(404, f"There is no queue and no subscription “{entity}”.")
        path = known.path + (DEAD_LETTERS if dead else "")
        messages = await addresses.window.peek(path, begin=begin, limit=limit)
    except OSError as refused:
        return f"The broker does not answer: {refused}"
    reasons, trouble = await _reasons(addresses, messages) if dead else ({}, "")
    return Letters(entity, dead, begin, messages, reasons, trouble)


async def _reasons(
    addresses: Addresses, messages: Sequence[Peeked]
) -> tuple[Mapping[str, Sequence[str]], str]:
    if not messages:
        return {}, ""
    try:
        ids = [message.message_id for message in messages]
        return await read_rejections(addresses.platform, ids), ""
    except Unreadable as why:
        return {}, f"The consumers' own reasons cannot be read. {why}"


def _letter(found: Letters, sequence: int) -> Response:
    if not found.messages or found.messages[0].sequence != sequence:
        raise HTTPException(404, f"Message {sequence} is not in {found.entity} any more.")
    body = letter_body(found, found.messages[0])
    return HTMLResponse(document(f"Message {sequence}", *body, room="Messages"))


def _number(request: Request, name: str) -> int:
    """A positive number of the query; 0 when it is not there or none."""
    text = request.query_params.get(name, "")
    digits = text.isascii() and text.isdigit() and len(text) < 20  # noqa: PLR2004 - of 2^63
    return min(int(text), _HIGHEST) if digits else 0


_ROOMS = {EVENTS_PATH: "Event Grid", MAIL_PATH: "Mail"}


def _answer(
    request: Request, title: str, content: Html, body: Sequence[Child], *, failed: bool
) -> Response:
    status = 503 if failed else 200
    if FRAGMENT in request.query_params:
        return HTMLResponse(content, status)
    room = _ROOMS.get(request.url.path, "Messages")
    return HTMLResponse(document(title, *body, room=room), status)
