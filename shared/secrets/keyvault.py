"""Secrets of an Azure Key Vault."""

import asyncio
import contextlib
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from shared import telemetry
from shared.secrets.secret import SecretMissing, StoreAway

if TYPE_CHECKING:
    from azure.core.credentials_async import AsyncTokenCredential
    from azure.core.exceptions import HttpResponseError
    from azure.keyvault.secrets.aio import SecretClient

PATIENCE = {"retry_total": 1, "retry_backoff_factor": 0.1, "connection_timeout": 2}
READ_TIMEOUT_S = 2
CLOSE_TIMEOUT_S = 2.0
DISABLED = "SecretDisabled"

_log = telemetry.logger(__name__)


class KeyVault:
    """The secrets of the vault at `url`, read with the process's identity.

    `credential` makes the credential when it is first needed; it is closed with the client.
    `ca_file` names a PEM file of certificate authorities to trust instead of the system's.
    """

    def __init__(
        self, url: str, credential: "Callable[[], AsyncTokenCredential]", *, ca_file: str | None
    ) -> None:
        self._url, self._identity, self._ca_file = url, credential, ca_file
        self._client: SecretClient | None = None
        self._credential: AsyncTokenCredential | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    async def fetch(self, name: str) -> str:
        """The latest version's value. Raises SecretMissing or StoreAway.

        Key Vault also hands out what has expired (learn.microsoft.com/azure/key-vault/secrets/
        about-secrets, "Date-time controlled operations"); it is used, and said in the log.
        """
        from azure.core.exceptions import AzureError, HttpResponseError  # noqa: PLC0415

        try:
            found = await self._opened().get_secret(name)
        except HttpResponseError as refusal:
            raise _refused(refusal) from refusal
        except AzureError as fault:
            raise StoreAway(f"Key Vault: {type(fault).__name__}") from fault
        expires = found.properties.expires_on
        if expires is not None and expires <= datetime.now(UTC):
            _log.warning("secret %s has expired: rotate it", name)
        if not found.value:
            raise SecretMissing("Key Vault holds it without a value")
        return found.value

    async def close(self) -> None:
        """Close the client and the credential; the next fetch opens new ones."""
        client, self._client = self._client, None
        credential, self._credential = self._credential, None
        for open_thing in (client, credential):
            if open_thing is not None:
                with contextlib.suppress(Exception):
                    async with asyncio.timeout(CLOSE_TIMEOUT_S):
                        await open_thing.close()

    def _opened(self) -> "SecretClient":
        loop = asyncio.get_running_loop()
        if self._client is None or self._loop is not loop:
            # A heavy import: a process that reads no secret does not pay for it.
            from azure.keyvault.secrets.aio import SecretClient  # noqa: PLC0415

            trust: dict[str, Any] = {"connection_verify": self._ca_file} if self._ca_file else {}
            self._credential, self._loop = self._identity(), loop
            self._client = SecretClient(
                self._url, self._credential, read_timeout=READ_TIMEOUT_S, **PATIENCE, **trust
            )
        return self._client


def _refused(refusal: "HttpResponseError") -> SecretMissing | StoreAway:
    """What a status means for us. Key Vault's own words stay out: they name the caller."""
    inner = getattr(refusal.error, "innererror", None)
    code = inner.get("code") if isinstance(inner, dict) else None
    if code == DISABLED:
        return SecretMissing("Key Vault holds it disabled")
    if refusal.status_code == 404:  # noqa: PLR2004 - HTTP's own number
        return SecretMissing("Key Vault does not hold it")
    return StoreAway(f"Key Vault: status {refusal.status_code}")
