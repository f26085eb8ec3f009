"""Every setting of the product: read once from the environment, checked, secrets unprintable."""

import os
from collections.abc import Mapping
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit
from uuid import UUID

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, model_validator

Seconds = Annotated[float, Field(gt=0)]


def _listed(value: object) -> object:
    return value.split(",") if isinstance(value, str) else value


Waits = Annotated[
    tuple[Annotated[float, Field(ge=0, le=3600)], ...],
    Field(min_length=1, max_length=20),
    BeforeValidator(_listed),
]
"""Seconds between attempts, written as in `1,2,4`."""
Identities = Annotated[tuple[UUID, ...], BeforeValidator(_listed)]
"""Object ids, separated by commas."""
Limit = Annotated[int, Field(ge=0)]


_REFERENCE = "@Microsoft.KeyVault("

_NEEDED_WITH: Mapping[str, tuple[str, ...]] = {
    "environment": ("payment_gateway_client_secret", "shipping_api_key"),
    "keyvault": ("key_vault_url",),
    "vault": ("vault_addr", "vault_role"),
}


class Settings(BaseModel):
    """Application settings, named as in the environment but in lower case.

    A missing or wrong setting is a pydantic ValidationError when the process starts.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    pg_url: SecretStr
    pg_read_url: SecretStr | None = None
    pg_pool_max: Annotated[int, Field(ge=1)] = 10
    pg_prepare: bool = True
    redis_url: SecretStr
    service_bus_connection: Annotated[
        SecretStr | None, Field(validation_alias="ServiceBusConnection")
    ] = None
    service_bus_namespace: Annotated[
        str | None, Field(validation_alias="ServiceBusConnection__fullyQualifiedNamespace")
    ] = None
    service_bus_client_id: Annotated[
        str | None, Field(validation_alias="ServiceBusConnection__clientId")
    ] = None

    platform_events_endpoint: str
    platform_events_key: SecretStr | None = None
    communication_connection: Annotated[
        SecretStr | None, Field(validation_alias="CommunicationConnection")
    ] = None
    communication_endpoint: Annotated[
        str | None, Field(validation_alias="CommunicationConnection__endpoint")
    ] = None
    email_sender: str
    sms_sender: Annotated[str, Field(pattern=r"^\+[1-9][0-9]{6,14}$")]
    address_digest_key: SecretStr
    default_time_zone: str = "Europe/Berlin"

    audit_storage: Annotated[SecretStr | None, Field(validation_alias="AuditStorage")] = None
    audit_storage_url: Annotated[
        str | None, Field(validation_alias="AuditStorage__blobServiceUri")
    ] = None
    audit_anchor_key: SecretStr

    auth_clients_issuer: str
    auth_clients_audience: str
    auth_clients_jwks_url: str
    auth_employees_issuer: str
    auth_employees_audience: str
    auth_employees_jwks_url: str
    auth_gateway_issuer: str | None = None
    auth_gateway_audience: str = "api://order-platform"
    auth_gateway_jwks_url: str | None = None
    auth_gateway_identities: Identities = ()
    auth_gateway_only: bool = False
    session_ttl_s: Annotated[int, Field(ge=60)] = 86400
    user_limit_client: Limit = 1000
    user_limit_employee: Limit = 5000
    step_up_max_age_s: Annotated[int, Field(ge=1)] = 300

    erp_wsdl_url: str
    payment_gateway_url: str
    payment_gateway_token_url: str
    payment_gateway_client_id: str
    payment_gateway_client_secret: SecretStr | None = None
    payment_gateway_scope: str = "api://payment-gateway/.default"
    shipping_url: str
    shipping_api_key: SecretStr | None = None
    payment_webhook_key: SecretStr | None = None
    shipping_webhook_key: SecretStr | None = None
    partner_timeout_s: Seconds = 5.0
    partner_breaker_faults: Annotated[int, Field(ge=1)] = 5
    partner_breaker_open_s: Seconds = 10.0

    # Where the product's secrets are: here, or in a vault under names such as `shipping-api-key`.
    secrets_provider: Literal["environment", "keyvault", "vault"] = "environment"
    key_vault_url: Annotated[str | None, Field(pattern="^https://")] = None
    vault_addr: str | None = None
    vault_role: str | None = None
    trusted_ca_file: str | None = None

    reservation_ttl_s: Seconds = 3600.0
    confirmation_window_s: Seconds = 900.0
    saga_waits_s: Waits = (1, 2, 4, 8, 15, 30)
    payment_reconcile_after_s: Seconds = 30.0
    order_currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$")] = "EUR"

    # The Functions host reads these itself (%NAME% in a timer's schedule); they stand here so that
    # a missing one is named at start and not when the first timer is due.
    erp_sync_schedule: str
    outbox_relay_schedule: str
    reservation_expiry_schedule: str
    payment_reconcile_schedule: str
    notification_sending_schedule: str
    notification_digest_schedule: str
    audit_anchor_schedule: str
    audit_partition_schedule: str

    @model_validator(mode="before")
    @classmethod
    def _is_resolved(cls, values: dict[str, str]) -> dict[str, str]:
        """The platform hands on a reference that it cannot resolve; it must not pass for a key."""
        for name, value in values.items():
            if value.startswith(_REFERENCE):
                raise ValueError(f"{name.upper()} is a Key Vault reference that was not resolved")
        return values

    @model_validator(mode="after")
    def _has_its_secrets(self) -> Self:
        provider = self.secrets_provider
        for field in _NEEDED_WITH[provider]:
            if getattr(self, field) is None:
                raise ValueError(f"SECRETS_PROVIDER={provider} needs {field.upper()}")
        return self

    @model_validator(mode="after")
    def _knows_its_gateway(self) -> Self:
        """All of the gateway or nothing: half of it would let in nobody, or anybody."""
        issuer, keys = self.auth_gateway_issuer, self.auth_gateway_jwks_url
        known = [issuer is not None, keys is not None, bool(self.auth_gateway_identities)]
        if any(known) != all(known) or (self.auth_gateway_only and not all(known)):
            needed = "AUTH_GATEWAY_ISSUER, AUTH_GATEWAY_JWKS_URL and AUTH_GATEWAY_IDENTITIES"
            raise ValueError(f"name {needed} together")
        return self

    @property
    def service_bus_address(self) -> str:
        """Where the broker listens, as `sb://host:port` (AMQP over TLS unless emulated)."""
        connection = self.service_bus_connection
        if connection is None:
            return f"sb://{self.service_bus_namespace}:5671"
        parts = dict(
            part.partition("=")[::2] for part in connection.get_secret_value().split(";") if part
        )
        emulated = parts.get("UseDevelopmentEmulator") == "true"
        host = urlsplit(parts["Endpoint"])
        return f"sb://{host.hostname}:{host.port or (5672 if emulated else 5671)}"

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> Self:
        """The settings in `environment` (default: the process's).

        Names are matched without regard to case; an empty value counts as absent.
        """
        source = os.environ if environment is None else environment
        given = {name.casefold(): value for name, value in source.items() if value}
        values = {}
        for field, info in cls.model_fields.items():
            name = info.validation_alias if isinstance(info.validation_alias, str) else field
            if (value := given.get(name.casefold())) is not None:
                values[name] = value
        return cls.model_validate(values)
