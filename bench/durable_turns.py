"""The Durable engine alone: `python -m bench.durable_turns`, the real SDK on a real PostgreSQL."""

import argparse
import asyncio
import json
import resource
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import warnings
from collections.abc import AsyncIterator, Generator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, LiteralString
from unittest import mock

import azure.durable_functions as df
import psycopg

from bench import machine
from localcloud import postgres
from localcloud.durable import DurableBackend, Invocation
from localcloud.durable.database import Database
from localcloud.state import StateFolder

STEPS = 5
PASSWORD = "bench"  # noqa: S105 - of a server that lives as long as the bench
FINISHED = "SELECT count(*) FROM durable.instances WHERE status = 'Completed'"
CLEAN = "TRUNCATE durable.instances, durable.history, durable.inbox, durable.tasks"

type Steps = Generator[Any, Any, Any]
type Context = df.DurableOrchestrationContext
type Db = psycopg.AsyncConnection[Any]


def saga(context: Context) -> Steps:
    """Five activities with retry, one after the other."""
    options = df.RetryOptions(1000, 3)
    for step in range(STEPS):
        yield context.call_activity_with_retry("nothing", options, step)


def fan(context: Context) -> Steps:
    """As many activities at once as the input says."""
    count = context.get_input()
    yield context.task_all([context.call_activity("nothing", n) for n in range(count)])


class Worker:
    """Runs the orchestrators above in this process, and activities that do nothing."""

    def __init__(self) -> None:
        self.turns = 0
        self._handles = {f.__name__: df.Orchestrator.create(f) for f in (saga, fan)}

    async def orchestrate(self, function: str, body: str, *, instance_id: str) -> Invocation:  # noqa: ARG002
        """One replay through the SDK."""
        self.turns += 1
        return Invocation(ok=True, value=self._handles[function](SimpleNamespace(body=body)))

    async def run_activity(self, function: str, argument: str, *, instance_id: str) -> Invocation:  # noqa: ARG002
        """Nothing, and give back what came."""
        return Invocation(ok=True, value=argument)

    async def run_entity(self, function: str, body: str, *, instance_id: str) -> Invocation:  # noqa: ARG002
        """The bench has no entities."""
        return Invocation(ok=False, error="unknown")


@asynccontextmanager
async def server() -> AsyncIterator[str]:
    """A PostgreSQL server of its own, with fsync; the connection string of its database."""
    folder = Path(tempfile.mkdtemp(prefix="bench-durable-"))
    state = StateFolder(folder)
    state.create()
    await asyncio.to_thread(postgres.prepare, state, PASSWORD)
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    process = await asyncio.create_subprocess_exec(
        *postgres.command(state, port),
        user=postgres.user() or None,
        stderr=subprocess.DEVNULL,
        cwd="/",
    )
    try:
        await _created(port)
        yield f"postgresql://durable:{PASSWORD}@127.0.0.1:{port}/durable"
    finally:
        process.send_signal(signal.SIGINT)
        await process.wait()
        postgres.remove_private_folder(state)
        shutil.rmtree(folder)


async def _created(port: int) -> None:
    deadline = time.monotonic() + 20
    while True:
        try:
            await asyncio.to_thread(
                postgres.create_databases, port, PASSWORD, {"durable": PASSWORD}
            )
        except psycopg.OperationalError:
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(0.05)
        else:
            return


async def completed(db: Db) -> int:
    """How many instances have completed."""
    row = await (await db.execute(FINISHED)).fetchone()
    assert row is not None
    return int(row[0])


async def sagas(backend: DurableBackend, worker: Worker, db: Db, count: int, flight: int) -> Any:
    """`count` sagas, `flight` at a time."""
    await db.execute(CLEAN)
    worker.turns, started, ended = 0, 0, 0
    with counted_statements() as statements:
        cpu, began = time.process_time(), time.perf_counter()
        while ended < count:
            for number in range(started, min(count, ended + flight)):
                await backend.instances.start("saga", instance_id=f"s{number}", input_=None)
                started += 1
            await asyncio.sleep(0.005)
            ended = await completed(db)
        took, cpu = time.perf_counter() - began, time.process_time() - cpu
    return {
        "in_flight": flight,
        "orchestrations_per_s": round(count / took, 1),
        "turns_per_s": round(worker.turns / took, 1),
        "cpu_ms_per_orchestration": round(1000 * cpu / count, 2),
        "transactions_per_orchestration": round(len(statements) / count, 2),
    }


@contextmanager
def counted_statements() -> Iterator[list[str]]:
    """Collects the engine's statements: each is a transaction."""
    statements: list[str] = []
    rows = Database.rows

    async def counted(self: Database, query: LiteralString, params: Mapping[str, Any]) -> Any:
        statements.append(query)
        return await rows(self, query, params)

    with mock.patch.object(Database, "rows", counted):
        yield statements


async def fan_out(backend: DurableBackend, worker: Worker, db: Db, count: int) -> Any:
    """One orchestration with `count` activities at once."""
    await db.execute(CLEAN)
    worker.turns, began = 0, time.perf_counter()
    await backend.instances.start("fan", instance_id="fan", input_=json.dumps(str(count)))
    while True:
        await asyncio.sleep(0.02)
        if await completed(db):
            return {"seconds": round(time.perf_counter() - began, 2), "turns": worker.turns}


@asynccontextmanager
async def engine() -> AsyncIterator[tuple[DurableBackend, Worker, Db]]:
    """The engine at work on a server of its own."""
    warnings.filterwarnings("ignore", message="azure.functions df_loads was called")
    worker = Worker()
    async with (
        server() as dsn,
        await psycopg.AsyncConnection.connect(dsn, autocommit=True) as db,
    ):
        backend = DurableBackend(
            dsn,
            hub="Bench",
            invoker=worker,
            orchestrators={"saga": "saga", "fan": "fan"},
            activities={"nothing": "nothing"},
            max_orchestrations=16,
            max_activities=16,
        )
        await backend.start()
        try:
            await sagas(backend, worker, db, 50, 8)
            yield backend, worker, db
        finally:
            await backend.drain(5)


async def measure(count: int) -> dict[str, Any]:
    """All the figures."""
    async with engine() as (backend, worker, db):
        return {
            "sagas": [await sagas(backend, worker, db, count, n) for n in (1, 8, 16)],
            "fan_out_1000": [await fan_out(backend, worker, db, 1000) for _ in range(2)],
            "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
            "machine": machine.state(),
        }


async def thousand_at_once() -> list[float]:
    """Seconds that an orchestration with 1,000 activities at once takes, of three runs."""
    async with engine() as (backend, worker, db):
        return [(await fan_out(backend, worker, db, 1000))["seconds"] for _ in range(3)]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=300, help="sagas per figure")
    print(json.dumps(asyncio.run(measure(parser.parse_args().count)), indent=2))


if __name__ == "__main__":
    main()
