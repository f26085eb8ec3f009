"""The parts of the keyless profile: those of every local cloud, with TLS and tokens beside."""

import json
import shutil
import sys
from collections.abc import Callable, Iterable
from dataclasses import replace

from localcloud import environment, keyless, probes
from localcloud.identity.directory import EMPLOYEES, WORKLOADS
from localcloud.parts import Command, Part, Site, Step, seed
from localcloud.ports import HOST
from localcloud.state import write_private
from localcloud.storage import azurite


def of(steps: Iterable[Step]) -> tuple[Step, ...]:
    """The steps of the keyless profile, in the order in which they start."""
    changed = tuple(_CHANGES.get(step.name, _as_it_is)(step) for step in steps)
    front = (
        len(changed)
        if "notifier" not in {step.name for step in changed}
        else next(place for place, step in enumerate(changed) if step.name == "notifier")
    )
    return (*changed[:front], FRONT, *changed[front:])


def _as_it_is(step: Step) -> Step:
    return step


def _more(step: Step, options: Callable[[Site], list[str]], *more_ports: str) -> Step:
    """The part with more options and ports."""
    assert isinstance(step, Part)
    plain = step.command

    def command(site: Site) -> Command:
        given = plain(site)
        return replace(given, arguments=[*given.arguments, *options(site)])

    return replace(step, command=command, ports=(*step.ports, *more_ports))


def _tokens(site: Site) -> str:
    return f"{environment.url(site.ports, 'identity')}/{EMPLOYEES.id}"


def _servicebus(step: Step) -> Step:
    def options(site: Site) -> list[str]:
        return [
            *("--tls-port", str(keyless.AMQPS_PORT), "--tls-host", site.broker_host),
            # The last one given counts.
            *("--certificate", str(keyless.certificate(site.state.path, site.broker_host).file)),
            *("--jwks-url", f"{_tokens(site)}/discovery/v2.0/keys"),
            *("--token-issuer", f"{_tokens(site)}/v2.0"),
        ]

    def prepare(site: Site) -> None:
        # Whoever administers the broker trusts what lies here.
        trusted = keyless.authority(site.state.path).file
        shutil.copyfile(trusted, site.state.servicebus_certificate)

    changed = _more(step, options)
    assert isinstance(changed, Part)
    return replace(changed, prepare=prepare)


def _with_tls(part: str) -> Callable[[Step], Step]:
    def options(site: Site) -> list[str]:
        shown = keyless.certificate(site.state.path, site.broker_host)
        return ["--tls-port", str(site.ports[f"{part}-tls"]), "--certificate", str(shown.file)]

    return lambda step: _more(step, options, f"{part}-tls")


def _eventgrid(step: Step) -> Step:
    changed = _with_tls("eventgrid")(step)
    assert isinstance(changed, Part)
    plain = changed.command

    def command(site: Site) -> Command:
        given = plain(site)
        # Its own way to the storage account: by key, and by whom that is served now.
        own = {
            "LOCALCLOUD_EVENTGRID_STORAGE": azurite.connection_string(site.ports, "https"),
            "SSL_CERT_FILE": str(keyless.authority(site.state.path).file),
        }
        return replace(given, settings={**given.settings, **own})

    return replace(changed, command=command)


def _azurite(step: Step) -> Step:
    assert isinstance(step, Part)

    def command(site: Site) -> Command:
        shown = keyless.certificate(site.state.path, site.broker_host)
        return Command(
            azurite.command(site.state.folder("azurite"), site.ports, shown),
            settings={azurite.ISSUER_SETTING: f"{_tokens(site)}/"},
        )

    def probe(site: Site) -> None:
        azurite.probe(site.ports, keyless.authority(site.state.path).file)

    return replace(step, command=command, probe=probe)


def _functions(step: Step) -> Step:
    assert isinstance(step, Part)
    plain = step.command

    def command(site: Site) -> Command:
        given = plain(site)
        trusted = str(keyless.authority(site.state.path).file)
        own = {"LOCALCLOUD_TRUSTED_CA_FILE": trusted}
        return replace(given, settings={**given.settings, **own})

    return replace(step, command=command, after=(*step.after, "front"))


def _notifier(step: Step) -> Step:
    assert isinstance(step, Part)
    plain = step.command

    def command(site: Site) -> Command:
        given = plain(site)
        own = keyless.identity_settings(
            WORKLOADS["notifier"], environment.url(site.ports, "identity")
        )
        return replace(given, settings={**given.settings, **own})

    return replace(step, command=command, after=(*step.after, "front"))


def _keyvault(step: Step) -> Step:
    assert isinstance(step, Part)

    def prepare(site: Site) -> None:
        usual = environment.application_settings(site.ports, site.secrets)
        more = keyless.vault_secrets(usual)
        write_private(seed(site), json.dumps(environment.vault_secrets() | more))

    return replace(step, prepare=prepare)


_CHANGES: dict[str, Callable[[Step], Step]] = {
    "servicebus": _servicebus,
    "eventgrid": _eventgrid,
    "communication": _with_tls("communication"),
    "azurite": _azurite,
    "keyvault": _keyvault,
    "functions": _functions,
    "notifier": _notifier,
}


def _front(site: Site) -> Command:
    shown = keyless.certificate(site.state.path, site.broker_host)
    principals = {
        environment.APPLICATION: {
            "object_id": WORKLOADS["platform"].object_id,
            "password": site.secrets.platform_app,
        }
    }
    return Command(
        [
            *(sys.executable, "-m", "localcloud.front", "--host", HOST),
            *("--postgres-port", str(site.ports["postgres-tls"])),
            *("--valkey-port", str(site.ports["valkey-tls"])),
            *("--postgres", f"{HOST}:{site.ports['postgres']}"),
            *("--valkey", f"{HOST}:{site.ports['valkey']}"),
            *("--certificate", str(shown.file), "--key", str(shown.key)),
            *("--identity-url", environment.url(site.ports, "identity")),
        ],
        settings={"LOCALCLOUD_FRONT_PRINCIPALS": json.dumps(principals)},
    )


def _front_probe(site: Site) -> None:
    for door in ("postgres-tls", "valkey-tls"):
        probes.listening(site.ports[door])


FRONT = Part(
    name="front",
    ports=("postgres-tls", "valkey-tls"),
    after=("postgres", "valkey", "identity"),
    command=_front,
    probe=_front_probe,
)
