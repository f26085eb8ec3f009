"""The secrets with which applications prove themselves: two while one is being replaced."""

import hmac
from collections.abc import Sequence
from typing import Final

from localcloud.identity.directory import Application
from localcloud.identity.store import Store

_KNOWN: Final = "SELECT secret FROM client_secrets WHERE client_id = :client_id"
_FORGET: Final = "DELETE FROM client_secrets WHERE client_id = :client_id"
_KEEP: Final = """
    INSERT OR IGNORE INTO client_secrets (client_id, secret)
    VALUES (:client_id, :secret)
"""


class ClientSecrets:
    """What was ordered last for an application; until then the secret of the directory."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def prove(self, client: Application, secret: str) -> bool:
        """Whether this is a secret of the application, which has some."""
        assert client.secret is not None, "a public client proves nothing"
        kept = [row["secret"] for row in self._store.rows(_KNOWN, client_id=client.client_id)]
        return any(
            hmac.compare_digest(secret.encode(), known.encode())
            for known in kept or [client.secret]
        )

    def replace(self, client: Application, secrets: Sequence[str]) -> None:
        """Let these prove the application from now on, and no other; they outlive a restart."""
        with self._store.transaction() as tx:
            tx.execute(_FORGET, {"client_id": client.client_id})
            for secret in secrets:
                tx.execute(_KEEP, {"client_id": client.client_id, "secret": secret})
