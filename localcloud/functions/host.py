"""The host's life: index, refuse or start, serve, drain."""

import asyncio
import os
import signal
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import psycopg

from localcloud.durable import DurableBackend
from localcloud.durable.schema import WrongHub
from localcloud.functions import durable, worker
from localcloud.functions.admin import AdminApi
from localcloud.functions.banner import describe
from localcloud.functions.bindings import Bindings
from localcloud.functions.bounds import body_limit
from localcloud.functions.catalogue import HTTP, TIMER, Function, chosen, functions_of
from localcloud.functions.errors import RECYCLE, StartRefused
from localcloud.functions.execution import Executor
from localcloud.functions.http import AsgiApp, HttpFront
from localcloud.functions.inputs import Inputs
from localcloud.functions.keys import load_keys
from localcloud.functions.lifelines import Lifelines
from localcloud.functions.logs import LogLevels, host_log
from localcloud.functions.references import References
from localcloud.functions.routing import Router, routes_of
from localcloud.functions.running import Running
from localcloud.functions.server import Server
from localcloud.functions.settings import HostOptions
from localcloud.functions.timers import Timers

_LAST_WORD_S = 2.0
_FAREWELL_S = 10.0


@dataclass(frozen=True, slots=True)
class Setup:
    """What the command line decides. The listeners are bound sockets."""

    script_root: Path
    state: Path
    listener: socket.socket
    durable_listener: socket.socket
    require_keys: bool
    grace_s: float
    lifelines: Lifelines
    references: References
    only: tuple[str, ...] = ()
    """Names of the functions to run; empty means all."""
    emulator_at_hand: bool = False
    """Whether whoever started the host finds or starts a storage emulator, if it asks."""
    leads: bool = True
    """Whether this process does what one alone of the app does: fire timers, list functions."""


class Host:
    """One function app, running."""

    def __init__(
        self, setup: Setup, options: HostOptions, environ: Mapping[str, str], levels: LogLevels
    ) -> None:
        self._setup, self._options, self._environ = setup, options, environ
        self.references = setup.references
        self.worn_out = asyncio.Event()
        """Set when the process is to be replaced: a function's thread cannot be had back."""
        self._executor = Executor(
            timeout_s=options.function_timeout_s, levels=levels, on_stuck=self._wear_out
        )
        self._servers: list[Server] = []
        self._backend: DurableBackend | None = None
        self._timers: Timers | None = None
        self._bindings: Bindings | None = None

    async def start(self) -> None:
        """Index the app, start every listener, print the functions. StartRefused tells why not."""
        setup, options = self._setup, self._options
        if options.unheeded:
            host_log.warning("host.json: without effect here: %s", ", ".join(options.unheeded))
        indexed = await worker.index(setup.script_root)
        functions = functions_of(chosen(indexed, setup.only, options.only), self._environ)
        origin, rpc_origin = _origin(setup.listener), _origin(setup.durable_listener)
        keys = load_keys(setup.state, [f.name for f in functions if f.trigger == HTTP])
        event_grid_keys = (keys.master, keys.event_grid) if setup.require_keys else ()
        routes = routes_of([f for f in functions if f.trigger == HTTP], options.route_prefix)
        client = durable.client_for(options, rpc_origin=rpc_origin, key=keys.durable)
        inputs = Inputs(origin=origin, client=client)
        self._timers = Timers(
            [f for f in functions if f.trigger == TIMER],
            state=setup.state,
            environ=self._environ,
            executor=self._executor,
            inputs=inputs,
            retry=options.retry,
        )
        self._bindings = Bindings(
            functions,
            options=options,
            environ=self._environ,
            script_root=setup.script_root,
            executor=self._executor,
            inputs=inputs,
            event_grid_keys=event_grid_keys,
            emulator_at_hand=setup.emulator_at_hand,
            leads=setup.leads,
        )
        management = await self._start_durable(
            functions, inputs, origin=origin, rpc_origin=rpc_origin, key=keys.durable
        )
        urls = {route.function.name: f"{origin}/{route.template}" for route in routes}
        front = HttpFront(
            router=Router(routes),
            executor=self._executor,
            inputs=inputs,
            keys=keys,
            require_keys=setup.require_keys,
            admin=AdminApi(
                functions,
                script_root=setup.script_root,
                origin=origin,
                urls=urls,
                keys=keys,
                require_keys=setup.require_keys,
                by_hand={
                    **{name: timer.by_hand for name, timer in self._timers.by_name.items()},
                    **self._bindings.by_hand,
                },
            ),
            durable=management,
            event_grid=self._bindings.event_grid,
            body_limit=body_limit(self._environ),
        )
        self._servers.append(Server(front, setup.listener, setup.lifelines))
        for server in self._servers:
            await server.start()
        self._executor.start()
        self._bindings.start()
        if setup.leads:
            self._timers.start()
            asked_for = keys if setup.require_keys else None
            listing = describe(functions, routes, urls, asked_for, origin=origin)
            host_log.info("%s", listing, extra={"plain": True})

    def _wear_out(self, stuck: Running) -> None:
        if not self.worn_out.is_set():
            host_log.warning(
                "A function timeout has occurred. Restarting the process that executes "
                "invocation '%s'.",
                stuck.invocation_id,
            )
        self.worn_out.set()

    async def _start_durable(
        self, functions: list[Function], inputs: Inputs, *, origin: str, rpc_origin: str, key: str
    ) -> AsgiApp | None:
        if not durable.needs_backend(functions):
            self._setup.durable_listener.close()
            return None
        self._backend = durable.backend_for(
            functions,
            dsn=self._environ.get(durable.DSN_SETTING),
            options=self._options,
            executor=self._executor,
            inputs=inputs,
        )
        app = durable.management(
            self._backend,
            origin=origin,
            rpc_origin=rpc_origin,
            key=key,
            require_key=self._setup.require_keys,
        )
        self._servers.append(Server(app, self._setup.durable_listener))
        try:
            await self._backend.start()
        except (psycopg.Error, WrongHub) as error:
            raise StartRefused(
                f"the database of {durable.DSN_SETTING} cannot be used: {error}"
            ) from error
        return app

    async def drain(self) -> None:
        """Take nothing new, let what runs finish within the grace period, hang up.

        The Durable RPC port stays open until the end: running functions may start orchestrations.
        """
        host_log.info("draining")
        assert self._timers is not None, "the host was started"
        assert self._bindings is not None, "the host was started"
        public = self._servers[-1]
        public.stop_accepting()
        self._timers.stop()
        self._bindings.stop()
        until = time.monotonic() + self._setup.grace_s
        # Durable work last: what runs now may still start orchestrations through the back end.
        await self._executor.finished(until, durable=False)
        if self._backend is not None:
            await self._backend.drain(max(until - time.monotonic(), 0.0))
        await self._executor.finished(until, durable=True)
        await self._executor.end_all()
        try:
            async with asyncio.timeout(_FAREWELL_S):
                await self._hang_up()
        except TimeoutError:
            host_log.warning("a function does not heed its end; the process ends all the same")
        host_log.info("drained")

    async def _hang_up(self) -> None:
        assert self._timers is not None, "the host was started"
        assert self._bindings is not None, "the host was started"
        await self._servers[-1].closed(_LAST_WORD_S)
        await self._timers.ended()
        await self._bindings.close()
        await durable.close_clients()
        for server in self._servers[:-1]:
            server.stop_accepting()
            await server.closed(_LAST_WORD_S)


def _origin(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://{host}:{port}"


async def run(host: Host) -> int:
    """Wait for SIGTERM or SIGINT, then drain; a second one ends the process at once.

    The exit code of the process: RECYCLE when it ends because it is worn out, or because a secret
    that a setting refers to has a new value.
    """
    loop = asyncio.get_running_loop()
    asked = asyncio.Event()

    def ask() -> None:
        if asked.is_set():
            os._exit(1)
        asked.set()

    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, ask)
    reasons = asked.wait(), host.worn_out.wait(), host.references.changed()
    ends = [loop.create_task(reason) for reason in reasons]
    await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
    for end in ends:
        end.cancel()
    await host.drain()
    return 0 if asked.is_set() else RECYCLE
