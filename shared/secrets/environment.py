"""Secrets that are settings: `shipping-api-key` is the setting SHIPPING_API_KEY."""

from pydantic import SecretStr

from shared.secrets.secret import SecretMissing


class Environment:
    """The secrets among the attributes of `settings`, as they were when the process started.

    On App Service a setting may be a Key Vault reference, which the platform resolves; it starts
    the app anew when the value changes.
    """

    def __init__(self, settings: object) -> None:
        self._settings = settings

    async def fetch(self, name: str) -> str:
        """The setting of that name. Raises SecretMissing."""
        value = getattr(self._settings, name.replace("-", "_"), None)
        if not isinstance(value, SecretStr):
            raise SecretMissing(f"the setting {name.replace('-', '_').upper()} is not set")
        return value.get_secret_value()

    async def close(self) -> None:
        """Nothing is open."""
