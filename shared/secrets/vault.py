"""Secrets of a HashiCorp Vault: KV version 2, signed in as a Kubernetes service account."""

import asyncio
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from shared.secrets.secret import SecretMissing, StoreAway

if TYPE_CHECKING:
    import hvac

MOUNT, FOLDER, FIELD = "secret", "platform", "value"
"""Secret NAME is the field `value` of `platform/NAME` in the KV store at `secret/`."""
SERVICE_ACCOUNT_TOKEN = Path("/var/run/secrets/kubernetes.io/serviceaccount/token")
TIMEOUT_S = 2


class Vault:
    """The secrets that `role` may read at `address`.

    The service account's token is read anew at each sign-in, because Kubernetes replaces it. The
    client token is used until Vault refuses it; then there is one new sign-in.
    """

    def __init__(
        self,
        address: str,
        role: str,
        *,
        ca_file: str | None,
        account_token: Path = SERVICE_ACCOUNT_TOKEN,
    ) -> None:
        self._address, self._role = address, role
        self._ca_file, self._account_token = ca_file, account_token
        self._client: hvac.Client | None = None
        self._turn = threading.Lock()

    async def fetch(self, name: str) -> str:
        """The latest version's value. Raises SecretMissing or StoreAway."""
        return await asyncio.to_thread(self._fetched, name)

    async def close(self) -> None:
        """Close the client; the next fetch signs in again."""
        await asyncio.to_thread(self._closed)

    def _closed(self) -> None:
        with self._turn:
            self._hang_up()

    def _fetched(self, name: str) -> str:
        import hvac.exceptions  # noqa: PLC0415 - only who reads from Vault pays for it
        import requests  # noqa: PLC0415

        try:
            with self._turn:
                return self._read(name)
        except hvac.exceptions.InvalidPath as refusal:
            raise SecretMissing("Vault does not hold it") from refusal
        except (hvac.exceptions.VaultError, requests.RequestException) as fault:
            raise StoreAway(f"Vault: {type(fault).__name__}") from fault
        except OSError as fault:
            raise StoreAway(f"the service account's token: {fault.strerror}") from fault

    def _read(self, name: str) -> str:
        import hvac.exceptions  # noqa: PLC0415

        signed_in_before = self._client is not None
        try:
            return self._asked(name)
        except hvac.exceptions.Forbidden:
            self._hang_up()
            if not signed_in_before:
                raise
            return self._asked(name)

    def _asked(self, name: str) -> str:
        answer = self._opened().secrets.kv.v2.read_secret_version(
            f"{FOLDER}/{name}", mount_point=MOUNT, raise_on_deleted_version=True
        )
        value = answer["data"]["data"].get(FIELD)
        if not isinstance(value, str) or not value:
            raise SecretMissing(f"Vault holds it without the field {FIELD}")
        return value

    def _opened(self) -> "hvac.Client":
        if self._client is None:
            import hvac  # noqa: PLC0415

            client = hvac.Client(self._address, verify=self._ca_file or True, timeout=TIMEOUT_S)
            try:
                client.auth.kubernetes.login(self._role, self._account_token.read_text().strip())
            except BaseException:
                client.adapter.close()
                raise
            self._client = client
        return self._client

    def _hang_up(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            client.adapter.close()
