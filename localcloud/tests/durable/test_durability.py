"""Nothing is lost and nothing counts twice, whatever dies or is delivered again."""

import asyncio
import random
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections import Counter
from collections.abc import AsyncIterator, Generator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import azure.durable_functions as df
import psycopg
import pytest
from psycopg import AsyncConnection

from localcloud.durable import events
from localcloud.durable.batch import draw
from localcloud.durable.decision import decide
from localcloud.durable.invocation import Invocation
from localcloud.durable.outcome import Functions
from localcloud.durable.presence import Presence
from localcloud.durable.schema import WrongHub, install
from localcloud.durable.store import leased_turn
from localcloud.durable.turn import Progress, Turn
from localcloud.tests.durable.conftest import MakeHub
from localcloud.tests.durable.host_process import GATE
from localcloud.tests.durable.sdk import (
    WorkerCrashed,
    effect_orchestrators,
    until,
)

type Steps = Generator[Any, Any, Any]
type Context = df.DurableOrchestrationContext
type Database = AsyncConnection[Any]


async def _column(database: Database, query: Any, *params: Any) -> list[Any]:
    return [row[0] for row in await (await database.execute(query, params)).fetchall()]


def chain(context: Context) -> Steps:
    total = 0
    for step in range(4):
        total += yield context.call_activity("double", step)
    return total


def fan(context: Context) -> Steps:
    tasks = [context.call_activity("double", n) for n in range(20)]
    return sum((yield context.task_all(tasks)))


def retrying(context: Context) -> Steps:
    options = df.RetryOptions(1, 60)
    tasks = [context.call_activity_with_retry("flaky", options, n) for n in range(6)]
    tasks.append(context.call_activity("double", 9))
    yield context.task_any(tasks)
    extra = yield context.call_activity("double", 10)
    results = yield context.task_all(tasks)
    try:
        yield context.call_activity_with_retry("fail", df.RetryOptions(1, 2), 1)
    except Exception as error:  # noqa: BLE001 - the SDK raises nothing narrower
        return [extra, results, str(error).split("\n")[0]]


def racing(context: Context) -> Steps:
    timeout = context.create_timer(context.current_utc_datetime + timedelta(hours=1))
    answer = context.wait_for_external_event("Answer")
    winner = yield context.task_any([answer, timeout])
    timeout.cancel()
    last = yield context.call_activity("double", 21)
    return [winner is answer, last]


def unlucky(context: Context) -> Steps:
    return (yield context.call_activity("flaky", 3))


def family(context: Context) -> Steps:
    children = [
        context.call_sub_orchestrator("chain"),
        context.call_sub_orchestrator_with_retry("unlucky", df.RetryOptions(1, 60)),
    ]
    return (yield context.task_all(children))


def again(context: Context) -> Steps:
    generation = context.get_input() or 0
    doubled = yield context.call_activity("double", generation)
    if generation < 5:
        context.continue_as_new(generation + 1)
        return None
    return doubled


def counting(context: Context) -> Steps:
    entity = df.EntityId("counter", "shared")
    context.signal_entity(entity, "add", 1)
    calls = [context.call_entity(entity, "add", 1) for _ in range(3)]
    yield context.task_all(calls)
    return "counted"


def counter(context: df.DurableEntityContext) -> None:
    context.set_state(context.get_state(lambda: 0) + context.get_input())


def fail(what: Any) -> None:
    raise ValueError(f"no {what}")


DUPLICATE = """
    CREATE FUNCTION duplicate() RETURNS trigger
    LANGUAGE plpgsql AS $$
    BEGIN
        IF random() < 0.25 AND NEW.execution_id IS NOT NULL THEN
            INSERT INTO durable.inbox (instance_id, execution_id, visible_at, timer_id, event)
            VALUES (NEW.instance_id, NEW.execution_id, NEW.visible_at, NEW.timer_id, NEW.event);
        END IF;
        RETURN NULL;
    END
    $$;
    CREATE TRIGGER duplicate
    AFTER INSERT ON durable.inbox
    FOR EACH ROW WHEN (pg_trigger_depth() = 0) EXECUTE FUNCTION duplicate()
"""
DELIVER_ONCE = "DROP FUNCTION duplicate CASCADE"
STEAL = (
    """
    UPDATE durable.tasks
    SET owner = NULL, lease_until = '-infinity', token = token + 1
    WHERE owner IS NOT NULL AND random() < 0.3
    """,
    """
    UPDATE durable.instances
    SET owner = NULL, lease_until = '-infinity', token = token + 1
    WHERE owner IS NOT NULL AND random() < 0.3
    """,
)


@asynccontextmanager
async def _duplicates(database: Database) -> AsyncIterator[None]:
    """Delivers a quarter of all messages twice, but for what clients and entities are asked."""
    await database.execute(DUPLICATE)
    try:
        yield
    finally:
        await database.execute(DELIVER_ONCE)


@asynccontextmanager
async def _thief(database: Database) -> AsyncIterator[None]:
    """Takes leases away from whoever holds them, now and then."""

    async def steal() -> None:
        while True:
            for statement in STEAL:
                await database.execute(statement)
            await asyncio.sleep(0.01)

    task = asyncio.create_task(steal())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.mark.parametrize("seed", range(3))
async def test_crashes_duplicates_and_lost_leases_change_no_result(
    make_hub: MakeHub, database: Database, seed: int
) -> None:
    chance = random.Random(seed)  # noqa: S311 - chaos, not secrets

    def crash(_: str) -> None:
        if chance.random() < 0.2:
            raise WorkerCrashed

    async def double(number: int) -> int:
        await asyncio.sleep(chance.random() * 0.01)
        return 2 * number

    async def flaky(number: int) -> int:
        if chance.random() < 0.5:
            raise RuntimeError("not yet")
        return await double(number)

    hub = await make_hub(
        {f.__name__: f for f in (chain, fan, retrying, racing, unlucky, family, again, counting)},
        {"double": double, "flaky": flaky, "fail": fail},
        {"counter": counter},
        max_attempts=1000,
        first_pause_s=0.0001,
    )
    hub.invoker.after = crash
    async with (
        await AsyncConnection.connect(hub.dsn, autocommit=True) as other,
        _duplicates(database),
        _thief(other),
    ):
        started = [
            await hub.client.start_new(name)
            for _ in range(2)
            for name in ("chain", "fan", "retrying", "racing", "family", "again", "counting")
        ]
        for instance_id in (started[3], started[10]):
            await hub.client.raise_event(instance_id, "answer", 1)
        statuses = [await hub.wait(instance_id, timeout_s=30) for instance_id in started]

    assert [status.output for status in statuses] == 2 * [
        12,
        380,
        [20, [0, 2, 4, 6, 8, 10, 18], "Activity function 'fail' failed: no 1 "],
        [True, 42],
        [12, 6],
        10,
        "counted",
    ]
    state = await hub.client.read_entity_state(df.EntityId("counter", "shared"))
    assert state.entity_state == 8
    assert await _column(database, "SELECT count(*) FROM durable.tasks") == [0]
    assert await _column(database, "SELECT count(*) FROM durable.inbox") == [0]
    completions = await _column(
        database,
        """
        SELECT count(*)
        FROM durable.history AS h, json_array_elements(('[' || h.events || ']')::json) AS e
        WHERE e ->> 'EventType' IN ('5', '6', '8', '9', '11')
        GROUP BY h.instance_id, COALESCE(e ->> 'TaskScheduledId', e ->> 'TimerId')
        """,
    )
    assert set(completions) == {1}


async def _lease(database: Database, name: str = "chain") -> Turn:
    """A turn of a fresh instance, leased to a host that does not exist."""
    event = events.execution_started(
        instance_id="i", execution_id="e", name=name, version="", input_=None
    )
    cursor = await database.execute(
        "SELECT (turn).* FROM durable.start_instance('i', 'e', %s, '', NULL, %s, 99, 60, true)",
        [name, event],
    )
    row = await cursor.fetchone()
    assert row is not None
    turn = leased_turn(row)
    assert turn is not None
    return turn


async def test_a_host_whose_lease_was_taken_over_cannot_commit(
    make_hub: MakeHub, database: Database
) -> None:
    hub = await make_hub({"chain": chain}, {"double": lambda n: 2 * n})
    stale = await _lease(database)
    await database.execute("UPDATE durable.instances SET owner = NULL, lease_until = '-infinity'")
    assert (await hub.wait("i")).output == 12

    batch = draw(stale, progress := Progress())
    decision = decide(
        stale,
        batch,
        progress,
        Invocation(ok=True, value='{"isDone": true, "actions": [[]], "output": "stolen"}'),
        at=events.now(),
        functions=Functions(),
        await_open=True,
    )
    store = hub.backend.instances._store
    before = await _column(database, "SELECT instances::text FROM durable.instances")
    assert await store.commit_turn(stale, batch, decision, reserved=0) == (False, None)
    assert await _column(database, "SELECT instances::text FROM durable.instances") == before
    assert await _column(database, "SELECT count(*) FROM durable.history") == [5]


async def test_a_turn_is_committed_once_though_the_answer_was_lost(
    make_hub: MakeHub, database: Database
) -> None:
    turn = await _lease(database, "nobody")
    hub = await make_hub({"chain": chain})
    batch = draw(turn, progress := Progress())
    decision = decide(
        turn,
        batch,
        progress,
        Invocation(ok=True, value='{"isDone": false, "actions": [[]]}'),
        at=events.now(),
        functions=Functions(),
        await_open=True,
    )
    store = hub.backend.instances._store
    assert await store.commit_turn(turn, batch, decision, reserved=0) == (True, None)
    assert await store.commit_turn(turn, batch, decision, reserved=0) == (False, None)
    assert await _column(database, "SELECT turns FROM durable.instances") == [1]


@asynccontextmanager
async def _host(dsn: str) -> AsyncIterator[Process]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "localcloud.tests.durable.host_process", dsn, stdout=PIPE
    )
    assert process.stdout is not None
    try:
        assert await asyncio.wait_for(process.stdout.readline(), 30) == b"READY\n"
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def _begun(database: Database, count: int) -> None:
    async def written() -> bool:
        return await _column(database, "SELECT count(*) FROM effects") == [count]

    await until(written)


async def _start_elsewhere(database: Database) -> None:
    """Start `twice` as instance "i"; any host may take it."""
    event = events.execution_started(
        instance_id="i", execution_id="e", name="twice", version="", input_='"\\"once\\""'
    )
    await database.execute(
        """
        SELECT existing
        FROM durable.start_instance('i', 'e', 'twice', '', '"\\"once\\""', %s, 0, 0, false)
        """,
        [event],
    )


@pytest.mark.conforms(
    "Reliability",
    "the work of a host that died goes on in another",
    source="learn:azure/azure-functions/durable/durable-functions-orchestrations#reliability",
)
async def test_the_work_of_a_killed_host_goes_on_in_another_within_seconds(
    make_hub: MakeHub, dsn: str, database: Database
) -> None:
    async with await AsyncConnection.connect(dsn, autocommit=True) as gate:
        await gate.execute("SELECT pg_advisory_lock(%s)", [GATE])
        async with _host(dsn) as process:
            await _start_elsewhere(database)
            await _begun(database, 1)
            process.send_signal(signal.SIGKILL)
            await process.wait()

    hub = await make_hub(effect_orchestrators(), {"effect": str.upper})
    status = await hub.wait("i", timeout_s=5)
    assert status.output == ["ONCE", "END"]
    assert hub.invoker.ran == [("effect", "once"), ("effect", "end")]
    assert await _column(database, "SELECT count(*) FROM durable.hosts") == [1]


@pytest.mark.conforms(
    "Reliability",
    "activities run at least once: between effect and checkpoint a crash repeats them",
    source="learn:azure/azure-functions/durable/durable-functions-types-features-overview#activity-functions",
)
async def test_a_host_killed_between_effect_and_checkpoint_repeats_the_effect_only(
    make_hub: MakeHub, dsn: str, database: Database
) -> None:
    waiting = """
        SELECT count(*)
        FROM pg_stat_activity
        WHERE datname = current_database()
          AND query LIKE '%%complete_task%%'
          AND wait_event_type = 'Lock'
    """

    async def blocked(count: int) -> None:
        async def probe() -> bool:
            return await _column(database, waiting) == [count]

        await until(probe)

    async with (
        await AsyncConnection.connect(dsn, autocommit=True) as gate,
        await AsyncConnection.connect(dsn) as holder,
    ):
        await gate.execute("SELECT pg_advisory_lock(%s)", [GATE])
        async with _host(dsn) as process:
            await _start_elsewhere(database)
            await _begun(database, 1)
            await holder.execute("SELECT name FROM durable.tasks FOR UPDATE")
            await gate.execute("SELECT pg_advisory_unlock(%s)", [GATE])
            await blocked(1)
            process.send_signal(signal.SIGKILL)
            await process.wait()
        await blocked(0)
        hub = await make_hub(effect_orchestrators(), {"effect": str.upper})
        assert hub.invoker.ran == []
        await holder.rollback()

        status = await hub.wait("i", timeout_s=5)
    assert status.output == ["ONCE", "END"]
    assert hub.invoker.ran == [("effect", "once"), ("effect", "end")]


async def test_two_hosts_share_the_work_and_run_each_activity_once(make_hub: MakeHub) -> None:
    async def double(number: int) -> int:
        await asyncio.sleep(0.02)
        return 2 * number

    first = await make_hub({"fan": fan}, {"double": double}, max_activities=3)
    second = await make_hub({"fan": fan}, {"double": double}, max_activities=3)
    assert (await first.run("fan")).output == 380

    ran = Counter(value for hub in (first, second) for _, value in hub.invoker.ran)
    assert ran == Counter(range(20))
    assert len(second.invoker.ran) > 3


async def test_an_activity_that_crashes_its_worker_again_and_again_fails(
    make_hub: MakeHub, caplog: pytest.LogCaptureFixture
) -> None:
    def poison(_: Any) -> None:
        raise WorkerCrashed

    def doomed(context: Context) -> Steps:
        try:
            yield context.call_activity("poison", "secret")
        except Exception as error:  # noqa: BLE001 - the SDK raises nothing narrower
            return str(error).split("\n")[0]

    hub = await make_hub({"doomed": doomed}, {"poison": poison}, max_attempts=3)
    assert (await hub.run("doomed", instance_id="d")).output == (
        "Activity function 'poison' failed: the worker gave it up 3 times "
    )
    assert len(hub.invoker.ran) == 3
    errors = [record.message for record in caplog.records if record.levelname == "ERROR"]
    assert errors == ["activity 'poison' of d is given up after 3 attempts"]
    assert "secret" not in caplog.text


async def test_an_orchestrator_that_crashes_its_worker_is_quarantined_and_can_be_terminated(
    make_hub: MakeHub, database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    def crash(_: str) -> None:
        raise WorkerCrashed

    hub = await make_hub({"chain": chain}, {"double": str}, max_attempts=3)
    hub.invoker.after = crash
    instance_id = await hub.client.start_new("chain", "q")

    async def quarantined() -> bool:
        return await _column(
            database, "SELECT quarantined_at IS NOT NULL FROM durable.instances"
        ) == [True]

    await until(quarantined)
    assert hub.invoker.turns == 3
    errors = [record.message for record in caplog.records if record.levelname == "ERROR"]
    assert errors == ["a turn of 'chain' q is quarantined after 3 attempts"]
    await hub.client.raise_event(instance_id, "anything", 1)
    assert await hub.backend.instances._store.take_due(10) == []

    await hub.client.terminate(instance_id, "beyond help")
    status = await hub.wait(instance_id)
    assert status.runtime_status is df.OrchestrationRuntimeStatus.Terminated
    assert hub.invoker.turns == 3


async def test_draining_finishes_what_runs_and_gives_back_what_takes_too_long(
    make_hub: MakeHub, database: Database
) -> None:
    release = asyncio.Event()

    async def slow(number: int) -> int:
        if number:
            await release.wait()
        else:
            await asyncio.sleep(0.2)
        return number

    def pair(context: Context) -> Steps:
        return (yield context.task_all([context.call_activity("slow", n) for n in (0, 1)]))

    hub = await make_hub({"pair": pair}, {"slow": slow})
    instance_id = await hub.client.start_new("pair")

    async def running() -> bool:
        return len(hub.invoker.ran) == 2

    await until(running)
    await hub.backend.drain(0.5)
    left = await (
        await database.execute("SELECT event_id, owner, attempts FROM durable.tasks")
    ).fetchall()
    assert left == [(1, None, 0)]

    release.set()
    heir = await make_hub({"pair": pair}, {"slow": slow})
    assert (await heir.wait(instance_id)).output == [0, 1]
    assert heir.invoker.ran == [("slow", 1)]


async def test_work_that_outlasts_its_lease_keeps_it(make_hub: MakeHub) -> None:
    async def slow(_: Any) -> str:
        await asyncio.sleep(1.0)
        return "done"

    def patient(context: Context) -> Steps:
        return (yield context.call_activity("slow"))

    options = {"activity_lease_s": 0.3, "orchestration_lease_s": 0.3}
    first = await make_hub({"patient": patient}, {"slow": slow}, **options)
    second = await make_hub({"patient": patient}, {"slow": slow}, **options)
    assert (await first.run("patient")).output == "done"
    assert len(first.invoker.ran) + len(second.invoker.ran) == 1


async def test_a_lease_that_its_own_host_does_not_know_is_voided(
    make_hub: MakeHub, database: Database
) -> None:
    hub = await make_hub({"chain": chain}, {"double": lambda n: 2 * n})
    await _lease(database)
    store = hub.backend.instances._store
    await database.execute("UPDATE durable.instances SET owner = %s", [store.host])
    await store.renew([], [], 20)
    assert await _column(database, "SELECT owner FROM durable.instances") == [store.host]
    await database.execute("UPDATE durable.instances SET lease_until = now() + interval '1 s'")
    await store.renew([], [], 20)
    assert (await hub.wait("i")).output == 12


async def test_a_host_survives_the_loss_of_all_its_connections(
    make_hub: MakeHub, database: Database
) -> None:
    hub = await make_hub({"chain": chain}, {"double": lambda n: 2 * n})
    assert (await hub.run("chain")).output == 12
    await database.execute(
        """
        SELECT pg_terminate_backend(pid)
        FROM pg_stat_activity
        WHERE datname = current_database()
          AND pid <> pg_backend_pid()
        """
    )

    async def again() -> str | None:
        try:
            return await hub.backend.instances.start("chain", instance_id=None, input_=None)
        except psycopg.OperationalError:
            return None

    assert (await hub.wait(await until(again))).output == 12

    async def present() -> bool:
        return await _column(
            database,
            "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND classid = 20036",
        ) == [1]

    await until(present)


async def test_a_host_that_stops_while_it_enters_leaves_nothing_open(
    dsn: str, database: Database
) -> None:
    presence = Presence(dsn, entered=lambda _: None, notified=lambda _sort, _host: None)
    waiting = "SELECT pid FROM pg_locks WHERE NOT granted AND relation = 'durable.hosts'::regclass"
    async with database.transaction():
        await database.execute("LOCK TABLE durable.hosts")
        entering = asyncio.create_task(presence.enter())

        async def held_up() -> int | None:
            return next(iter(await _column(database, waiting)), None)

        session = await until(held_up)
        entering.cancel()
        with pytest.raises(asyncio.CancelledError):
            await entering

    async def gone() -> bool:
        return not await _column(database, "SELECT 1 FROM pg_stat_activity WHERE pid = %s", session)

    await until(gone)


async def test_a_timer_survives_its_host(make_hub: MakeHub, database: Database) -> None:
    def nap(context: Context) -> Steps:
        yield context.create_timer(context.current_utc_datetime + timedelta(seconds=0.5))
        return "rested"

    hub = await make_hub({"nap": nap})
    instance_id = await hub.client.start_new("nap")

    async def asleep() -> bool:
        return await _column(database, "SELECT count(*) FROM durable.inbox") == [1]

    await until(asleep)
    await hub.backend.drain(1)
    heir = await make_hub({"nap": nap})
    assert (await heir.wait(instance_id)).output == "rested"


async def test_a_database_of_another_hub_is_refused(dsn: str) -> None:
    with pytest.raises(WrongHub, match="belongs to task hub 'TestHub', not 'Other'"):
        await install(dsn, "Other")
