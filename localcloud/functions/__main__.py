"""The command line of the Functions host."""

import errno
import os
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import click

from localcloud.functions.errors import StartRefused
from localcloud.functions.guard import Guard, Life
from localcloud.functions.lifelines import Lifelines
from localcloud.functions.settings import load_local_settings, worker_processes
from localcloud.process import bind

# A host that was killed on this port a moment ago may not be gone yet.
_PATIENCE_S, _PAUSE_S = 2.0, 0.02


@click.command()
@click.option(
    "--script-root",
    type=click.Path(exists=True, file_okay=False, resolve_path=True, path_type=Path),
    default=".",
    show_default=True,
    help="Folder of the app: function_app.py, host.json, local.settings.json.",
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port", default=7071, show_default=True, help="Port of the app; 0 takes a free one."
)
@click.option(
    "--durable-port",
    default=17071,
    show_default=True,
    help="Port where the app's own durable clients call, on 127.0.0.1; 0 takes a free one.",
)
@click.option(
    "--state",
    type=click.Path(file_okay=False, resolve_path=True, path_type=Path),
    default=".localcloud/functions",
    show_default=True,
    help="Folder for keys and timer status.",
)
@click.option(
    "--require-keys/--no-require-keys",
    default=True,
    show_default=True,
    help="Ask for function keys where the app's auth level does.",
)
@click.option(
    "--grace-s",
    default=10.0,
    show_default=True,
    help="How long running functions may go on after SIGTERM.",
)
@click.option(
    "--log-format",
    type=click.Choice(["text", "json", "terminal"]),
    default="text",
    show_default=True,
    help="How log lines are written to standard error.",
)
@click.option("--function", "only", multiple=True, help="Run only this one; may be repeated.")
@click.option(
    "--listeners",
    hidden=True,
    help="Two listening sockets that were inherited, instead of ports to bind.",
)
@click.option(
    "--emulator-at-hand",
    is_flag=True,
    hidden=True,
    help="Whoever passes the sockets can start a storage emulator, if the app needs one.",
)
def main(
    *,
    script_root: Path,
    host: str,
    port: int,
    durable_port: int,
    state: Path,
    require_keys: bool,
    grace_s: float,
    log_format: Literal["text", "json", "terminal"],
    only: tuple[str, ...],
    listeners: str | None,
    emulator_at_hand: bool,
) -> None:
    """Run a function app with Microsoft's own worker library, without Azure."""
    state.mkdir(parents=True, exist_ok=True)
    if listeners:
        public, private = map(_inherited, listeners.split(","))
    else:
        public, private = _bound(host, port), _bound("127.0.0.1", durable_port)

    def serve(life: Life, *, announce: Callable[[], None], lifelines: Lifelines) -> int:
        # Imported by the process that serves: the guard stays small, and each begins afresh.
        from localcloud.functions import serving  # noqa: PLC0415

        order = serving.Order(
            script_root=script_root,
            state=state,
            listener=public,
            durable_listener=private,
            require_keys=require_keys,
            grace_s=grace_s,
            log_format=log_format,
            only=only,
            store_at_hand=listeners is not None,
            emulator_at_hand=emulator_at_hand,
            lifelines=lifelines,
        )
        return serving.serve(order, life, announce=announce)

    sys.exit(Guard(serve, _processes(script_root)).run())


def _processes(script_root: Path) -> int:
    environ = dict(os.environ)
    try:
        load_local_settings(script_root, environ)
        return worker_processes(environ)
    except StartRefused as refusal:
        raise click.ClickException(str(refusal)) from refusal


def _inherited(descriptor: str) -> socket.socket:
    listener = socket.socket(fileno=int(descriptor))
    listener.setblocking(False)
    return listener


def _bound(host: str, port: int) -> socket.socket:
    deadline = time.monotonic() + _PATIENCE_S
    while True:
        try:
            return bind(host, port)
        except OSError as error:
            if error.errno != errno.EADDRINUSE or time.monotonic() > deadline:
                raise click.ClickException(
                    f"port {port} on {host} cannot be used: {error.strerror}"
                ) from error
        time.sleep(_PAUSE_S)


if __name__ == "__main__":
    main()
