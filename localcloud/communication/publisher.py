"""Carries delivery reports to Event Grid, each at least once, however long it is away."""

import asyncio
import logging
import sqlite3
import time
from collections.abc import Sequence
from typing import Final

import httpx

from localcloud.partners.store import JsonObject, Store

BATCH: Final = 100
GATHER_S: Final = 0.05
"""How long the first report waits for others, because each request costs far more than a report."""
FIRST_DELAY_S: Final = 0.25
LONGEST_DELAY_S: Final = 5.0
VERSION: Final = {"api-version": "2018-01-01"}
NO_ENDPOINT: Final = "no Event Grid endpoint is set"

_NOT_ACCEPTABLE: Final = frozenset({400, 413, 415, 422})
"""Answers that a repeat of the same request cannot change."""

WAITING = """
    SELECT number, event
    FROM reports
    WHERE received = 1 AND wanted = 1 AND published_at IS NULL AND refusal IS NULL
    ORDER BY number
    LIMIT :limit
"""
PUBLISHED = """
    UPDATE reports
    SET published_at = :at
    WHERE number = :number
"""
REFUSED = """
    UPDATE reports
    SET refusal = :refusal
    WHERE number = :number
"""
HOW_MANY_WAIT = """
    SELECT count(*) AS reports, min(due_at) AS oldest
    FROM reports
    WHERE received = 1 AND wanted = 1 AND published_at IS NULL AND refusal IS NULL
"""
HOW_MANY_PUBLISHED = """
    SELECT count(*) AS reports
    FROM reports
    WHERE published_at IS NOT NULL
"""
HOW_MANY_REFUSED = """
    SELECT count(*) AS reports
    FROM reports
    WHERE refusal IS NOT NULL
"""

log = logging.getLogger(__name__)


class Publisher:
    """The outbox's one reader."""

    def __init__(self, store: Store, url: str | None, key: str) -> None:
        self._store, self._url, self._key = store, url, key
        self._wake = asyncio.Event()
        self._batch, self._delay_s = BATCH, FIRST_DELAY_S
        self._trouble: str | None = None if url else NO_ENDPOINT

    def wake(self) -> None:
        """Look again: a report was received."""
        self._wake.set()

    def standing(self, now: float) -> JsonObject:
        """How many reports wait to be published, for how long, and why."""
        waiting = self._store.rows(HOW_MANY_WAIT, {})[0]
        return {
            "waiting": waiting["reports"],
            "published": self._store.rows(HOW_MANY_PUBLISHED, {})[0]["reports"],
            "refused": self._store.rows(HOW_MANY_REFUSED, {})[0]["reports"],
            "oldest_waiting_s": None
            if not waiting["reports"]
            else round(now - waiting["oldest"], 3),
            "last_error": self._trouble,
        }

    async def run(self) -> None:
        """Publish until cancelled."""
        if self._url is None:
            return
        headers = {"aeg-sas-key": self._key, "Content-Type": "application/json"}
        async with httpx.AsyncClient(headers=headers, timeout=10, trust_env=False) as http:
            while True:
                self._wake.clear()
                rows = self._store.rows(WAITING, {"limit": self._batch})
                if not rows:
                    await self._wake.wait()
                    await asyncio.sleep(GATHER_S)
                elif not await self._publish(http, self._url, rows):
                    await asyncio.sleep(self._delay_s)
                    self._delay_s = min(self._delay_s * 2, LONGEST_DELAY_S)

    async def _publish(
        self, http: httpx.AsyncClient, url: str, rows: Sequence[sqlite3.Row]
    ) -> bool:
        """Whether the next batch may follow at once."""
        body = "[" + ",".join(row["event"] for row in rows) + "]"
        try:
            answer = await http.post(url, content=body, params=VERSION)
        except httpx.HTTPError as error:
            return self._failed(f"{type(error).__name__}: {error}")
        if answer.is_success:
            self._settle(PUBLISHED, [{"number": row["number"], "at": time.time()} for row in rows])
            self._batch, self._delay_s, self._trouble = BATCH, FIRST_DELAY_S, None
            return True
        said = f"HTTP {answer.status_code}: {answer.text[:200]}"
        if answer.status_code not in _NOT_ACCEPTABLE:
            return self._failed(said)
        # One event that is not acceptable must not hold up the others: look for it alone.
        if len(rows) == 1:
            self._settle(REFUSED, [{"number": rows[0]["number"], "refusal": said}])
            log.error("Event Grid refuses a report for good: %s", said)
        self._batch, self._trouble = 1, said
        return True

    def _failed(self, trouble: str) -> bool:
        if trouble != self._trouble:
            log.warning("Event Grid takes no reports; they wait: %s", trouble)
        self._trouble = trouble
        return False

    def _settle(self, statement: str, parameters: Sequence[JsonObject]) -> None:
        with self._store.transaction() as tx:
            tx.executemany(statement, parameters)
