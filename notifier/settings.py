"""Every setting of the notifier: read once from its environment, checked, secrets unprintable."""

import os
from collections.abc import Mapping
from typing import Annotated, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr

from shared.auth import TrustedIssuer

Seconds = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]


def _listed(value: object) -> object:
    if isinstance(value, str):
        return tuple(item.strip() for item in value.split(",") if item.strip())
    return value


Origin = Annotated[str, Field(pattern=r"^https?://[A-Za-z0-9.\-]+(:[0-9]{1,5})?$")]
Origins = Annotated[tuple[Origin, ...], BeforeValidator(_listed)]
"""Written as in `https://shop.example,https://staff.example`."""


class Settings(BaseModel):
    """Settings, named as in the environment but in lower case.

    A missing or wrong setting is a pydantic ValidationError when the process starts.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    redis_url: SecretStr
    auth_clients_issuer: str
    auth_clients_audience: str
    auth_clients_jwks_url: str
    auth_employees_issuer: str
    auth_employees_audience: str
    auth_employees_jwks_url: str

    notifier_host: str = "127.0.0.1"
    notifier_port: Annotated[int, Field(ge=0, le=65535)] = 7100
    notifier_public_origin: Origin | None = None
    notifier_public_path: Annotated[str, Field(pattern=r"^(/[A-Za-z0-9._~\-]+)+$")] = (
        "/notifications"
    )
    notifier_trust_forwarded: bool = False
    notifier_allowed_origins: Origins = ()

    notifier_heartbeat_s: Seconds = 15.0
    notifier_client_timeout_s: Seconds = 30.0
    notifier_handshake_s: Seconds = 15.0
    notifier_poll_s: Seconds = 25.0
    notifier_drain_s: Annotated[float, Field(ge=0)] = 5.0
    notifier_close_s: Seconds = 5.0
    notifier_resync_spread_s: Annotated[float, Field(ge=0)] = 5.0

    notifier_connections_max: Count = 5000
    notifier_connections_per_person: Count = 10
    notifier_queue_messages: Count = 256
    notifier_queue_bytes: Annotated[int, Field(ge=64 * 1024)] = 128 * 1024
    notifier_watched_orders: Count = 50
    notifier_messages_per_s: Count = 20
    notifier_messages_burst: Count = 100

    @property
    def issuers(self) -> tuple[TrustedIssuer, ...]:
        """The two tenants whose tokens are accepted."""
        return (
            TrustedIssuer(
                "client",
                self.auth_clients_issuer,
                self.auth_clients_audience,
                self.auth_clients_jwks_url,
            ),
            TrustedIssuer(
                "employee",
                self.auth_employees_issuer,
                self.auth_employees_audience,
                self.auth_employees_jwks_url,
            ),
        )

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> Self:
        """The settings in `environment` (default: the process's); an empty value is none."""
        source = os.environ if environment is None else environment
        names = {field: field.upper() for field in cls.model_fields}
        return cls.model_validate(
            {field: source[name] for field, name in names.items() if source.get(name)}
        )
