"""The command line of the Functions host."""

import asyncio
import contextlib
import gc
import os
import socket
import sys
from pathlib import Path
from typing import Literal

import click
import uvloop

from localcloud.functions import logs
from localcloud.functions.errors import NEEDS_STORE, StartRefused, StoreMissing
from localcloud.functions.host import Host, Setup, run
from localcloud.functions.settings import load_host_options, load_local_settings
from localcloud.process import bind, ready


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
) -> None:
    """Run a function app with Microsoft's own worker library, without Azure."""
    # Standard output carries only the READY line; what the app prints goes with the log.
    announcing, sys.stdout = sys.stdout, sys.stderr
    state.mkdir(parents=True, exist_ok=True)
    try:
        load_local_settings(script_root, os.environ)
        options = load_host_options(script_root, os.environ)
        levels = logs.LogLevels(options.log_levels)
        logs.configure(levels, style=log_format)
        if listeners:
            public, private = map(_inherited, listeners.split(","))
        else:
            public, private = _bound(host, port), _bound("127.0.0.1", durable_port)
        setup = Setup(
            script_root=script_root,
            state=state,
            listener=public,
            durable_listener=private,
            require_keys=require_keys,
            grace_s=grace_s,
            only=only,
        )
    except StartRefused as refusal:
        raise click.ClickException(str(refusal)) from refusal

    port, durable_port = _port(setup.listener), _port(setup.durable_listener)

    async def live() -> None:
        functions_host = Host(setup, options, os.environ, levels)
        await functions_host.start()
        # What is loaded now stays: the collector need not look through it again and again.
        gc.collect()
        gc.freeze()
        with contextlib.redirect_stdout(announcing):
            ready(port=port, durable_port=durable_port)
        await run(functions_host)

    os.chdir(script_root)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        try:
            runner.run(live())
        except StoreMissing as refusal:
            if listeners:
                sys.exit(NEEDS_STORE)  # whoever passed them knows what to do
            raise click.ClickException(str(refusal)) from refusal
        except StartRefused as refusal:
            raise click.ClickException(str(refusal)) from refusal
    sys.stderr.flush()
    # A thread of a sync function that outlived the grace period must not keep the process alive.
    os._exit(0)


def _inherited(descriptor: str) -> socket.socket:
    listener = socket.socket(fileno=int(descriptor))
    listener.setblocking(False)
    return listener


def _port(listener: socket.socket) -> int:
    port: int = listener.getsockname()[1]
    return port


def _bound(host: str, port: int) -> socket.socket:
    try:
        return bind(host, port)
    except OSError as error:
        raise StartRefused(f"port {port} on {host} cannot be used: {error.strerror}") from error


if __name__ == "__main__":
    main()
