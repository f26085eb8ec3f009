"""A worker for tests: runs the real SDK's orchestrators and plain activities in this process."""

import asyncio
import inspect
import json
import time
import traceback
import warnings
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import azure.durable_functions as df

from localcloud.durable import DurableBackend, Invocation, client_binding

HUB = "TestHub"
KEY = "a key/with=signs"

type Activity = Callable[[Any], Any]
type Entity = Callable[[df.DurableEntityContext], None]
type Orchestrator = Callable[[df.DurableOrchestrationContext], Any]


class WorkerCrashed(Exception):
    """What an invoker raises when the function did not end, well or badly."""


@dataclass
class SdkInvoker:
    """Counts what it runs; `before` and `after` may raise to act a crash."""

    orchestrators: Mapping[str, Orchestrator]
    activities: Mapping[str, Activity]
    entities: Mapping[str, Entity] = field(default_factory=dict)
    turns: int = 0
    bodies: list[str] = field(default_factory=list)
    ran: list[tuple[str, Any]] = field(default_factory=list)
    after: Callable[[str], None] = lambda _: None
    after_entity: Callable[[str], None] = lambda _: None

    async def orchestrate(self, function: str, body: str, *, instance_id: str) -> Invocation:  # noqa: ARG002
        self.turns += 1
        self.bodies.append(body)
        handle = df.Orchestrator.create(self.orchestrators[function])
        try:
            with warnings.catch_warnings():
                # Advice that the SDK gives once; its doubts about history stay errors.
                warnings.filterwarnings("ignore", message="azure.functions df_loads was called")
                state = handle(SimpleNamespace(body=body))
        except Exception as error:  # noqa: BLE001 - the SDK raises a failed orchestrator's state
            invocation = Invocation(ok=False, error=str(error), details=traceback.format_exc())
        else:
            invocation = Invocation(ok=True, value=state)
        self.after(function)
        return invocation

    async def run_entity(self, function: str, body: str, *, instance_id: str) -> Invocation:  # noqa: ARG002
        handle = df.Entity.create(self.entities[function])
        try:
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", message="azure.functions df_loads was called")
                state = handle(SimpleNamespace(body=body))
        except Exception as error:  # noqa: BLE001 - the worker reports whatever the SDK raised
            return Invocation(ok=False, error=str(error), details=traceback.format_exc())
        self.after(function)
        self.after_entity(function)
        return Invocation(ok=True, value=state)

    async def run_activity(self, function: str, argument: str, *, instance_id: str) -> Invocation:  # noqa: ARG002
        value = json.loads(argument)
        self.ran.append((function, value))
        try:
            result = self.activities[function](value)
            if inspect.isawaitable(result):
                result = await result
        except WorkerCrashed:
            raise
        except Exception as error:  # noqa: BLE001 - any failure is the activity's
            invocation = Invocation(ok=False, error=str(error), details=traceback.format_exc())
        else:
            text = None if result is None else json.dumps(result)
            invocation = Invocation(ok=True, value=text)
        self.after(function)
        return invocation


@dataclass
class Hub:
    """A running back end with its worker, its HTTP API and the SDK's client for it."""

    dsn: str
    backend: DurableBackend
    invoker: SdkInvoker
    base: str
    client: df.DurableOrchestrationClient

    async def wait(self, instance_id: str, *, status: str = "", timeout_s: float = 15.0) -> Any:
        """The instance's status once it has finished, or reached `status`."""
        wanted = {status} if status else {"Completed", "Failed", "Terminated"}

        async def reached() -> Any:
            found = await self.client.get_status(instance_id)
            assert found.runtime_status is not None
            return found if found.runtime_status.value in wanted else None

        return await until(reached, timeout_s=timeout_s)

    async def run(self, name: str, value: Any = None, *, instance_id: str | None = None) -> Any:
        """Start an orchestration and give back its final status."""
        return await self.wait(await self.client.start_new(name, instance_id, value))


def names(functions: Mapping[str, Any]) -> dict[str, str]:
    """Durable name, casefolded → function name."""
    return {name.casefold(): name for name in functions}


def binding(base: str) -> str:
    return client_binding(
        hub=HUB,
        public_base=f"{base}/runtime/webhooks/durabletask",
        rpc_base=f"{base}/durabletask",
        key=KEY,
    )


async def until[T](
    probe: Callable[[], Awaitable[T | None]], *, timeout_s: float = 10.0, every_s: float = 0.01
) -> T:
    """The first value of `probe` that is not None or false; fails after `timeout_s`."""
    deadline = time.monotonic() + timeout_s
    while True:
        value = await probe()
        if value:
            return value
        assert time.monotonic() < deadline, "it did not come to pass in time"
        await asyncio.sleep(every_s)


def effect_orchestrators() -> dict[str, Orchestrator]:
    """One orchestrator that runs activity `effect` on its input, then on "end"."""

    def twice(context: df.DurableOrchestrationContext) -> Any:
        first = yield context.call_activity("effect", context.get_input())
        last = yield context.call_activity("effect", "end")
        return [first, last]

    return {"twice": twice}
