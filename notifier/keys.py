"""Whether the issuers' signing keys could be read: before that nobody can be let in."""

import asyncio
import time
from collections.abc import Iterable, Mapping
from typing import Any

from shared import telemetry
from shared.auth.keys import fetch_json

RETRY_S = 2.0

_log = telemetry.logger(__name__)


class Keys:
    """Fetches key sets for the authenticator and remembers which it has seen."""

    def __init__(self, urls: Iterable[str]) -> None:
        self._unseen = set(urls)

    @property
    def ready(self) -> bool:
        """Whether every issuer's keys could be fetched once."""
        return not self._unseen

    async def fetch(self, url: str) -> Mapping[str, Any]:
        """The key set at `url`; raises what fetching it does."""
        document = await fetch_json(url)
        self._unseen.discard(url)
        return document

    async def look_until_ready(self) -> None:
        """Try all that have not been seen, until they have."""
        began = time.monotonic()
        while self._unseen:
            for url in list(self._unseen):
                try:
                    await self.fetch(url)
                except Exception as fault:  # noqa: BLE001 - whatever it is, it is tried again
                    _log.warning("no signing keys yet: %s", type(fault).__qualname__)
            if self._unseen:
                await asyncio.sleep(RETRY_S)
        _log.info("signing keys seen after %.1f s", time.monotonic() - began)
