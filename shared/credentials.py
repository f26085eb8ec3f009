"""The platform's own identity: what it shows where the settings hold no key or password."""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from azure.core.credentials import AccessToken
    from azure.core.credentials_async import AsyncTokenCredential

POSTGRESQL = "https://ossrdbms-aad.database.windows.net/.default"
REDIS = "https://redis.azure.com/.default"

TOKEN_TIMEOUT_S = 5.0


def _managed_identity() -> "AsyncTokenCredential":
    # A heavy import: whoever has a password does without.
    from azure.identity.aio import DefaultAzureCredential  # noqa: PLC0415

    return DefaultAzureCredential()


class Identity:
    """Tokens of the identity under which this process runs; opened when first needed.

    The credential keeps a token until its last minutes, so that asking costs nothing in between. It
    belongs to the event loop that asks first.
    """

    def __init__(self, opened: "Callable[[], AsyncTokenCredential]" = _managed_identity) -> None:
        self._open = opened
        self._credential: AsyncTokenCredential | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._turn = asyncio.Lock()

    async def token(self, scope: str) -> "AccessToken":
        """A token for `scope` that is good now.

        Those who ask while one is being fetched wait for the same one. Raises
        azure.core.exceptions.AzureError, or TimeoutError after five seconds.
        """
        loop = asyncio.get_running_loop()
        if self._credential is None or self._loop is not loop:
            self._credential, self._loop, self._turn = self._open(), loop, asyncio.Lock()
        async with asyncio.timeout(TOKEN_TIMEOUT_S), self._turn:
            return await self._credential.get_token(scope)

    async def password(self) -> str:
        """What PostgreSQL takes for a password. Raises what `token` does."""
        return (await self.token(POSTGRESQL)).token

    async def close(self) -> None:
        """Let go of the connections; the next use opens new ones."""
        credential, self._credential = self._credential, None
        if credential is not None:
            await credential.close()
