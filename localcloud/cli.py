"""The command line of the local cloud."""

import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import asdict
from pathlib import Path
from types import FrameType

import click
import psutil

from localcloud import inspection, logs, parts
from localcloud.catalogue import CatalogueError
from localcloud.cloud import DEFAULT_STATE, ROOT, Cancelled, LocalCloud, erase
from localcloud.console import StepLines, console, print_status, print_welcome
from localcloud.functions.command import functions
from localcloud.migrate import MigrationError
from localcloud.parts import Part, Step
from localcloud.postgres import PostgresError
from localcloud.process import configure_logging
from localcloud.state import StateError, StateFolder
from localcloud.supervisor import StartError

EXPECTED = (StateError, StartError, PostgresError, MigrationError, CatalogueError, ValueError)
SUPERVISOR = "supervisor"
STOP_S = 60.0
_POLL_S = 0.1

state_option = click.option(
    "--state",
    type=click.Path(file_okay=False, path_type=Path),
    default=DEFAULT_STATE,
    envvar="LOCALCLOUD_STATE",
    show_default=".localcloud in the project",
    help="Folder that holds all data, logs and secrets.",
)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.pass_context
def main(context: click.Context) -> None:
    """Run the whole platform on this machine: database, cache, messaging, identity, partners
    and the Functions host, each on its documented port.
    """
    context.obj = context.obj or parts.ALL


main.add_command(functions)


@main.command()
@state_option
@click.option(
    "--port-base",
    type=int,
    default=5000,
    show_default=True,
    metavar="N",
    help="Move every port by N - 5000: with 6000 the Functions host answers on 8071 instead of "
    "7071. 0 takes free ports; `status` shows them.",
)
@click.option(
    "--keyless",
    is_flag=True,
    help="Give the application no key or password to any store: TLS and tokens, as in Azure.",
)
@click.option("--detach", is_flag=True, help="Run in the background; return once it is ready.")
@click.option("--brief", is_flag=True, hidden=True)
@click.pass_obj
def up(  # noqa: PLR0917 - click passes one argument for each option
    steps: tuple[Step, ...], state: Path, port_base: int, keyless: bool, detach: bool, brief: bool
) -> None:
    """Start everything, load the demo catalogue, and stay until Ctrl-C.

    The data survives: the next `up` goes on where this one stopped.
    """
    if detach:
        _up_in_background(StateFolder(state), port_base, keyless)
    else:
        _up_in_foreground(steps, state, port_base, keyless, brief)


def _up_in_foreground(
    steps: tuple[Step, ...], state: Path, port_base: int, keyless: bool, brief: bool
) -> None:
    stop = _on_interrupt()
    out = console()
    lines = StepLines(out)
    try:
        _log_to(StateFolder(state))
        cloud = LocalCloud(state, port_base=port_base, steps=steps, progress=lines, keyless=keyless)
        out.print("Starting the local cloud")
        cloud.start(stop)
    except Cancelled:
        lines.close()
        out.print("Interrupted; everything is stopped")
        sys.exit(130)
    except EXPECTED as refused:
        lines.close()
        raise click.ClickException(str(refused)) from refused
    lines.close()
    if not brief:  # whoever detached says it
        took_s = time.monotonic() - lines.began_at
        print_welcome(out, cloud.record(), _shown(cloud.state.path), took_s)
        out.print("\nCtrl-C stops everything.")
    stop.wait()
    out.print("\nStopping")
    cloud.stop()
    lines.close()
    out.print(f"Stopped; the data stays in {_shown(cloud.state.path)}")


def _log_to(state: StateFolder) -> None:
    """Send crashes and restarts to the terminal and to the supervisor's own log."""
    state.create()
    configure_logging(SUPERVISOR, "WARNING")
    file = state.log_file(SUPERVISOR)
    logs.rotate(file)
    copy = logs.log_handler(file)
    copy.setFormatter(logging.getLogger().handlers[0].formatter)
    logging.getLogger().addHandler(copy)


def _on_interrupt() -> threading.Event:
    """Set by the first Ctrl-C or SIGTERM. A second one ends at once, and every part with it."""
    stop = threading.Event()

    def note(_number: int, _frame: FrameType | None) -> None:
        if stop.is_set():
            os._exit(1)
        stop.set()

    signal.signal(signal.SIGINT, note)
    signal.signal(signal.SIGTERM, note)
    return stop


def _up_in_background(state: StateFolder, port_base: int, keyless: bool) -> None:
    try:
        state.create()
    except StateError as refused:
        raise click.ClickException(str(refused)) from refused
    if running := state.running():
        raise click.ClickException(f"already running (pid {running.supervisor.pid})")
    file = state.log_file("up")  # what a terminal would show
    command = [sys.executable, "-m", "localcloud", "up", "--state", str(state.path)]
    command += ["--keyless"] if keyless else []
    with logs.open_log(file) as output:
        output.truncate(0)
        process = subprocess.Popen(  # noqa: S603 - this very command, in the background
            [*command, "--brief", "--port-base", str(port_base)],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    began = time.monotonic()
    shown = 0
    while True:
        text = file.read_text(errors="replace")
        click.echo(text[shown:], nl=False)
        shown = len(text)
        code = process.poll()
        if code is not None:
            sys.exit(code or 1)
        record = state.running()
        if record and record.state == "ready" and record.supervisor.pid == process.pid:
            break
        time.sleep(_POLL_S)
    print_welcome(console(), record, _shown(state.path), time.monotonic() - began)
    click.echo(f"\nIt runs in the background (pid {process.pid}); `make down` stops it.")


@main.command()
@state_option
def down(state: Path) -> None:
    """Stop a running local cloud; the data stays."""
    record = StateFolder(state).running()
    process = record.supervisor.process() if record else None
    if process is None:
        click.echo("Nothing runs")
        return
    click.echo(f"Stopping the local cloud (pid {process.pid})")
    process.terminate()
    try:
        process.wait(STOP_S)
    except psutil.TimeoutExpired as still:
        raise click.ClickException(
            f"pid {process.pid} still drains after {STOP_S:g} s; `kill -9 {process.pid}` ends it "
            "and every part with it"
        ) from still
    click.echo("Stopped")


@main.command()
@state_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")
@click.pass_obj
def status(steps: tuple[Step, ...], state: Path, as_json: bool) -> None:
    """Show every part: pid, port, health, uptime and memory.

    Exits with 0 only if all of them are healthy.
    """
    folder = StateFolder(state)
    record = folder.running()
    rows = inspection.look(folder, record, ROOT, steps) if record else []
    if as_json:
        running = {"state": record.state, "urls": record.urls} if record else {"state": "stopped"}
        click.echo(json.dumps({**running, "parts": [asdict(row) for row in rows]}, indent=2))
    elif record:
        out = console()
        out.print(f"{record.state}, supervised by pid {record.supervisor.pid}\n")
        print_status(out, rows)
    else:
        click.echo("Nothing runs; `python -m localcloud up` starts it")
    if not rows or any(row.health != "ok" for row in rows):
        sys.exit(1)


@main.command("logs")
@state_option
@click.argument("part", required=False)
@click.option("-f", "--follow", is_flag=True, help="Go on with new lines until Ctrl-C.")
@click.option("-n", "--lines", default=20, show_default=True, help="Lines to show per part.")
@click.pass_obj
def show_logs(
    steps: tuple[Step, ...], state: Path, part: str | None, follow: bool, lines: int
) -> None:
    """Show the log of one PART, or of all."""
    folder = StateFolder(state)
    known = [step.name for step in steps if isinstance(step, Part)]
    known.append(SUPERVISOR)
    if part is not None and part not in known:
        raise click.UsageError(f"no part is called {part!r}; there are: {', '.join(known)}")
    files = [folder.log_file(name) for name in ([part] if part else known)]
    for file in files:
        last = logs.last_lines(file, lines)
        if last and len(files) > 1:
            click.secho(f"--- {file.stem}", bold=True)
        for line in last:
            click.echo(line)
    if not follow:
        return
    try:
        for file, line in logs.follow(files):
            click.echo(line if len(files) == 1 else f"{file.stem:<10} | {line}")
    except KeyboardInterrupt:
        sys.exit(130)


@main.command()
@state_option
@click.option("--yes", is_flag=True, help="Do not ask.")
def reset(state: Path, yes: bool) -> None:
    """Delete all data, logs and secrets of a stopped local cloud."""
    folder = StateFolder(state)
    if not folder.path.exists():
        click.echo(f"There is nothing in {_shown(folder.path)}")
        return
    try:
        with folder.held():
            if not yes:
                click.confirm(f"Delete everything in {_shown(folder.path)}?", abort=True)
            erase(folder)
    except StateError as refused:
        raise click.ClickException(str(refused)) from refused
    click.echo(f"Deleted {_shown(folder.path)}")


def _shown(path: Path) -> str:
    """The path as a person would type it here."""
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)
