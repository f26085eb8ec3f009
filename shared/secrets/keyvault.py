"""Secrets of an Azure Key Vault."""

import asyncio
import contextlib
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Self

from shared import telemetry
from shared.credentials import Identity
from shared.secrets.secret import SecretMissing, StoreAway

if TYPE_CHECKING:
    from azure.core.credentials import AccessToken
    from azure.core.exceptions import HttpResponseError
    from azure.core.pipeline.transport import AioHttpTransport
    from azure.keyvault.secrets.aio import SecretClient

CONNECT_TIMEOUT_S, READ_TIMEOUT_S = 2, 2
CLOSE_TIMEOUT_S = 2.0
DISABLED = "SecretDisabled"

_log = telemetry.logger(__name__)


class KeyVault:
    """The secrets of the vault at `url`, read as `identity`.

    `ca_file` names a PEM file of private certificate authorities to trust beside the public ones.
    """

    def __init__(self, url: str, identity: Identity, *, ca_file: str | None) -> None:
        self._url, self._credential, self._ca_file = url, _Credential(identity), ca_file
        self._client: SecretClient | None = None
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
        """Close every connection; the next fetch opens new ones."""
        client, self._client = self._client, None
        if client is not None:
            with contextlib.suppress(Exception):
                async with asyncio.timeout(CLOSE_TIMEOUT_S):
                    await client.close()

    def _opened(self) -> "SecretClient":
        loop = asyncio.get_running_loop()
        if self._client is None or self._loop is not loop:
            # A heavy import: a process that reads no secret does not pay for it.
            from azure.keyvault.secrets.aio import SecretClient  # noqa: PLC0415

            self._loop = loop
            self._client = SecretClient(
                self._url,
                self._credential,
                transport=_transport(self._ca_file),
                retry_total=1,
                retry_backoff_factor=0.1,
            )
        return self._client


class _Credential:
    """The platform's identity as the SDK asks for it."""

    def __init__(self, identity: Identity) -> None:
        self._identity = identity

    async def get_token(self, *scopes: str, **_options: object) -> "AccessToken":
        return await self._identity.token(scopes[0])

    async def close(self) -> None:
        """The identity is the composition root's."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_fault: object) -> None:
        """See `close`."""


def _transport(ca_file: str | None) -> "AioHttpTransport":
    """The SDK's transport; its own option would trust the file's authorities alone."""
    import ssl  # noqa: PLC0415 - as all that only a vault needs

    import aiohttp  # noqa: PLC0415
    from azure.core.pipeline.transport import AioHttpTransport  # noqa: PLC0415

    trust = ssl.create_default_context()
    if ca_file is not None:
        trust.load_verify_locations(ca_file)
    session = aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(ssl=trust),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        trust_env=True,
    )
    return AioHttpTransport(
        session=session, connection_timeout=CONNECT_TIMEOUT_S, read_timeout=READ_TIMEOUT_S
    )


def _refused(refusal: "HttpResponseError") -> SecretMissing | StoreAway:
    """What a status means for us. Key Vault's own words stay out: they name the caller."""
    inner = getattr(refusal.error, "innererror", None)
    code = inner.get("code") if isinstance(inner, dict) else None
    if code == DISABLED:
        return SecretMissing("Key Vault holds it disabled")
    if refusal.status_code == 404:  # noqa: PLR2004 - HTTP's own number
        return SecretMissing("Key Vault does not hold it")
    return StoreAway(f"Key Vault: status {refusal.status_code}")
