"""Webhooks of the partners: signed, kept until taken, sent again with growing pauses."""

import asyncio
import hashlib
import hmac
import json
import logging
import secrets
import sqlite3
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import aiohttp
import click
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from localcloud.partners.store import Store, now
from localcloud.partners.web import Refused, parsed

PAUSES_S = (0.5, 1, 2, 5, 10, 30, 60, 300, 900, 3600)
"""Between attempts; whoever has not taken it after the last has to ask."""
ANSWER_WITHIN_S = 10.0
HELD_S = 30.0
"""How long an event is held back for the answer that may make it superfluous."""
AT_ONCE = 8
LISTED = 1000

SCHEMA = """
    CREATE TABLE IF NOT EXISTS webhooks (
        seq INTEGER PRIMARY KEY AUTOINCREMENT,
        id TEXT NOT NULL UNIQUE,
        type TEXT NOT NULL,
        reference TEXT NOT NULL,
        key TEXT NOT NULL,
        body TEXT NOT NULL,
        status TEXT NOT NULL CHECK (status IN ('held', 'waiting', 'taken', 'given_up')),
        due_at REAL NOT NULL,
        copies INTEGER NOT NULL,
        attempts INTEGER NOT NULL DEFAULT 0,
        answer TEXT
    ) STRICT;
    CREATE INDEX IF NOT EXISTS webhooks_due ON webhooks (due_at)
        WHERE status IN ('held', 'waiting');
    CREATE INDEX IF NOT EXISTS webhooks_held ON webhooks (key) WHERE status = 'held';
"""
INSERT = """
    INSERT INTO webhooks (id, type, reference, key, body, status, due_at, copies)
    VALUES (:id, :type, :reference, :key, :body, :status, :due_at, :copies)
"""
DROP = "DELETE FROM webhooks WHERE key = :key AND status = 'held'"
RELEASE = """
    UPDATE webhooks
    SET status = 'waiting', due_at = :at
    WHERE key = :key AND status = 'held'
"""
AGAIN = """
    UPDATE webhooks
    SET status = 'waiting', due_at = :at, copies = 1, attempts = 0
    WHERE id = :id
"""
DUE = """
    SELECT id, type, body, copies, attempts
    FROM webhooks
    WHERE status IN ('held', 'waiting') AND due_at <= :at
    ORDER BY due_at, seq
    LIMIT :limit
"""
NEXT = "SELECT min(due_at) AS at FROM webhooks WHERE status IN ('held', 'waiting')"
NOTE = """
    UPDATE webhooks
    SET status = :status, due_at = :due_at, attempts = attempts + 1, answer = :answer
    WHERE id = :id
"""
LIST = """
    SELECT id, type, reference, status, attempts, answer
    FROM webhooks
    WHERE :reference IS NULL OR reference = :reference
    ORDER BY seq
    LIMIT :limit
"""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Subscription:
    """Where events go, signed with which key.

    `answered` sends also those that were the answer to a call which the shop has got. Most shops
    have no use for them: they know already.
    """

    url: str
    key: str
    answered: bool = False


class Mischief(BaseModel):
    """What is to go wrong with the next events: sent twice, or `delay_s` late and so overtaken."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    kind: Literal["duplicate", "late"]
    type: str | None = None
    delay_s: Annotated[float, Field(ge=0, le=600)] = 1.0
    times: Annotated[int, Field(ge=1, le=1000)] = 1


def signature(key: str, body: bytes, at: int) -> str:
    """The Webhook-Signature of a body that is sent at that second."""
    digest = hmac.new(key.encode(), f"{at}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={at},v1={digest}"


class Webhooks:
    """The events of one partner. An event is noted in the transaction that makes it happen."""

    def __init__(self, store: Store, subscription: Subscription | None) -> None:
        self._store, self._subscription = store, subscription
        self._news = asyncio.Event()
        self._mischief: list[tuple[Mischief, int]] = []

    def note(
        self, tx: sqlite3.Connection, type_: str, reference: str, key: str = "", **data: Any
    ) -> None:
        """Something happened. With a `key` the shop is about to hear of it in an answer: the event
        is held until `answered` or `release` with that key, for half a minute at most.
        """
        subscription = self._subscription
        if subscription is None:
            return
        held = bool(key) and not subscription.answered
        event_id, copies, delay_s = f"evt_{secrets.token_hex(12)}", 1, HELD_S if held else 0.0
        for mischief in self._due_mischief(type_):
            copies += mischief.kind == "duplicate"
            delay_s += mischief.delay_s if mischief.kind == "late" else 0.0
        event = {
            "id": event_id,
            "type": type_,
            "created_at": now(),
            "data": {"reference": reference, **data},
        }
        tx.execute(
            INSERT,
            {
                "id": event_id,
                "type": type_,
                "reference": reference,
                "key": key,
                "body": json.dumps(event),
                "status": "held" if held else "waiting",
                "due_at": time.time() + delay_s,
                "copies": copies,
            },
        )
        self._news.set()

    def answered(self, key: str) -> None:
        """The shop has the answer under this key: the event says nothing new."""
        if self._subscription is not None and not self._subscription.answered:
            with self._store.transaction() as tx:
                tx.execute(DROP, {"key": key})

    def release(self, key: str) -> None:
        """The shop did not wait for the answer under this key: the event has to tell it."""
        if self._subscription is not None:
            with self._store.transaction() as tx:
                tx.execute(RELEASE, {"key": key, "at": time.time()})
            self._news.set()

    async def run(self) -> None:
        """Send what is due until cancelled."""
        if self._subscription is None:
            return
        timeout = aiohttp.ClientTimeout(total=ANSWER_WITHIN_S)
        async with aiohttp.ClientSession(timeout=timeout) as session:
            while True:
                self._news.clear()
                due = self._store.rows(DUE, {"at": time.time(), "limit": AT_ONCE})
                if due:
                    await asyncio.gather(*(self._send(session, row) for row in due))
                else:
                    await self._wait()

    async def _wait(self) -> None:
        """Return when something is due, or may be."""
        at = self._store.rows(NEXT, {})[0]["at"]
        with suppress(TimeoutError):
            async with asyncio.timeout(None if at is None else max(0.0, at - time.time())):
                await self._news.wait()

    async def _send(self, session: aiohttp.ClientSession, event: sqlite3.Row) -> None:
        answer, taken = "", True
        for _ in range(event["copies"]):
            answer = await self._posted(session, event["body"].encode())
            taken = taken and answer.startswith("2")
        attempts: int = event["attempts"]
        status = "taken" if taken else "waiting" if attempts < len(PAUSES_S) else "given_up"
        pause_s = 0.0 if status != "waiting" else PAUSES_S[attempts]
        if not taken:
            log.info("%s %s was answered %s: %s", event["type"], event["id"], answer, status)
        facts = {"status": status, "due_at": time.time() + pause_s, "answer": answer}
        with self._store.transaction() as tx:
            tx.execute(NOTE, {"id": event["id"], **facts})

    async def _posted(self, session: aiohttp.ClientSession, body: bytes) -> str:
        """The status of the answer, or the kind of fault."""
        assert self._subscription is not None, "somebody listens"
        headers = {
            "Content-Type": "application/json",
            "Webhook-Signature": signature(self._subscription.key, body, int(time.time())),
        }
        url = self._subscription.url
        try:
            async with session.post(url, data=body, headers=headers, allow_redirects=False) as got:
                return str(got.status)
        except (aiohttp.ClientError, TimeoutError) as fault:
            return type(fault).__name__

    def _due_mischief(self, type_: str) -> list[Mischief]:
        due = [m for m, _ in self._mischief if m.type in {None, type_}]
        left = [(m, times - (m in due)) for m, times in self._mischief]
        self._mischief = [(m, times) for m, times in left if times]
        return due

    async def order(self, request: Request) -> Response:
        mischief = await parsed(request, Mischief)
        self._mischief.append((mischief, mischief.times))
        return JSONResponse(mischief.model_dump(), 201)

    async def list(self, request: Request) -> Response:
        only = {"reference": request.query_params.get("reference"), "limit": LISTED}
        return JSONResponse({"webhooks": [dict(row) for row in self._store.rows(LIST, only)]})

    async def resend(self, request: Request) -> Response:
        event_id = request.path_params["event_id"]
        with self._store.transaction() as tx:
            if not tx.execute(AGAIN, {"id": event_id, "at": time.time()}).rowcount:
                raise Refused(404, "not_found", "no such webhook")
        self._news.set()
        return JSONResponse({"id": event_id}, 202)

    def routes(self) -> tuple[BaseRoute, ...]:
        """What a test orders and sees, below /control."""
        return (
            Route("/webhooks", self.order, methods=["POST"]),
            Route("/webhooks", self.list, methods=["GET"]),
            Route("/webhooks/{event_id}/resend", self.resend, methods=["POST"]),
        )


@asynccontextmanager
async def sending(webhooks: Webhooks) -> AsyncIterator[None]:
    """Events go out while the block runs; what is under way when it ends goes out again later."""
    task = asyncio.create_task(webhooks.run())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def options[F: Callable[..., None]](command: F) -> F:
    """The command line's options about webhooks."""
    for option in (
        click.option("--webhook-answered", is_flag=True, help="Send also what was answered."),
        click.option(
            "--webhook-key",
            envvar="LOCALCLOUD_WEBHOOK_KEY",
            default="",
            help="Signs them; of two, separated by a comma, the first.",
        ),
        click.option("--webhook-url", default="", help="Where webhooks go; none are sent without."),
    ):
        command = option(command)
    return command


def subscription(url: str, key: str, *, answered: bool) -> Subscription | None:
    """What the options ask for. Raises click.UsageError for an address without a key."""
    if not url:
        return None
    first = key.partition(",")[0].strip()
    if not first:
        raise click.UsageError("--webhook-url needs a --webhook-key")
    return Subscription(url, first, answered)
