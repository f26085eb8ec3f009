"""Starts the vault, and tends its secrets: `python -m localcloud.keyvault`."""

import json
import secrets
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import click
import uvloop

from localcloud import pki
from localcloud.keyvault.access import Access
from localcloud.keyvault.app import create_app
from localcloud.keyvault.backup import Backups
from localcloud.keyvault.errors import VaultError
from localcloud.keyvault.records import (
    VALUE_LIMIT,
    Attributes,
    Change,
    NewVersion,
    checked_name,
)
from localcloud.keyvault.store import SecretStore
from localcloud.process import configure_logging, serve_asgi

HOSTS = ("localhost", "*.vault.localhost", "*.vault.azure.net", "127.0.0.1", "::1")
"""By these names the certificate knows this vault, besides the address it listens on."""
GRACE_S = 1.0
"""An answer takes milliseconds; what is still open then is a client's idle connection."""


@click.group(invoke_without_command=True)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=7083, show_default=True, help="Port; 0 takes a free one.")
@click.option(
    "--state",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(".localcloud/keyvault"),
    show_default=True,
    help="Folder that keeps the secrets.",
)
@click.option(
    "--authority",
    type=click.Path(file_okay=False, path_type=Path),
    default=None,
    show_default="STATE",
    help="Folder of the certificate authority that signs the vault's certificate.",
)
@click.option(
    "--identity",
    default="http://127.0.0.1:7080",
    show_default=True,
    help="The directory whose tokens are taken.",
)
@click.option(
    "--seed",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    default=None,
    help="JSON file of names and values; those that the vault has never had are set.",
)
@click.pass_context
def main(
    context: click.Context,
    *,
    host: str,
    port: int,
    state: Path,
    authority: Path | None,
    identity: str,
    seed: Path | None,
) -> None:
    """Play an Azure Key Vault over TLS, or tend the secrets of one, running or not."""
    context.obj = state
    if context.invoked_subcommand is not None:
        return
    configure_logging("keyvault")
    store = SecretStore(state)
    if seed is not None:
        _sow(store, json.loads(seed.read_text()))
    hosts = HOSTS if host in HOSTS else (*HOSTS, host)
    tls = pki.authority(authority or state).certificate("keyvault", hosts)
    app = create_app(store, Access(identity), Backups(state))
    try:
        uvloop.run(serve_asgi(app, host=host, port=port, tls=tls, grace_s=GRACE_S))
    finally:
        store.close()


@main.command("set")
@click.argument("name")
@click.option("--value", default=None, help="The value. It stands in the shell's history then.")
@click.option("--generate", is_flag=True, help="Make a value that nobody can guess.")
@click.option("--expires", type=click.DateTime(), default=None, help="When it expires, in UTC.")
@click.pass_obj
def set_(
    state: Path, name: str, *, value: str | None, generate: bool, expires: datetime | None
) -> None:
    """Give the secret NAME a new version; without --value from standard input, or asked for."""
    if value is not None and generate:
        raise click.UsageError("--value and --generate exclude each other")
    if generate:
        value = secrets.token_urlsafe(32)
    elif value is None:
        value = _asked_for(name)
    if not value:
        raise click.UsageError("the value is empty")
    until = None if expires is None else int(expires.replace(tzinfo=UTC).timestamp())
    if len(value) > VALUE_LIMIT:
        raise click.UsageError(f"the value has more than {VALUE_LIMIT} characters")
    new = NewVersion(value=value, attributes=Attributes(exp=until))
    version = _tended(state, lambda store: store.set(checked_name(name), new)).version
    click.echo(f"{name}: version {version}")


@main.command()
@click.argument("name")
@click.option("--version", default=None, help="Which version.  [default: the latest]")
@click.pass_obj
def show(state: Path, name: str, version: str | None) -> None:
    """Print the value of the secret NAME."""
    click.echo(_tended(state, lambda store: store.get(name, version)).value)


@main.command("list")
@click.pass_obj
def list_(state: Path) -> None:
    """List the secrets with their latest version; values are not shown."""
    store = _open(state)
    try:
        after = ""
        while found := store.latest(after=after, limit=100):
            for one in found:
                made = datetime.fromtimestamp(one.created, UTC)
                word = "enabled" if one.enabled else "disabled"
                click.echo(f"{one.name}  {one.version}  {made:%Y-%m-%d %H:%M:%S}  {word}")
            after = found[-1].name
    finally:
        store.close()


@main.command()
@click.argument("name")
@click.option("--version", default=None, help="Which version.  [default: the latest]")
@click.pass_obj
def enable(state: Path, name: str, version: str | None) -> None:
    """Let a version of the secret NAME be read again."""
    _switch(state, name, version, enabled=True)


@main.command()
@click.argument("name")
@click.option("--version", default=None, help="Which version.  [default: the latest]")
@click.pass_obj
def disable(state: Path, name: str, version: str | None) -> None:
    """Let nobody read a version of the secret NAME."""
    _switch(state, name, version, enabled=False)


@main.command()
@click.argument("name")
@click.pass_obj
def delete(state: Path, name: str) -> None:
    """Delete the secret NAME; it can be recovered for 90 days."""
    _tended(state, lambda store: store.delete(name))
    click.echo(f"{name}: deleted")


@main.command()
@click.argument("name")
@click.pass_obj
def recover(state: Path, name: str) -> None:
    """Bring the deleted secret NAME back."""
    _tended(state, lambda store: store.recover(name))
    click.echo(f"{name}: recovered")


@main.command()
@click.argument("name")
@click.pass_obj
def purge(state: Path, name: str) -> None:
    """Forget the deleted secret NAME for good."""
    _tended(state, lambda store: store.purge(name))
    click.echo(f"{name}: purged")


def _switch(state: Path, name: str, version: str | None, *, enabled: bool) -> None:
    change = Change(attributes=Attributes(enabled=enabled))
    changed = _tended(state, lambda store: store.change(name, version, change))
    click.echo(f"{name}: version {changed.version} {'enabled' if enabled else 'disabled'}")


def _asked_for(name: str) -> str:
    if sys.stdin.isatty():
        asked: str = click.prompt(f"Value of {name}", hide_input=True, confirmation_prompt=True)
        return asked
    return sys.stdin.read().removesuffix("\n")


def _tended[T](state: Path, work: Callable[[SecretStore], T]) -> T:
    store = _open(state)
    try:
        return work(store)
    except VaultError as refusal:
        raise click.ClickException(refusal.message) from refusal
    finally:
        store.close()


def _open(state: Path) -> SecretStore:
    if not state.is_dir():
        raise click.ClickException(f"{state} is no vault's folder; name it with --state")
    return SecretStore(state)


def _sow(store: SecretStore, seed: dict[str, str]) -> None:
    for name, value in seed.items():
        if not store.knows(checked_name(name)):
            store.set(name, NewVersion(value=value))


if __name__ == "__main__":
    main()
