"""Writes given-up events to blobs, some minutes later and several in one, as Azure does.

Source: https://learn.microsoft.com/azure/event-grid/delivery-and-retry (dead-letter events)
"""

import asyncio
import contextlib
import json
import logging
import sqlite3
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import groupby
from typing import TYPE_CHECKING, Any, Final

from localcloud.eventgrid import schema
from localcloud.eventgrid.courier import KEEP_SETTLED, LONGEST_NAP_S, STORE_TROUBLE_S
from localcloud.eventgrid.events import iso
from localcloud.eventgrid.pace import DEAD_LETTER_RETRY_S, DEAD_LETTER_WITHIN_S, Pace
from localcloud.eventgrid.store import Store

if TYPE_CHECKING:
    from azure.storage.blob.aio import BlobServiceClient

MAX_PER_BLOB: Final = 100

BODIES = """
    SELECT seq, body, reason, outcome, attempts, published_at, attempted_at
    FROM dead_letters
    WHERE seq = :seq
"""

log = logging.getLogger(__name__)


class DeadLetters:
    """The one writer of dead-letter blobs."""

    def __init__(self, store: Store, connection_string: str | None, pace: Pace) -> None:
        self._store, self._pace = store, pace
        self._connection_string = connection_string
        self._client: BlobServiceClient | None = None

    async def run(self) -> None:
        """Write until cancelled."""
        while True:
            try:
                nap_s = await self._round()
            except sqlite3.Error:
                log.exception("dead letters cannot be read or booked")
                nap_s = STORE_TROUBLE_S
            await asyncio.sleep(nap_s)

    async def _round(self) -> float:
        """Write what is due. Seconds until there may be more."""
        now = time.time()
        rows = self._store.rows(schema.DEAD, {"now": now, "limit": MAX_PER_BLOB})
        by_subscription = sorted(rows, key=lambda row: (row["subscription"], row["seq"]))
        for _, group in groupby(by_subscription, key=lambda row: row["subscription"]):
            await self._write(list(group), now)
        return 0 if len(rows) == MAX_PER_BLOB else self._nap()

    async def close(self) -> None:
        if self._client is not None:
            await self._client.close()

    def _nap(self) -> float:
        """What is given up from now on is not due before its delay."""
        due_at = self._store.row(schema.NEXT_DEAD, {})["due_at"]
        longest = min(self._pace.scaled(DEAD_LETTER_RETRY_S), LONGEST_NAP_S)
        return longest if due_at is None else max(min(due_at - time.time(), longest), 0.005)

    async def _write(self, rows: Sequence[sqlite3.Row], now: float) -> None:
        first = rows[0]
        at = datetime.fromtimestamp(now, UTC)
        folder = f"{first['topic']}/{first['name']}"
        blob = f"{folder}/{at.year}/{at.month}/{at.day}/{at.hour}/{first['guid']}.json"
        letters = [self._letter(row["seq"]) for row in rows]
        # Heavy imports: a grid without dead letters does without them.
        from azure.core.exceptions import AzureError  # noqa: PLC0415

        try:
            await self._upload(first["container"], blob, json.dumps(letters, indent=2))
        except (AzureError, OSError, ValueError) as error:
            log.warning("dead letters of %s wait: %s", folder, str(error).partition("\n")[0])
            await self._store.write(lambda tx: self._postpone(tx, rows, now))
            return
        path = f"{first['container']}/{blob}"

        def written(tx: sqlite3.Connection) -> None:
            entries = [{"seq": row["seq"], "status": "written", "blob": path} for row in rows]
            tx.executemany(schema.WRITTEN, entries)
            counted = {"subscription": first["subscription"], "events": len(rows)}
            tx.execute(schema.COUNT_DEAD, counted)
            tx.execute(schema.FORGET_OLD_DEAD, {"keep": KEEP_SETTLED})

        await self._store.write(written)

    def _postpone(self, tx: sqlite3.Connection, rows: Sequence[sqlite3.Row], now: float) -> None:
        """Storage that is away for hours means that the events are dropped."""
        limit = now - self._pace.scaled(DEAD_LETTER_WITHIN_S)
        for row in rows:
            if row["given_up_at"] < limit:
                tx.execute(schema.WRITTEN, {"seq": row["seq"], "status": "dropped", "blob": None})
                tx.execute(schema.COUNT_DROPPED, {"subscription": row["subscription"], "events": 1})
            else:
                due_at = now + self._pace.scaled(DEAD_LETTER_RETRY_S)
                tx.execute(schema.DEAD_LATER, {"seq": row["seq"], "due_at": due_at})

    async def _upload(self, container: str, blob: str, text: str) -> None:
        """Overwrites: after a crash the same blob is written again."""
        from azure.core.exceptions import AzureError, ResourceNotFoundError  # noqa: PLC0415
        from azure.storage.blob.aio import BlobServiceClient  # noqa: PLC0415

        if self._client is None:
            if self._connection_string is None:
                raise ValueError("no storage account is set")
            self._client = BlobServiceClient.from_connection_string(
                self._connection_string, retry_total=1
            )
        client = self._client.get_container_client(container)
        try:
            await client.upload_blob(blob, text, overwrite=True)
        except ResourceNotFoundError:
            with contextlib.suppress(AzureError):
                await client.create_container()
            await client.upload_blob(blob, text, overwrite=True)

    def _letter(self, seq: int) -> dict[str, Any]:
        row = self._store.row(BODIES, {"seq": seq})
        body: dict[str, Any] = json.loads(row["body"])
        facts = {
            "deadLetterReason": row["reason"],
            "deliveryAttempts": row["attempts"],
            "lastDeliveryOutcome": row["outcome"],
            "publishTime": iso(row["published_at"]),
            "lastDeliveryAttemptTime": iso(row["attempted_at"]),
        }
        if "specversion" in body:
            facts = {name.lower(): value for name, value in facts.items()}
        return body | {name: value for name, value in facts.items() if value is not None}
