"""Reads secrets for Key Vault references, as the app's own managed identity, by Microsoft's SDK."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from localcloud.functions.vault_references import AZURE_SUFFIX, Reference, Status, Unresolved

if TYPE_CHECKING:
    from azure.core.exceptions import HttpResponseError
    from azure.identity import ManagedIdentityCredential
    from azure.keyvault.secrets import SecretClient

VAULT_HERE = "LOCALCLOUD_KEYVAULT_URL"
"""Where every vault of Azure is to be found on this machine."""
CA_FILE = "LOCALCLOUD_CA_FILE"
"""PEM file of the authority that vouches for it."""
PATIENCE: Mapping[str, Any] = {
    "retry_total": 1,
    "retry_backoff_factor": 0.1,
    "connection_timeout": 2,
    "read_timeout": 5,
}


class VaultReader:
    """One credential and a client for each vault, opened when first needed."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self._clients: dict[str, SecretClient] = {}
        self._credential: ManagedIdentityCredential | None = None

    def value(self, reference: Reference) -> str:
        """The secret's value. Raises Unresolved."""
        from azure.core import exceptions  # noqa: PLC0415 - heavy; few apps have references

        if not self._environ.get("IDENTITY_ENDPOINT") or not self._environ.get("IDENTITY_HEADER"):
            raise Unresolved(Status.MSI_NOT_ENABLED, "the app has no managed identity")
        try:
            found = self._client(reference).get_secret(reference.secret, reference.version)
        except exceptions.ClientAuthenticationError as fault:
            raise Unresolved(Status.UNAUTHORISED, type(fault).__name__) from fault
        except exceptions.HttpResponseError as refusal:
            raise _refused(refusal, reference) from refusal
        except (
            exceptions.ServiceRequestTimeoutError,
            exceptions.ServiceResponseTimeoutError,
        ) as fault:
            raise Unresolved(Status.TIMED_OUT, f"{reference.vault} does not answer") from fault
        except exceptions.ServiceRequestError as fault:
            raise Unresolved(Status.VAULT_NOT_FOUND, f"{reference.vault}: {fault}") from fault
        except (exceptions.AzureError, ValueError) as fault:
            raise Unresolved(Status.OTHER, type(fault).__name__) from fault
        if not found.value:
            raise Unresolved(Status.OTHER, "the secret is empty")
        return found.value

    def close(self) -> None:
        """Let go of connections."""
        for client in self._clients.values():
            client.close()
        if self._credential is not None:
            self._credential.close()

    def _client(self, reference: Reference) -> "SecretClient":
        from azure.identity import ManagedIdentityCredential  # noqa: PLC0415
        from azure.keyvault.secrets import SecretClient  # noqa: PLC0415

        here = self._environ.get(VAULT_HERE)
        azure = reference.vault.endswith(AZURE_SUFFIX)
        url = here if here and azure else reference.vault
        if url not in self._clients:
            if self._credential is None:
                self._credential = ManagedIdentityCredential()
            trust = self._environ.get(CA_FILE)
            more = {"connection_verify": trust} if trust else {}
            self._clients[url] = SecretClient(url, self._credential, **PATIENCE, **more)
        return self._clients[url]


def _refused(refusal: "HttpResponseError", reference: Reference) -> Unresolved:
    """What a status means. Key Vault's own words stay out: they name the caller."""
    inner = getattr(refusal.error, "innererror", None)
    code = inner.get("code") if isinstance(inner, dict) else None
    where = f"{reference.secret} in {reference.vault}"
    if code == "SecretDisabled":
        return Unresolved(Status.OTHER, f"{where} is disabled")
    if refusal.status_code == 403:  # noqa: PLR2004 - HTTP's own number
        return Unresolved(Status.ACCESS_DENIED, f"the app's identity may not read {where}")
    if refusal.status_code == 404:  # noqa: PLR2004
        if reference.version is not None:
            return Unresolved(Status.VERSION_NOT_FOUND, f"{where} has no such version")
        return Unresolved(Status.SECRET_NOT_FOUND, f"there is no {where}")
    return Unresolved(Status.OTHER, f"status {refusal.status_code} for {where}")
