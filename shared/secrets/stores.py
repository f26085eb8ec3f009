"""Which store the settings choose."""

from typing import Literal, Protocol

from shared.credentials import Identity
from shared.secrets.environment import Environment
from shared.secrets.keeping import Store
from shared.secrets.keyvault import KeyVault
from shared.secrets.vault import Vault

type Provider = Literal["environment", "keyvault", "vault"]


class StoreSettings(Protocol):
    """The settings that choose a store; shared.config.Settings has them."""

    @property
    def secrets_provider(self) -> Provider:
        """Which kind of store."""
        ...

    @property
    def key_vault_url(self) -> str | None:
        """Address of the Azure Key Vault."""
        ...

    @property
    def vault_addr(self) -> str | None:
        """Address of the HashiCorp Vault."""
        ...

    @property
    def vault_role(self) -> str | None:
        """The role to sign in with there."""
        ...

    @property
    def trusted_ca_file(self) -> str | None:
        """Private certificate authorities, if there are any."""
        ...


def store_of(settings: StoreSettings, identity: Identity) -> Store:
    """The store of the product's secrets; nothing is called before the first fetch.

    Raises ValueError when the chosen store has no address.
    """
    if settings.secrets_provider == "keyvault":
        if settings.key_vault_url is None:
            raise ValueError("SECRETS_PROVIDER=keyvault needs KEY_VAULT_URL")
        return KeyVault(settings.key_vault_url, identity, ca_file=settings.trusted_ca_file)
    if settings.secrets_provider == "vault":
        if settings.vault_addr is None or settings.vault_role is None:
            raise ValueError("SECRETS_PROVIDER=vault needs VAULT_ADDR and VAULT_ROLE")
        return Vault(settings.vault_addr, settings.vault_role, ca_file=settings.trusted_ca_file)
    return Environment(settings)
