"""What a part is, and the table of the parts that make a local cloud, in the order they start."""

import json
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from localcloud import environment, migrate, postgres, probes, valkey
from localcloud.ports import HOST
from localcloud.state import Secrets, StateFolder, write_private
from localcloud.storage import azurite


@dataclass(frozen=True)
class Site:
    """Where one local cloud runs: the project, its state, its ports and its secrets.

    `overrides` are application settings that win over the local cloud's own; a change counts from
    the next start of the Functions host.
    """

    root: Path
    state: StateFolder
    ports: Mapping[str, int]
    secrets: Secrets
    overrides: Mapping[str, str] = field(default_factory=dict)
    broker_host: str = ""
    """Where the broker takes tokens; empty unless the cloud is keyless."""

    def application_settings(self, sockets: Path | None = None) -> dict[str, str]:
        """The settings of the application, without the overrides.

        `sockets` is the folder of the database's Unix socket, if that shall be used.
        """
        given = environment.application_settings(self.ports, self.secrets, sockets)
        if not self.broker_host:
            return given
        from localcloud import keyless  # noqa: PLC0415 - makes certificates, which few need

        trusted = keyless.authority(self.state.path).file
        identity = environment.url(self.ports, "identity")
        return keyless.application_settings(given, self.ports, trusted, self.broker_host, identity)


@dataclass(frozen=True)
class Command:
    """How to run a part. An empty user means the supervisor's own."""

    arguments: Sequence[str]
    settings: Mapping[str, str] = field(default_factory=dict)
    user: str = ""


@dataclass(frozen=True)
class Part:
    """A supervised process.

    `ports` are names in `Site.ports`; the part must answer on all of them. `prepare` runs before
    every start. A part that does not `announce` itself with a READY line is ready when its probe
    first passes; `probe` returns when the part is healthy and raises OSError when it is not.
    """

    name: str
    command: Callable[[Site], Command]
    probe: Callable[[Site], None]
    ports: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    prepare: Callable[[Site], None] | None = None
    note: Callable[[Site], str] | None = None
    announces: bool = True
    stop_signal: signal.Signals = signal.SIGTERM
    stop_s: float = 15.0
    death_signal: signal.Signals = signal.SIGKILL
    ready_s: float = 60.0


@dataclass(frozen=True)
class Task:
    """Work to do once between parts, such as migrating. Returns what to tell the person, or ""."""

    name: str
    run: Callable[[Site], str]
    after: tuple[str, ...] = ()


Step = Part | Task


def _module(
    module: str,
    part: str,
    *extra: Callable[[Site], Sequence[str]],
    settings: Callable[[Site], Mapping[str, str]] = lambda _: {},
) -> Callable[[Site], Command]:
    """The command of a part of ours: `python -m` with the options that all of them take."""

    def command(site: Site) -> Command:
        common = ["--host", HOST, "--port", str(site.ports[part])]
        state = ["--state", str(site.state.folder(part))]
        more = [argument for options in extra for argument in options(site)]
        return Command(
            [sys.executable, "-m", module, *common, *state, *more], settings=settings(site)
        )

    return command


def _webhooks(site: Site, path: str) -> Sequence[str]:
    """Where a partner sends its webhooks."""
    gateway = environment.url(site.ports, "gateway-external")
    return ["--webhook-url", f"{gateway}/partner-api/v1/{path}"]


def _http(part: str) -> Callable[[Site], None]:
    return lambda site: probes.http_health(site.ports[part])


def seed(site: Site) -> Path:
    """The secrets that a vault gets when it has never had them."""
    return site.state.path / "secrets" / "keyvault.json"


POSTGRES = Part(
    name="postgres",
    ports=("postgres",),
    prepare=lambda site: postgres.prepare(site.state, site.secrets.postgres),
    command=lambda site: Command(
        postgres.command(site.state, site.ports["postgres"]), user=postgres.user()
    ),
    probe=lambda site: probes.postgres(site.ports["postgres"], site.secrets.postgres),
    note=lambda site: postgres.note(site.state),
    announces=False,
    stop_signal=signal.SIGINT,  # "fast": ends sessions, keeps committed work
    death_signal=signal.SIGINT,
)

VALKEY = Part(
    name="valkey",
    ports=("valkey",),
    command=lambda site: Command(valkey.command(site.state.folder("valkey"), site.ports["valkey"])),
    probe=lambda site: probes.valkey(site.ports["valkey"]),
    announces=False,
)

SERVICEBUS = Part(
    name="servicebus",
    ports=("servicebus", "servicebus-admin"),
    command=_module(
        "localcloud.servicebus",
        "servicebus",
        lambda site: [
            *("--topology", str(site.root / "infra" / "servicebus.topology.json")),
            *("--key-file", str(site.state.servicebus_key_file)),
            *("--admin-port", str(site.ports["servicebus-admin"])),
            *("--certificate", str(site.state.servicebus_certificate)),
        ],
    ),
    probe=lambda site: probes.listening(site.ports["servicebus"]),
)

AZURITE = Part(
    name="azurite",
    ports=azurite.PORTS,
    command=lambda site: Command(azurite.command(site.state.folder("azurite"), site.ports)),
    probe=lambda site: azurite.probe(site.ports),
    announces=False,
)

IDENTITY = Part(
    name="identity",
    ports=("identity",),
    command=_module("localcloud.identity", "identity"),
    probe=_http("identity"),
)

KEYVAULT = Part(
    name="keyvault",
    ports=("keyvault",),
    after=("identity",),
    prepare=lambda site: write_private(seed(site), json.dumps(environment.vault_secrets())),
    command=_module(
        "localcloud.keyvault",
        "keyvault",
        lambda site: [
            *("--identity", environment.url(site.ports, "identity")),
            *("--authority", str(site.state.path)),
            *("--seed", str(seed(site))),
        ],
    ),
    probe=lambda site: probes.listening(site.ports["keyvault"]),
)

ERP = Part(
    name="erp",
    ports=("erp",),
    command=_module("localcloud.partners.erp", "erp"),
    probe=_http("erp"),
)

PAYMENT = Part(
    name="payment",
    ports=("payment",),
    after=("identity",),
    command=_module(
        "localcloud.partners.payment",
        "payment",
        lambda site: ["--identity", environment.url(site.ports, "identity")],
        lambda site: _webhooks(site, "payments/webhooks/gateway"),
        settings=lambda _: {"LOCALCLOUD_WEBHOOK_KEY": environment.PAYMENT_WEBHOOK_KEY},
    ),
    probe=_http("payment"),
)

SHIPPING = Part(
    name="shipping",
    ports=("shipping",),
    command=_module(
        "localcloud.partners.shipping",
        "shipping",
        lambda site: _webhooks(site, "orders/webhooks/shipping"),
        settings=lambda _: {"LOCALCLOUD_WEBHOOK_KEY": environment.SHIPPING_WEBHOOK_KEY},
    ),
    probe=_http("shipping"),
)

EVENTGRID = Part(
    name="eventgrid",
    ports=("eventgrid",),
    after=("servicebus", "azurite"),
    command=_module(
        "localcloud.eventgrid",
        "eventgrid",
        lambda site: [
            *("--topology", str(site.root / "infra" / "eventgrid.topology.json")),
            *("--identity-url", environment.url(site.ports, "identity")),
            *("--functions-url", environment.url(site.ports, "functions")),
            *("--functions-keys", str(site.state.path / "functions" / "keys.json")),
        ],
        settings=lambda site: {
            "LOCALCLOUD_EVENTGRID_KEY": site.secrets.eventgrid,
            "LOCALCLOUD_EVENTGRID_SERVICEBUS": environment.service_bus(site.ports, site.secrets),
            "LOCALCLOUD_EVENTGRID_STORAGE": azurite.connection_string(site.ports),
        },
    ),
    probe=_http("eventgrid"),
)

COMMUNICATION = Part(
    name="communication",
    ports=("communication",),
    command=_module(
        "localcloud.communication",
        "communication",
        lambda site: [
            *("--eventgrid-url", environment.event_grid(site.ports, "communication")),
            *("--identity-url", environment.url(site.ports, "identity")),
            *("--sender", environment.FIXED["EMAIL_SENDER"]),
            *("--sender", environment.FIXED["SMS_SENDER"]),
        ],
        settings=lambda site: {
            "LOCALCLOUD_COMMUNICATION_KEY": site.secrets.communication,
            "LOCALCLOUD_EVENTGRID_KEY": site.secrets.eventgrid,
        },
    ),
    probe=_http("communication"),
)

DATABASES = Task(
    name="databases",
    after=("postgres",),
    run=lambda site: postgres.create_databases(
        site.ports["postgres"],
        site.secrets.postgres,
        {"platform": site.secrets.platform, "durable": site.secrets.durable},
        applications={environment.APPLICATION: site.secrets.platform_app},
    ),
)

MIGRATIONS = Task(
    name="migrations",
    after=("databases",),
    run=lambda site: migrate.migrate(
        environment.database_url(site.ports, "platform", site.secrets.platform),
        site.root / "migrations",
    ),
)


def _sockets(site: Site) -> Path | None:
    return postgres.socket_folder(site.state)


FUNCTIONS = Part(
    name="functions",
    ports=("functions", "durable"),
    after=(
        *("migrations", "valkey", "servicebus", "azurite", "eventgrid", "communication"),
        *("identity", "keyvault", "erp", "payment", "shipping"),
    ),
    command=_module(
        "localcloud.functions",
        "functions",
        lambda site: [
            *("--script-root", str(site.root)),
            *("--durable-port", str(site.ports["durable"])),
        ],
        settings=lambda site: {
            **site.application_settings(_sockets(site)),
            **environment.vault_settings(site.ports, site.state.path),
            **environment.host_settings(site.ports, site.secrets, _sockets(site)),
            **site.overrides,
        },
    ),
    probe=_http("functions"),
    stop_s=30.0,  # activities in flight finish first
)


NOTIFIER = Part(
    name="notifier",
    ports=("notifier",),
    after=("valkey", "identity"),
    command=lambda site: Command(
        [sys.executable, "-m", "notifier"],
        settings=environment.notifier_settings(site.ports, site.application_settings()),
    ),
    probe=lambda site: probes.http_health(site.ports["notifier"], "/health/live"),
    announces=False,
)

GATEWAY = Part(
    name="gateway",
    ports=("gateway-external", "gateway-internal"),
    after=("valkey", "identity"),
    command=lambda site: Command(
        [
            *(sys.executable, "-m", "localcloud.gateway", "--host", HOST),
            *("--external-port", str(site.ports["gateway-external"])),
            *("--internal-port", str(site.ports["gateway-internal"])),
            *("--apim", str(site.root / "apim")),
            *("--functions-url", environment.url(site.ports, "functions")),
            *("--notifier-url", environment.url(site.ports, "notifier")),
            *("--identity-url", environment.url(site.ports, "identity")),
        ],
        settings=environment.gateway_settings(site.ports),
    ),
    probe=lambda site: probes.http_health(site.ports["gateway-external"]),
)


def _load_catalogue(site: Site) -> str:
    # Its HTTP client is large, and whoever only looks at parts does without.
    from localcloud import catalogue  # noqa: PLC0415

    return catalogue.load_when_empty(
        environment.gateways(site.ports)["employees"], environment.url(site.ports, "identity")
    )


CATALOGUE = Task(name="catalogue", after=("functions", "gateway"), run=_load_catalogue)

DASHBOARD = Part(
    name="dashboard",
    ports=("dashboard",),
    after=("databases", "functions"),
    command=lambda site: Command(
        [
            *(sys.executable, "-m", "localcloud.dashboard", "--host", HOST),
            *("--port", str(site.ports["dashboard"]), "--state", str(site.state.path)),
        ],
        settings=environment.host_settings(site.ports, site.secrets, _sockets(site)),
    ),
    probe=_http("dashboard"),
)

ALL: tuple[Step, ...] = (
    POSTGRES,
    VALKEY,
    SERVICEBUS,
    AZURITE,
    IDENTITY,
    KEYVAULT,
    ERP,
    PAYMENT,
    SHIPPING,
    EVENTGRID,
    COMMUNICATION,
    DATABASES,
    MIGRATIONS,
    NOTIFIER,
    GATEWAY,
    FUNCTIONS,
    CATALOGUE,
    DASHBOARD,
)
"""The local cloud, in the order in which it starts; it stops in the reverse order."""
