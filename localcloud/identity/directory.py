"""Who and what the two tenants know: APIs, applications, workloads, groups and demo people."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Kind = Literal["employees", "clients"]

DEMO_PASSWORD = "demo"  # noqa: S105 - printed on the first screen; it opens nothing but the demo
PAYMENT_CLIENT_SECRET = "local-payment-client-secret"  # noqa: S105 - the same on every laptop


@dataclass(frozen=True)
class Tenant:
    """A directory of its own: its id stands in the issuer, its key signs nobody else's tokens."""

    kind: Kind
    id: str


@dataclass(frozen=True)
class Api:
    """Something that tokens are for.

    `identifier` is what a scope starts with, `audience` what the `aud` claim says.
    """

    identifier: str
    audience: str
    scopes: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Application:
    """Something that asks for tokens; without a secret it is a public client."""

    client_id: str
    object_id: str
    name: str
    tenant: Kind
    secret: str | None = None
    federated: frozenset[str] = frozenset()
    """Object ids of managed identities whose tokens it may show in place of its secret."""
    delegated: frozenset[str] = frozenset()
    app_roles: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """API identifier → roles that the application itself holds there."""


@dataclass(frozen=True)
class Person:
    """A demo person; `oid` is the same in every token, whichever application asked."""

    key: str
    name: str
    username: str
    oid: str
    tenant: Kind
    roles: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    """Object ids of the groups that the person belongs to."""


@dataclass(frozen=True)
class Workload:
    """Something that runs in the cloud and has a managed identity.

    `header` is the secret that App Service puts into IDENTITY_HEADER; it opens nothing but this
    machine's stand-ins, so it is the same on every laptop.
    """

    name: str
    object_id: str
    client_id: str
    header: str
    roles: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Resource → names of the Azure roles that the identity holds there."""


EMPLOYEES = Tenant("employees", "11111111-1111-4111-8111-111111111111")
CLIENTS = Tenant("clients", "22222222-2222-4222-8222-222222222222")
TENANTS: Mapping[str, Tenant] = {tenant.id: tenant for tenant in (EMPLOYEES, CLIENTS)}

EMPLOYEES_API = Api(
    "api://33333333-3333-4333-8333-333333333333",
    "33333333-3333-4333-8333-333333333333",
    frozenset({"employee.access"}),
)
CLIENTS_API = Api(
    "api://44444444-4444-4444-8444-444444444444",
    "44444444-4444-4444-8444-444444444444",
    frozenset(
        {
            "orders.readwrite",
            "products.read",
            "customers.readwrite",
            "payments.readwrite",
            "notifications.readwrite",
        }
    ),
)
PAYMENT_GATEWAY = Api("api://payment-gateway", "api://payment-gateway")

GRAPH = Api("https://graph.microsoft.com", "00000003-0000-0000-c000-000000000000")
"""Microsoft Graph, which everybody may ask who they are."""

APIS: Mapping[Kind, tuple[Api, ...]] = {
    "employees": (EMPLOYEES_API, PAYMENT_GATEWAY),
    "clients": (CLIENTS_API,),
}

CUSTOMER_PORTAL = Application(
    client_id="55555555-5555-4555-8555-555555555555",
    object_id="55555555-0b1e-4c70-8555-555555555555",
    name="Customer portal",
    tenant="clients",
    delegated=frozenset({CLIENTS_API.identifier}),
)
EMPLOYEE_PORTAL = Application(
    client_id="66666666-6666-4666-8666-666666666666",
    object_id="66666666-0b1e-4c70-8666-666666666666",
    name="Employee portal",
    tenant="employees",
    delegated=frozenset({EMPLOYEES_API.identifier}),
)
PLATFORM_OBJECT_ID = "70a70000-0000-4000-8000-000000000011"
PAYMENT_CLIENT = Application(
    client_id="payment-client",
    object_id="77777777-0b1e-4c70-8777-777777777777",
    name="Payment client",
    tenant="employees",
    secret=PAYMENT_CLIENT_SECRET,
    federated=frozenset({PLATFORM_OBJECT_ID}),
    app_roles={PAYMENT_GATEWAY.identifier: ("payments.process",)},
)
APPLICATIONS = (CUSTOMER_PORTAL, EMPLOYEE_PORTAL, PAYMENT_CLIENT)
PORTALS: Mapping[Kind, Application] = {"clients": CUSTOMER_PORTAL, "employees": EMPLOYEE_PORTAL}
PORTAL_APIS: Mapping[Kind, Api] = {"clients": CLIENTS_API, "employees": EMPLOYEES_API}

SERVICE_BUS = "https://servicebus.azure.net"
EVENT_GRID = "https://eventgrid.azure.net"
KEY_VAULT = "https://vault.azure.net"
STORAGE = "https://storage.azure.com"
POSTGRESQL = "https://ossrdbms-aad.database.windows.net"
REDIS = "https://redis.azure.com"
COMMUNICATION = "https://communication.azure.com"
PLATFORM_API = "api://order-platform"
TOKEN_EXCHANGE = "api://AzureADTokenExchange"  # noqa: S105 - an audience, not a token
"""The audience of a token that is shown in place of a secret (workload identity federation)."""
RESOURCES = frozenset(
    {
        *(SERVICE_BUS, EVENT_GRID, KEY_VAULT, STORAGE, POSTGRESQL, REDIS, COMMUNICATION),
        *(PLATFORM_API, TOKEN_EXCHANGE),
    }
)
"""What a managed identity can ask a token for."""
_VAULT_HERE = re.compile(r"https://(0\.0\.1|vault\.localhost)(:[0-9]{1,5})?")
"""Key Vault on this machine: an SDK asks for the parent domain of the address that it calls."""

WORKLOADS: Mapping[str, Workload] = {
    workload.name: workload
    for workload in (
        Workload(
            "platform",
            object_id=PLATFORM_OBJECT_ID,
            client_id="70a70000-c11e-4000-8000-000000000011",
            header="local-platform-identity-header",
            roles={
                SERVICE_BUS: ("Azure Service Bus Data Receiver", "Azure Service Bus Data Sender"),
                EVENT_GRID: ("EventGrid Data Sender",),
                KEY_VAULT: ("Key Vault Secrets User",),
                STORAGE: ("Storage Blob Data Owner",),
                REDIS: ("Data Contributor",),
                COMMUNICATION: ("Communication and Email Service Owner",),
            },
        ),
        Workload(
            "gateway",
            object_id="6a7e0000-0000-4000-8000-000000000012",
            client_id="6a7e0000-c11e-4000-8000-000000000012",
            header="local-gateway-identity-header",
            roles={KEY_VAULT: ("Key Vault Secrets User",)},
        ),
        Workload(
            "notifier",
            object_id="4071f1e4-0000-4000-8000-000000000013",
            client_id="4071f1e4-c11e-4000-8000-000000000013",
            header="local-notifier-identity-header",
            roles={REDIS: ("Data Contributor",)},
        ),
    )
}

GROUPS: Mapping[str, str] = {
    "employees": "9a0b0000-0000-4000-8000-000000000020",
    "customer-service": "9a0b0000-0000-4000-8000-000000000021",
    "order-management": "9a0b0000-0000-4000-8000-000000000022",
    "administrators": "9a0b0000-0000-4000-8000-000000000023",
}
"""Groups of the employees' tenant: name → object id. Tokens carry ids only, as Entra's do."""


def _client(key: str, name: str, oid: str) -> Person:
    return Person(key, name, f"{key}@clients.example", oid, "clients")


def _employee(key: str, name: str, oid: str, role: str, group: str) -> Person:
    groups = (GROUPS["employees"], GROUPS[group])
    return Person(key, name, f"{key}@company.example", oid, "employees", (role,), groups)


PEOPLE = (
    _client("alice", "Alice Moreau", "a11ce000-0000-4000-8000-000000000001"),
    _client("bruno", "Bruno Keller", "b0b00000-0000-4000-8000-000000000002"),
    _client("chloe", "Chloe Jansen", "c410e000-0000-4000-8000-000000000003"),
    _employee(
        "carla",
        "Carla Nowak",
        "ca41a000-0000-4000-8000-000000000004",
        "customer-service",
        "customer-service",
    ),
    _employee(
        "oscar",
        "Oscar Lindholm",
        "05ca4000-0000-4000-8000-000000000005",
        "order-manager",
        "order-management",
    ),
    _employee(
        "ada", "Ada Fischer", "ada00000-0000-4000-8000-000000000006", "admin", "administrators"
    ),
)


def resource(asked: str) -> str | None:
    """The one of RESOURCES that `asked` names; None if it names none."""
    name = asked.rstrip("/")
    if _VAULT_HERE.fullmatch(name):
        return KEY_VAULT
    return name if name in RESOURCES else None


def application(tenant: Kind, client_id: str) -> Application | None:
    """The application registered under `client_id` in that tenant."""
    for candidate in APPLICATIONS:
        if candidate.client_id == client_id and candidate.tenant == tenant:
            return candidate
    return None


def api(tenant: Kind, identifier: str) -> Api | None:
    """The API that scopes of that tenant may name by `identifier`."""
    for candidate in APIS[tenant]:
        if candidate.identifier == identifier:
            return candidate
    return None


def person(name: str) -> Person | None:
    """The demo person with that short name or address, in any case."""
    wanted = name.casefold()
    for candidate in PEOPLE:
        if wanted in (candidate.key, candidate.username):
            return candidate
    return None
