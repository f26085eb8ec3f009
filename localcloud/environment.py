"""The settings of the deployed application, with values that point at the local cloud."""

from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

from localcloud.identity import directory
from localcloud.ports import HOST
from localcloud.state import Secrets
from localcloud.storage import azurite

PAYMENT_SCOPE = f"{directory.PAYMENT_GATEWAY.identifier}/.default"
SHIPPING_API_KEY = "local-shipping-key"
PAYMENT_WEBHOOK_KEY = "local-payment-webhook-key"
SHIPPING_WEBHOOK_KEY = "local-shipping-webhook-key"
APPLICATION = "platform_app"
"""The database role of the application, which owns nothing; migrations run as the owner."""

FIXED: Mapping[str, str] = {
    "FUNCTIONS_WORKER_RUNTIME": "python",
    "PG_POOL_MAX": "10",
    "PG_PREPARE": "true",
    "SECRETS_PROVIDER": "environment",
    "PARTNER_TIMEOUT_S": "5",
    "PARTNER_BREAKER_FAULTS": "5",
    "PARTNER_BREAKER_OPEN_S": "10",
    "ERP_SYNC_SCHEDULE": "0 0 * * * *",
    "OUTBOX_RELAY_SCHEDULE": "*/5 * * * * *",
    "RESERVATION_EXPIRY_SCHEDULE": "0 * * * * *",
    "PAYMENT_RECONCILE_SCHEDULE": "*/30 * * * * *",
    "NOTIFICATION_SENDING_SCHEDULE": "*/5 * * * * *",
    "NOTIFICATION_DIGEST_SCHEDULE": "0 */5 * * * *",
    "AUDIT_ANCHOR_SCHEDULE": "0 10 0 * * *",
    "AUDIT_PARTITION_SCHEDULE": "0 0 3 * * *",
    "EMAIL_SENDER": "orders@shop.example",
    "SMS_SENDER": "+4915000000000",
    "DEFAULT_TIME_ZONE": "Europe/Berlin",
    "RESERVATION_TTL_S": "3600",
    "CONFIRMATION_WINDOW_S": "900",
    "SAGA_WAITS_S": "1,2,4,8,15,30",
    "PAYMENT_RECONCILE_AFTER_S": "30",
    "ORDER_CURRENCY": "EUR",
    "AUTH_GATEWAY_AUDIENCE": "api://order-platform",
    "AUTH_GATEWAY_ONLY": "false",
    "SESSION_TTL_S": "86400",
    "USER_LIMIT_CLIENT": "1000",
    "USER_LIMIT_EMPLOYEE": "5000",
    "STEP_UP_MAX_AGE_S": "300",
}
"""Settings that are the same on every laptop. Schedules are NCRONTAB: seconds first."""


def url(ports: Mapping[str, int], part: str) -> str:
    """Where an HTTP part answers, without a trailing slash."""
    return f"http://{HOST}:{ports[part]}"


def database_url(
    ports: Mapping[str, int],
    database: str,
    password: str,
    sockets: Path | None = None,
    *,
    role: str | None = None,
) -> str:
    """The address of one database, opened as `role`: by default its owner, who bears its name.

    Over TCP, or over the Unix socket in the folder `sockets`.
    """
    port, user = ports["postgres"], role or database
    if sockets is None:
        return f"postgresql://{user}:{password}@{HOST}:{port}/{database}"
    folder = quote(str(sockets), safe="")
    return f"postgresql://{user}:{password}@/{database}?host={folder}&port={port}"


def event_grid(ports: Mapping[str, int], topic: str) -> str:
    """Where an Event Grid topic takes events, version of the API included."""
    return f"{url(ports, 'eventgrid')}/{topic}/api/events?api-version=2018-01-01"


def service_bus(ports: Mapping[str, int], secrets: Secrets) -> str:
    """The broker's connection string, with every right."""
    return (
        f"Endpoint=sb://{HOST}:{ports['servicebus']};"
        "SharedAccessKeyName=RootManageSharedAccessKey;"
        f"SharedAccessKey={secrets.servicebus};UseDevelopmentEmulator=true;"
    )


def application_settings(
    ports: Mapping[str, int], secrets: Secrets, sockets: Path | None = None
) -> dict[str, str]:
    """Every setting that the deployed application reads; the names are those used in Azure.

    `sockets` is the folder of the database's Unix socket, if it has one.
    """
    identity = url(ports, "identity")
    employees = f"{identity}/{directory.EMPLOYEES.id}"
    clients = f"{identity}/{directory.CLIENTS.id}"
    database = database_url(ports, "platform", secrets.platform_app, sockets, role=APPLICATION)
    return {
        **FIXED,
        "AzureWebJobsStorage": azurite.connection_string(ports),
        "PG_URL": database,
        "PG_READ_URL": database,
        "REDIS_URL": f"redis://{HOST}:{ports['valkey']}/0",
        "ServiceBusConnection": service_bus(ports, secrets),
        "PLATFORM_EVENTS_ENDPOINT": f"{url(ports, 'eventgrid')}/platform-events/api/events",
        "PLATFORM_EVENTS_KEY": secrets.eventgrid,
        "CommunicationConnection": (
            f"endpoint={url(ports, 'communication')}/;accesskey={secrets.communication}"
        ),
        "ADDRESS_DIGEST_KEY": secrets.address_digest,
        "AuditStorage": azurite.connection_string(ports),
        "AUDIT_ANCHOR_KEY": secrets.audit_anchor,
        "AUTH_EMPLOYEES_ISSUER": f"{employees}/v2.0",
        "AUTH_EMPLOYEES_AUDIENCE": directory.EMPLOYEES_API.audience,
        "AUTH_EMPLOYEES_JWKS_URL": f"{employees}/discovery/v2.0/keys",
        "AUTH_CLIENTS_ISSUER": f"{clients}/v2.0",
        "AUTH_CLIENTS_AUDIENCE": directory.CLIENTS_API.audience,
        "AUTH_CLIENTS_JWKS_URL": f"{clients}/discovery/v2.0/keys",
        "AUTH_GATEWAY_ISSUER": f"{employees}/v2.0",
        "AUTH_GATEWAY_JWKS_URL": f"{employees}/discovery/v2.0/keys",
        "AUTH_GATEWAY_IDENTITIES": directory.WORKLOADS["gateway"].object_id,
        "ERP_WSDL_URL": f"{url(ports, 'erp')}/erp?wsdl",
        "PAYMENT_GATEWAY_URL": url(ports, "payment"),
        "PAYMENT_GATEWAY_TOKEN_URL": f"{employees}/oauth2/v2.0/token",
        "PAYMENT_GATEWAY_CLIENT_ID": directory.PAYMENT_CLIENT.client_id,
        "PAYMENT_GATEWAY_CLIENT_SECRET": directory.PAYMENT_CLIENT_SECRET,
        "PAYMENT_GATEWAY_SCOPE": PAYMENT_SCOPE,
        "SHIPPING_URL": url(ports, "shipping"),
        "SHIPPING_API_KEY": SHIPPING_API_KEY,
        "PAYMENT_WEBHOOK_KEY": PAYMENT_WEBHOOK_KEY,
        "SHIPPING_WEBHOOK_KEY": SHIPPING_WEBHOOK_KEY,
    }


def gateways(ports: Mapping[str, int]) -> dict[str, str]:
    """The addresses at which clients and employees find the platform."""
    external, internal = url(ports, "gateway-external"), url(ports, "gateway-internal")
    return {
        "clients": f"{external}/external-api/v1",
        "employees": f"{internal}/internal-api/v1",
    }


def gateway_settings(ports: Mapping[str, int]) -> dict[str, str]:
    """What the gateway reads from its environment: where its limits are kept, and who it is."""
    return {
        "REDIS_URL": f"redis://{HOST}:{ports['valkey']}/1",
        "IDENTITY_ENDPOINT": f"{url(ports, 'identity')}/msi/token",
        "IDENTITY_HEADER": directory.WORKLOADS["gateway"].header,
    }


def vault_secrets() -> dict[str, str]:
    """What the vault holds at first: the secrets that partners know."""
    return {
        "shipping-api-key": SHIPPING_API_KEY,
        "payment-gateway-client-secret": directory.PAYMENT_CLIENT_SECRET,
        "payment-webhook-key": PAYMENT_WEBHOOK_KEY,
        "shipping-webhook-key": SHIPPING_WEBHOOK_KEY,
    }


def vault_settings(ports: Mapping[str, int], state: Path) -> dict[str, str]:
    """The application's settings when its secrets are in the vault, and its host's.

    `state` is the folder of the certificate authority.
    """
    from localcloud import pki  # noqa: PLC0415 - makes certificates, which few callers need

    vault, authority = f"https://{HOST}:{ports['keyvault']}", str(pki.authority(state).file)
    return {
        "IDENTITY_ENDPOINT": f"{url(ports, 'identity')}/msi/token",
        "IDENTITY_HEADER": directory.WORKLOADS["platform"].header,
        "SECRETS_PROVIDER": "keyvault",
        "KEY_VAULT_URL": vault,
        "TRUSTED_CA_FILE": authority,
        "LOCALCLOUD_KEYVAULT_URL": vault,
        "LOCALCLOUD_CA_FILE": authority,
    }


def notifier_settings(ports: Mapping[str, int], application: Mapping[str, str]) -> dict[str, str]:
    """The settings of the notifier: the application's, as far as it reads them, and its address."""
    shared = {
        name: value
        for name, value in application.items()
        if name == "REDIS_URL" or name.startswith("AUTH_")
    }
    # The few clients of a laptop need not be spread over seconds when it stops.
    return shared | {
        "NOTIFIER_HOST": HOST,
        "NOTIFIER_PORT": str(ports["notifier"]),
        "NOTIFIER_DRAIN_S": "0.2",
        "NOTIFIER_TRUST_FORWARDED": "true",  # the gateway says where it shows the notifier
    }


def host_settings(
    ports: Mapping[str, int], secrets: Secrets, sockets: Path | None = None
) -> dict[str, str]:
    """What the local Functions host needs for itself; no deployed code reads it."""
    return {"LOCALCLOUD_DURABLE_PG_URL": database_url(ports, "durable", secrets.durable, sockets)}
