"""Every setting of the product: read once from the environment, checked, secrets unprintable."""

import os
from collections.abc import Mapping
from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr

Seconds = Annotated[float, Field(gt=0)]


def _listed(value: object) -> object:
    return value.split(",") if isinstance(value, str) else value


Waits = Annotated[
    tuple[Annotated[float, Field(ge=0, le=3600)], ...],
    Field(min_length=1, max_length=20),
    BeforeValidator(_listed),
]
"""Seconds between attempts, written as in `1,2,4`."""


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

    erp_wsdl_url: str
    payment_gateway_url: str
    payment_gateway_token_url: str
    payment_gateway_client_id: str
    payment_gateway_client_secret: SecretStr
    payment_gateway_scope: str = "api://payment-gateway/.default"
    shipping_url: str
    shipping_api_key: SecretStr
    partner_timeout_s: Seconds = 5.0
    partner_breaker_faults: Annotated[int, Field(ge=1)] = 5
    partner_breaker_open_s: Seconds = 10.0

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
