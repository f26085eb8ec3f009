"""One round of the crash matrix: orders held at their steps, a process killed and started again."""

import asyncio
import json
from collections.abc import Coroutine, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial

from tests.chaos.holds import ALL_ORDERS, Hold, locked
from tests.chaos.scenes import (
    AFTER,
    BEFORE,
    GIVEN_BACK,
    MOMENTS,
    PARKED,
    WRITTEN,
    Moment,
    Scene,
    Step,
)
from tests.chaos.settings import PATIENT
from tests.rig.invariants import assert_all_is_well
from tests.rig.platform import TASK_SCHEDULED, Platform, eventually
from tests.rig.postgres import connected

PROCESSES: Mapping[str, tuple[str, ...]] = {
    "Functions host": ("functions",),
    "Service Bus broker": ("servicebus",),
    "PostgreSQL": ("postgres",),
    "Valkey": ("valkey",),
    "partners": ("payment", "shipping"),
}
"""What is killed, and the parts of the local cloud that it is."""

type Round = tuple[str, Moment]
"""A process and the moment at which it is killed."""

ROUNDS: tuple[Round, ...] = tuple((process, moment) for process in PROCESSES for moment in MOMENTS)

BOUNDED: tuple[Round, ...] = (
    *(("Functions host", moment) for moment in MOMENTS),
    *(("PostgreSQL", moment) for moment in MOMENTS),
    ("Service Bus broker", BEFORE),
    ("Service Bus broker", WRITTEN),
    ("partners", BEFORE),
    ("partners", AFTER),
    ("Valkey", AFTER),
)
"""The rounds that every run of the tests plays.

All of the host's and the database's, which hold the state of a saga between them; the two of the
broker and of the partners that differ most; one of Valkey's, which no step reads.
"""

TASK_COMPLETED = 5
"""The `EventType` of a step's answer in the Durable history."""


async def play(platform: Platform, process: str, moment: Moment, steps: Sequence[Step]) -> None:
    """Kill `process` while an order stands at `moment` of each step, and see all of them end right.

    AssertionError naming what went wrong, and for which step.
    """
    await platform.configure(PATIENT)
    people = (platform.alice, platform.bruno, platform.chloe)
    scenes = [
        Scene(platform, people[turn % len(people)], step, moment) for turn, step in enumerate(steps)
    ]
    killed = PROCESSES[process]
    try:
        await _together(scene.arrive() for scene in scenes)
        # Who came first has waited for the last, and must not have given up meanwhile.
        await _together(hold.reached() for scene in scenes for hold in scene.holds)
        everybody = await _checkpointed(platform, scenes) if moment == WRITTEN else None
        await asyncio.gather(*(platform.kill(part) for part in killed))
        if everybody is not None:
            await everybody.let_go(killed)
        await _together(scene.let_go(killed) for scene in scenes)
        await asyncio.gather(*(platform.start(part) for part in killed))
    except BaseException:
        await asyncio.gather(*(scene.let_go() for scene in scenes), return_exceptions=True)
        raise
    if "postgres" in killed:
        await platform.reconnect()
    await _together(scene.assert_ended() for scene in scenes)
    await _take_up_the_stuck(platform, [s for s in scenes if s.step.ending is PARKED])
    await assert_all_is_well(platform)


async def _together(coroutines: Iterable[Coroutine[None, None, None]]) -> None:
    async with asyncio.TaskGroup() as group:
        for coroutine in coroutines:
            group.create_task(coroutine)


async def _checkpointed(platform: Platform, scenes: Sequence[Scene]) -> Hold:
    """Let the orders go on from after their effects until the checkpoints behind them are written.

    Whatever follows waits for the table of orders before it does anything.
    """
    everybody = await locked(platform.database_url, ALL_ORDERS)
    try:
        await _together(scene.let_go() for scene in scenes)
        for scene in scenes:
            await eventually(partial(_is_written, scene), f"the checkpoint of {scene.step.name}")
    except BaseException:
        await everybody.let_go()
        raise
    return everybody


async def _is_written(scene: Scene) -> bool:
    """Whether the Durable history has the answer of the scene's step."""
    async with connected(scene.platform.durable_url) as durable:
        cursor = await durable.execute(
            "SELECT instance_id, events FROM durable.history WHERE instance_id LIKE %s || '%%'",
            (scene.order_id,),
        )
        turns = await cursor.fetchall()
    events = [
        (turn["instance_id"], event)
        for turn in turns
        for event in json.loads(f"[{turn['events']}]")
    ]
    called = {
        (instance, event["EventId"])
        for instance, event in events
        if event["EventType"] == TASK_SCHEDULED and event["Name"] == scene.step.activity
    }
    return any(
        event["EventType"] == TASK_COMPLETED and (instance, event["TaskScheduledId"]) in called
        for instance, event in events
    )


async def _take_up_the_stuck(platform: Platform, scenes: Sequence[Scene]) -> None:
    """An employee has parked orders undone, once the carrier does as it is told again."""
    await platform.reset_partners()
    for scene in scenes:
        answer = await platform.shop.call(
            "DELETE",
            f"/orders/{scene.order_id}",
            platform.oscar,
            params={"reason": "partner_recovered"},
        )
        assert answer.status_code == 202, answer.text
        scene.step = replace(scene.step, ending=GIVEN_BACK)
    await _together(scene.assert_ended() for scene in scenes)
