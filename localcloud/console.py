"""What a person sees: the start step by step, the addresses, the table of parts."""

import threading
import time
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

import httpx
from rich.console import Console
from rich.status import Status
from rich.table import Table

from localcloud import environment
from localcloud.inspection import PartStatus
from localcloud.state import CloudRecord
from localcloud.storage import azurite

PLAIN_WIDTH = 160
"""Columns when the output is no terminal, so that nothing is cut in a log."""

_TRY_IT = """\
  TOKEN=$(curl -s {token_url} \\
    -d grant_type=password -d client_id={client_id} \\
    -d username={username} -d password={password} \\
    --data-urlencode scope={scope} | sed 's/.*"access_token": *"\\([^"]*\\)".*/\\1/')
  curl -s -H "Authorization: Bearer $TOKEN" '{api}/products?limit=3'"""


def console() -> Console:
    """Standard output: colours and a spinner for a terminal, plain lines for anything else."""
    plain = Console(highlight=False)
    return plain if plain.is_terminal else Console(highlight=False, width=PLAIN_WIDTH)


class StepLines:
    """Prints one line per finished step and, in a terminal, a spinner with those under way."""

    def __init__(self, out: Console) -> None:
        self._out = out
        self._under_way: list[str] = []
        self._spinner: Status | None = None
        self._guard = threading.Lock()
        self.began_at = time.monotonic()

    def began(self, step: str) -> None:
        with self._guard:
            self._under_way.append(step)
            self._refresh()

    def ended(self, step: str, took_s: float, detail: str) -> None:
        with self._guard:
            self._under_way.remove(step)
            self._out.print(f"  [green]✓[/] {step:<12} {took_s:5.1f} s   [dim]{detail}[/]")
            self._refresh()

    def stopping(self, part: str) -> None:
        with self._guard:
            self._under_way = [f"stopping {part}"]
            self._out.print(f"  [dim]stopping {part}[/]")
            self._refresh()

    def close(self) -> None:
        """Take the spinner away."""
        with self._guard:
            self._under_way = []
            self._refresh()

    def _refresh(self) -> None:
        if not self._out.is_terminal:
            return
        if self._spinner is None:
            self._spinner = self._out.status("")
            self._spinner.start()
        if self._under_way:
            self._spinner.update(", ".join(self._under_way))
        else:
            self._spinner.stop()
            self._spinner = None


def _database(record: CloudRecord) -> str:
    """Over TCP, which every tool speaks; the platform itself uses a Unix socket where it can."""
    if record.broker_host:
        return record.environment["PG_URL"]
    used = urlsplit(record.environment["PG_URL"])
    return environment.database_url(
        record.ports, "platform", used.password or "", role=used.username
    )


def print_welcome(out: Console, record: CloudRecord, state: str, took_s: float) -> None:
    """The addresses, the demo people, and a first request to paste."""
    out.print(f"\n[bold green]Ready[/] in {took_s:.1f} s. The data lives in {state}\n")
    addresses = Table(box=None, show_header=False, padding=(0, 2, 0, 2))
    addresses.add_column(no_wrap=True)
    addresses.add_column(overflow="fold")  # to be copied whole, however narrow the terminal
    for name, url in record.urls.items():
        if name != "functions":
            addresses.add_row(name, url)
    addresses.add_row("postgres", _database(record))
    addresses.add_row("valkey", record.environment["REDIS_URL"])
    broker = f"127.0.0.1:{record.ports['servicebus']}"
    addresses.add_row("service bus", f"sb://{record.broker_host or broker}")
    administration = f"https://127.0.0.1:{record.ports['servicebus-admin']}"
    addresses.add_row("service bus administration", administration)
    if vault := record.ports.get("keyvault"):
        addresses.add_row("key vault", f"https://127.0.0.1:{vault}")
    for name in azurite.PORTS:
        scheme = "https" if record.broker_host else "http"
        addresses.add_row(f"{name} storage", azurite.endpoint(record.ports, name, scheme))
    if record.broker_host:
        addresses.add_row("trusted authority", record.environment["TRUSTED_CA_FILE"])
    out.print(addresses)
    people = _people(record.urls["identity"])
    if not people:
        return
    out.print(f"\n  Demo people, password [bold]{people[0]['password']}[/]:")
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 2))
    for person in people:
        table.add_row(person["username"], person["name"], ", ".join(person["roles"]) or "client")
    out.print(table)
    first = people[0]
    command = _TRY_IT.format(
        token_url=record.urls["identity"] + first["token_path"], api=record.urls["clients"], **first
    )
    out.print("\n  Try it, in another terminal:")
    out.print(command, markup=False, soft_wrap=True)


def _people(identity: str) -> list[dict[str, Any]]:
    try:
        answer = httpx.get(f"{identity}/people", timeout=5, trust_env=False)
        people: list[dict[str, Any]] = answer.json()["people"]
    except (httpx.HTTPError, ValueError, KeyError):
        return []  # the addresses alone are still worth printing
    return people


def print_status(out: Console, rows: Sequence[PartStatus]) -> None:
    """The table of parts, in the order of their start."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("part", "state", "health", "pid", "port", "uptime", "memory"):
        right = heading in {"pid", "port", "uptime", "memory"}
        table.add_column(heading, justify="right" if right else "left")
    for row in rows:
        colour = "green" if row.health == "ok" else "red"
        restarted = f" (restarted {row.restarts}x)" if row.restarts else ""
        table.add_row(
            row.name,
            row.state + restarted,
            f"[{colour}]{row.health}[/]",
            str(row.pid or "-"),
            ", ".join(map(str, row.ports)),
            "-" if row.uptime_s is None else _duration(row.uptime_s),
            "-" if row.memory_mib is None else f"{row.memory_mib:.0f} MiB",
        )
    out.print(table)
    for row in rows:
        if row.note:
            out.print(f"{row.name}: {row.note}")


def _duration(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"
