"""One process of the host, from its settings to its end."""

import asyncio
import contextlib
import gc
import os
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import click
import uvloop

from localcloud.functions import logs
from localcloud.functions.errors import (
    NEEDS_ACCOUNT,
    NEEDS_STORE,
    AccountMissing,
    StartRefused,
    StoreMissing,
)
from localcloud.functions.guard import Life
from localcloud.functions.host import Host, Setup, run
from localcloud.functions.lifelines import Lifelines
from localcloud.functions.references import References
from localcloud.functions.settings import load_host_options, load_local_settings
from localcloud.process import ready


@dataclass(frozen=True, slots=True)
class Order:
    """What the command line asks for. The listeners are bound sockets."""

    script_root: Path
    state: Path
    listener: socket.socket
    durable_listener: socket.socket
    require_keys: bool
    grace_s: float
    log_format: Literal["text", "json", "terminal"]
    only: tuple[str, ...]
    store_at_hand: bool
    """Whether whoever started the host can start a database for it, if it asks."""
    emulator_at_hand: bool
    """Whether it can start a storage emulator."""
    lifelines: Lifelines


def serve(order: Order, life: Life, *, announce: Callable[[], None]) -> int:
    """Run the app until it is drained; the exit code of the process. See `guard.Serve`."""
    # Standard output carries only the READY line; what the app prints goes with the log.
    announcing, sys.stdout = sys.stdout, sys.stderr
    os.chdir(order.script_root)
    port, durable_port = _port(order.listener), _port(order.durable_listener)
    # It is not closed: a function that does not heed its cancellation would keep it from ending.
    runner = asyncio.Runner(loop_factory=uvloop.new_event_loop)
    try:
        host = _host(order, leads=life.number == 0)
        if life.ended:
            logs.host_log.error("The app's process %s: this is a new one", life.ended)
        runner.run(_start(host))
        if life.completes:
            with contextlib.redirect_stdout(announcing):
                ready(port=port, durable_port=durable_port)
        announce()
        code = runner.run(run(host))
    except StartRefused as refusal:
        if isinstance(refusal, StoreMissing) and order.store_at_hand:
            return NEEDS_STORE
        if isinstance(refusal, AccountMissing):
            return NEEDS_ACCOUNT
        click.ClickException(str(refusal)).show()
        return 1
    sys.stderr.flush()
    return code


def _host(order: Order, *, leads: bool) -> Host:
    load_local_settings(order.script_root, os.environ)
    references = References(os.environ)
    options = load_host_options(order.script_root, os.environ)
    levels = logs.LogLevels(options.log_levels)
    logs.configure(levels, style=order.log_format)
    references.resolve()
    setup = Setup(
        script_root=order.script_root,
        state=order.state,
        listener=order.listener,
        durable_listener=order.durable_listener,
        require_keys=order.require_keys,
        grace_s=order.grace_s,
        lifelines=order.lifelines,
        only=order.only,
        emulator_at_hand=order.emulator_at_hand,
        leads=leads,
        references=references,
    )
    return Host(setup, options, os.environ, levels)


async def _start(host: Host) -> None:
    await host.start()
    # What is loaded now stays: the collector need not look through it again and again.
    gc.collect()
    gc.freeze()


def _port(listener: socket.socket) -> int:
    port: int = listener.getsockname()[1]
    return port
