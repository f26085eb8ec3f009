"""The keyless profile: the product opens every store as itself, by tokens over TLS, as in Azure."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final
from urllib.parse import quote

from localcloud import pki, ports
from localcloud.identity.directory import WORKLOADS, Workload
from localcloud.pki import CA, Certificate
from localcloud.ports import HOST
from localcloud.storage import azurite

AMQPS_PORT: Final = 5671
"""The SDK speaks TLS on this port alone, whatever the namespace's name says."""

_KEYS: Final = frozenset(
    {
        *("ServiceBusConnection", "AzureWebJobsStorage", "AuditStorage"),
        *("PLATFORM_EVENTS_KEY", "CommunicationConnection"),
        # These are in the vault, where the product looks for them.
        *("PAYMENT_GATEWAY_CLIENT_SECRET", "SHIPPING_API_KEY"),
        *("PAYMENT_WEBHOOK_KEY", "SHIPPING_WEBHOOK_KEY"),
    }
)
"""Settings that hold a key, which have no place here."""

_REFERRED: Final = {
    "ADDRESS_DIGEST_KEY": "address-digest-key",
    "AUDIT_ANCHOR_KEY": "audit-anchor-key",
}
"""Settings that are references to secrets in the vault, which the host resolves."""


def broker_host() -> str:
    """The first loopback address whose port of AMQP over TLS is free: several clouds run at once.

    OSError when none is free.
    """
    for number in range(1, 255):
        host = f"127.0.0.{number}"
        if ports.is_free(AMQPS_PORT, host):
            return host
    raise OSError(f"port {AMQPS_PORT} is taken on every loopback address")


def certificate(state: Path, broker: str) -> Certificate:
    """What every TLS port of this cloud shows. OSError when the state cannot be written to."""
    return authority(state).certificate("local", list(dict.fromkeys(("localhost", HOST, broker))))


def authority(state: Path) -> CA:
    """Whom the product trusts."""
    return pki.authority(state)


def application_settings(
    given: Mapping[str, str], at: Mapping[str, int], trusted: Path, broker: str, identity: str
) -> dict[str, str]:
    """The settings of the application without a key or password to a store.

    `identity` is the base address of the identity; the product trusts the authority in `trusted`.
    """
    kept = {name: value for name, value in given.items() if name not in _KEYS}
    database = (
        f"postgresql://platform_app@{HOST}:{at['postgres-tls']}/platform"
        f"?sslmode=verify-full&sslrootcert={quote(str(trusted), safe='')}"
    )
    blobs, queues = (azurite.endpoint(at, service, "https") for service in ("blob", "queue"))
    return (
        kept
        | identity_settings(WORKLOADS["platform"], identity)
        | {
            "PG_URL": database,
            "PG_READ_URL": database,
            "REDIS_URL": redis_url(at, trusted),
            "ServiceBusConnection__fullyQualifiedNamespace": broker,
            "PLATFORM_EVENTS_ENDPOINT": (
                f"https://{HOST}:{at['eventgrid-tls']}/platform-events/api/events"
            ),
            "CommunicationConnection__endpoint": f"https://{HOST}:{at['communication-tls']}",
            "AzureWebJobsStorage__blobServiceUri": blobs,
            "AzureWebJobsStorage__queueServiceUri": queues,
            "AuditStorage__blobServiceUri": blobs,
            "TRUSTED_CA_FILE": str(trusted),
        }
        | {
            name: f"@Microsoft.KeyVault(VaultName=local;SecretName={secret})"
            for name, secret in _REFERRED.items()
        }
    )


def vault_secrets(given: Mapping[str, str]) -> dict[str, str]:
    """What the vault holds at first of the application's settings as they usually are."""
    return {secret: given[name] for name, secret in _REFERRED.items()}


def redis_url(at: Mapping[str, int], trusted: Path) -> str:
    """Where Redis is, by a door that wants a token."""
    path = quote(str(trusted), safe="")
    return f"rediss://{HOST}:{at['valkey-tls']}/0?ssl_ca_certs={path}"


def identity_settings(workload: Workload, identity: str) -> dict[str, str]:
    """What App Service tells a workload of its managed identity."""
    return {"IDENTITY_ENDPOINT": f"{identity}/msi/token", "IDENTITY_HEADER": workload.header}
