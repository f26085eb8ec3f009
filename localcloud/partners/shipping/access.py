"""Who may call the provider: the API keys in force, two while one is being replaced."""

import hmac
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from starlette.requests import Request
from starlette.responses import Response

from localcloud.partners.store import Store
from localcloud.partners.web import Refused, parsed

SCHEMA = """
    CREATE TABLE IF NOT EXISTS api_keys (
        key TEXT PRIMARY KEY
    ) STRICT;
"""
IN_FORCE = """
    SELECT key
    FROM api_keys
    ORDER BY key
"""

ApiKey = Annotated[str, StringConstraints(min_length=8, max_length=200)]


class KeysInForce(BaseModel):
    """What the provider's portal is told: from now on these keys, and no other."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    keys: Annotated[list[ApiKey], Field(min_length=1, max_length=2)]


class ApiKeys:
    """The keys that were ordered last; until then the one `given` at the start."""

    def __init__(self, store: Store, given: str) -> None:
        self._store = store
        ordered = [row["key"] for row in store.rows(IN_FORCE, {})]
        self._keys = ordered or [given]

    def check(self, request: Request) -> None:
        """Return if the request bears a key in force. Raises Refused 401."""
        key = request.headers.get("x-api-key", "").encode()
        if not any(hmac.compare_digest(key, known.encode()) for known in self._keys):
            raise Refused(
                401,
                "api_key_invalid",
                "send the right X-Api-Key",
                headers={"WWW-Authenticate": 'ApiKey realm="shipping"'},
            )

    async def replace(self, request: Request) -> Response:
        """Put the keys in force that the body lists; they outlive a restart."""
        ordered = await parsed(request, KeysInForce)
        with self._store.transaction() as tx:
            tx.execute("DELETE FROM api_keys")
            tx.executemany(
                "INSERT OR IGNORE INTO api_keys (key) VALUES (?)", [(key,) for key in ordered.keys]
            )
        self._keys = ordered.keys
        return Response(status_code=204)
