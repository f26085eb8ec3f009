"""A host runs the turn after an activity at once, from memory, and is right or discards it."""

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, LiteralString

import azure.durable_functions as df
import pytest
from psycopg import AsyncConnection

from localcloud.durable import events
from localcloud.durable.database import Database
from localcloud.durable.memory import Known, Memory
from localcloud.durable.turn import Turn
from localcloud.tests.durable.conftest import MakeHub

type Steps = Generator[Any, Any, Any]
type Context = df.DurableOrchestrationContext

_POLLING = ("durable.reap", "durable.renew", "durable.take_", "FROM durable.instances")


@contextmanager
def _statements(monkeypatch: pytest.MonkeyPatch) -> Generator[list[str]]:
    """The engine's transactions, in order, but for those that only look."""
    statements: list[str] = []
    rows = Database.rows

    async def noted(self: Database, query: LiteralString, params: Mapping[str, Any]) -> Any:
        found = await rows(self, query, params)
        if not any(polling in query for polling in _POLLING):
            statements.append(query.partition("durable.")[2].partition("(")[0])
        return found

    with monkeypatch.context() as patch:
        patch.setattr(Database, "rows", noted)
        yield statements


async def test_a_chain_of_five_takes_seven_transactions(
    make_hub: MakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    def chain(context: Context) -> Steps:
        options = df.RetryOptions(1000, 3)
        for step in range(5):
            yield context.call_activity_with_retry("same", options, step)

    # A look into the database borrows all slots for a moment.
    monkeypatch.setattr("localcloud.durable.work.POLL_S", 60.0)
    hub = await make_hub({"chain": chain}, {"same": lambda n: n})
    await hub.run("chain")
    hub.invoker.turns = 0
    with _statements(monkeypatch) as statements:
        await hub.run("chain")

    assert statements == ["start_instance", "commit_turn", *(5 * ["complete_task_and_turn"])]
    assert hub.invoker.turns == 6


async def test_a_fan_out_writes_answers_together(
    make_hub: MakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fan(context: Context) -> Steps:
        return sum((yield context.task_all([context.call_activity("same", n) for n in range(200)])))

    hub = await make_hub({"fan": fan}, {"same": lambda n: n})
    with _statements(monkeypatch) as statements:
        assert (await hub.run("fan")).output == 19900

    assert statements.count("complete_tasks") <= 60


async def test_a_message_that_came_first_is_taken_first(
    make_hub: MakeHub, database: AsyncConnection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def race(context: Context) -> Steps:
        event = context.wait_for_external_event("Stop")
        work = context.call_activity("work")
        winner = yield context.task_any([work, event])
        return "event" if winner is event else "work"

    async def work(_: Any) -> str:
        # As another host would send it, but nobody is told.
        message = events.event_raised("Stop", "1")
        host = hub.backend.instances._store.host
        await database.execute("SELECT durable.post('r', %s, %s, false)", [message, host])
        return "done"

    hub = await make_hub({"race": race}, {"work": work})
    with _statements(monkeypatch) as statements:
        assert (await hub.run("race", instance_id="r")).output == "event"

    # The second replay was ahead of the event and is discarded.
    assert hub.invoker.turns == 3
    assert statements == ["start_instance", "commit_turn", "complete_task_and_turn", "commit_turn"]


async def test_an_event_that_is_held_is_there_when_it_is_awaited(make_hub: MakeHub) -> None:
    def late(context: Context) -> Steps:
        for number in range(3):
            yield context.call_activity("same", number)
        return (yield context.wait_for_external_event("go"))

    hub = await make_hub({"late": late}, {"same": lambda n: n})
    await hub.backend.instances.start("late", instance_id="x", input_=None)
    await hub.backend.instances.raise_event("x", "go", "1")

    assert (await hub.wait("x")).output == 1


async def test_an_instance_that_another_host_moved_on_is_read_anew(
    make_hub: MakeHub, database: AsyncConnection[Any]
) -> None:
    def chain(context: Context) -> Steps:
        first = yield context.call_activity("work", 1)
        second = yield context.call_activity("work", 2)
        return [first, second]

    async def steal(number: int) -> int:
        # As if the lease had passed to another host and back.
        await database.execute("UPDATE durable.instances SET token = token + 1")
        return number

    hub = await make_hub({"chain": chain}, {"work": steal})
    assert (await hub.run("chain")).output == [1, 2]
    assert hub.invoker.ran == [("work", 1), ("work", 2)]


def _known(instance_id: str, *, turns: int = 1, execution_id: str = "e") -> Known:
    turn = Turn(
        instance_id=instance_id,
        execution_id=execution_id,
        name="chain",
        version="",
        input=None,
        parent_instance_id=None,
        parent_execution_id=None,
        parent_event_id=None,
        turns=turns,
        token=1,
        attempts=0,
        progress="",
        seqs=None,
        executions=None,
        events=None,
    )
    return Known(turn, history="12345", sole=0, took_s=0.1)


def test_memory_forgets_what_was_kept_first() -> None:
    memory = Memory(most_characters=12)
    for name in ("a", "b", "a", "c"):
        memory.keep(_known(name))
    assert [memory.of(name, "e") is not None for name in "abc"] == [True, False, True]
    memory.forget("a")
    memory.keep(_known("d"))
    assert memory.of("c", "e") is not None


def test_memory_serves_only_the_history_of_that_very_turn() -> None:
    memory = Memory()
    memory.keep(_known("a", turns=2))
    turn = _known("a", turns=2).turn
    assert memory.history(turn) == "12345"
    assert memory.history(replace(turn, turns=3)) is None
    assert memory.history(replace(turn, execution_id="f")) is None
    assert memory.history(replace(turn, turns=0)) == ""
