"""Durable Functions in the host: what the engine asks of the worker, and the client binding."""

import sys
from collections.abc import Callable, Sequence
from functools import lru_cache

from localcloud.durable import DurableBackend, Invocation, client_binding, management_app
from localcloud.functions.catalogue import ACTIVITY, ENTITY, ORCHESTRATION, Function
from localcloud.functions.errors import StartRefused, StoreMissing
from localcloud.functions.execution import Executor, Outcome
from localcloud.functions.http import AsgiApp
from localcloud.functions.inputs import Inputs
from localcloud.functions.protos import TypedData
from localcloud.functions.settings import HostOptions
from localcloud.functions.tracing import trace_of_instance

DSN_SETTING = "LOCALCLOUD_DURABLE_PG_URL"
PUBLIC_PATH, RPC_PATH = "/runtime/webhooks/durabletask", "/durabletask"

# Origins come from the Host header: remember few.
_REMEMBERED_ORIGINS = 64
# Longer than any activity may run, so that a slow one is not started twice.
_LEASE_MARGIN_S = 30.0
_UNLIMITED_LEASE_S = 3600.0


class CutShort(Exception):
    """The host ended the invocation; the engine gives the work back."""


class WorkerInvoker:
    """Runs orchestrators, activities and entities for the engine."""

    def __init__(self, functions: Sequence[Function], executor: Executor, inputs: Inputs) -> None:
        self._functions = {function.name: function for function in functions}
        self._executor, self._inputs = executor, inputs

    async def orchestrate(self, function: str, body: str, *, instance_id: str) -> Invocation:
        """Run a turn of orchestrator `function`. CutShort when the host ended it."""
        return await self._invoke(function, body, instance_id, "turn")

    async def run_activity(self, function: str, argument: str, *, instance_id: str) -> Invocation:
        """Run activity `function` on the JSON text `argument`. CutShort when the host ended it."""
        return await self._invoke(function, argument, instance_id, "activity")

    async def run_entity(self, function: str, body: str, *, instance_id: str) -> Invocation:
        """Run a batch of operations of entity `function`. CutShort when the host ended it."""
        return await self._invoke(function, body, instance_id, "operations")

    async def _invoke(self, name: str, text: str, instance_id: str, what: str) -> Invocation:
        function = self._functions[name]
        outcome = await self._executor.execute(
            function,
            self._inputs.of(function, TypedData(string=text)),
            trace=trace_of_instance(instance_id),
            reason=f"{what} of {instance_id}",
        )
        if outcome.cut_short and not outcome.ok:
            raise CutShort(outcome.error)
        return _invocation(outcome)


def _invocation(outcome: Outcome) -> Invocation:
    if not outcome.ok:
        return Invocation(ok=False, error=outcome.error, details=outcome.details)
    value = outcome.value.value if outcome.value is not None else None
    return Invocation(ok=True, value=None if value is None else str(value))


def client_for(options: HostOptions, *, rpc_origin: str, key: str) -> Callable[[str], str]:
    """What a durable client parameter receives, by the public origin of the request."""

    @lru_cache(maxsize=_REMEMBERED_ORIGINS)
    def binding(origin: str) -> str:
        return client_binding(
            hub=options.durable.hub_name,
            public_base=origin + PUBLIC_PATH,
            rpc_base=rpc_origin + RPC_PATH,
            key=key,
        )

    return binding


def needs_backend(functions: Sequence[Function]) -> bool:
    """Whether the app has anything that the Durable back end must run or answer."""
    return any(f.is_durable or f.clients for f in functions)


def backend_for(
    functions: Sequence[Function],
    *,
    dsn: str | None,
    options: HostOptions,
    executor: Executor,
    inputs: Inputs,
) -> DurableBackend:
    """The engine for the app's orchestrators, activities and entities.

    StoreMissing without a database, StartRefused when two functions share a durable name.
    """
    if not dsn:
        raise StoreMissing(
            f"the app uses Durable Functions, which need a PostgreSQL database: set {DSN_SETTING}"
        )
    limit_s = options.function_timeout_s
    return DurableBackend(
        dsn,
        hub=options.durable.hub_name,
        invoker=WorkerInvoker(functions, executor, inputs),
        orchestrators=_by_durable_name(functions, ORCHESTRATION),
        activities=_by_durable_name(functions, ACTIVITY),
        entities=_by_durable_name(functions, ENTITY),
        max_orchestrations=options.durable.max_orchestrations,
        max_activities=options.durable.max_activities,
        activity_lease_s=_UNLIMITED_LEASE_S if limit_s is None else limit_s + _LEASE_MARGIN_S,
    )


def management(
    backend: DurableBackend, *, origin: str, rpc_origin: str, key: str, require_key: bool
) -> AsgiApp:
    """The HTTP API that clients of orchestrations call, below both of its prefixes."""
    app: AsgiApp = management_app(
        backend,
        public_base=origin + PUBLIC_PATH,
        rpc_base=rpc_origin + RPC_PATH,
        key=key,
        require_key=require_key,
    )
    return app


async def close_clients() -> None:
    """Close the connections that the SDK's durable clients share; it has no hook of its own."""
    module = sys.modules.get("azure.durable_functions.models.utils.http_utils")
    if module is not None:
        await module._close_session()  # noqa: SLF001 - else it complains at exit


def _by_durable_name(functions: Sequence[Function], trigger: str) -> dict[str, str]:
    names: dict[str, str] = {}
    for function in functions:
        if function.trigger != trigger or function.disabled:
            continue
        name = function.durable_name.casefold()
        if name in names:
            raise StartRefused(
                f"functions {names[name]!r} and {function.name!r} share the durable name {name!r}"
            )
        names[name] = function.name
    return names
