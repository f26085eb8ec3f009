"""Collects a turn's decisions: ids, work, waits, end. No I/O."""

import json
import uuid
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from localcloud.durable import events
from localcloud.durable.answer import Action, Fails
from localcloud.durable.batch import Batch
from localcloud.durable.events import Kind
from localcloud.durable.http_calls import HTTP_ACTIVITY
from localcloud.durable.outcome import (
    TERMINAL,
    Child,
    Decision,
    Functions,
    Message,
    Renewal,
    Task,
    Timer,
    unknown_function,
)
from localcloud.durable.turn import Progress, Retry, Turn


def _signature(action: Mapping[str, Any]) -> str:
    match action["actionType"]:
        case Action.CALL_ENTITY | Action.SIGNAL_ENTITY:
            name = f"{action['instanceId']}/{action['operation']}"
        case Action.CALL_HTTP:
            name = f"{action['httpRequest']['method']} {action['httpRequest']['uri']}"
        case _:
            name = action.get("functionName") or action.get("externalEventName") or ""
    return f"{action['actionType']}:{name.casefold()}"


def _spoken(signature: str) -> str:
    kind, _, name = signature.partition(":")
    return f"{Action(int(kind)).name.lower()} '{name}'"


class Episode:
    """Collects a turn's decisions in the order of their ids."""

    def __init__(self, turn: Turn, batch: Batch, progress: Progress, at: datetime) -> None:
        self._turn, self._batch, self._progress, self._at = turn, batch, progress, at
        self._events: list[str] = []
        self._tasks: list[Task] = []
        self._timers: list[Timer] = []
        self._children: list[Child] = []
        self._messages: list[Message] = []
        self._cancelled: list[int] = []

    def check(self, actions: Sequence[Mapping[str, Any]]) -> None:
        """Raises Fails when the replay did not repeat what earlier turns did."""
        known = self._progress.actions
        replayed = [_signature(action) for action in actions]
        if replayed[: len(known)] == known:
            return
        place = next(
            (n for n, (a, b) in enumerate(zip(known, replayed, strict=False)) if a != b),
            len(replayed),
        )
        now_ = (
            f"this replay did {_spoken(replayed[place])}"
            if place < len(replayed)
            else ("this replay did nothing more")
        )
        raise Fails(
            f"Non-Deterministic workflow detected: action {place} was {_spoken(known[place])} in a "
            f"previous execution, but {now_}. Was a change made to the orchestrator code after "
            "this instance had already started running?"
        )

    def perform(self, actions: Sequence[Mapping[str, Any]], functions: Functions) -> None:
        """Schedule the new actions, and cancel the timers that are no longer wanted."""
        for place in range(len(self._progress.actions), len(actions)):
            self._begin(place, actions[place], functions)
            self._progress.actions.append(_signature(actions[place]))
        for place, id_ in list(self._progress.timers.items()):
            if id_ not in self._progress.open:
                del self._progress.timers[place]
            elif actions[place].get("isCanceled"):
                del self._progress.timers[place]
                self._progress.open.discard(id_)
                self._cancelled.append(id_)

    def _begin(self, place: int, action: Mapping[str, Any], functions: Functions) -> None:
        match action["actionType"]:
            case Action.CALL_ACTIVITY | Action.CALL_ACTIVITY_WITH_RETRY:
                _demand(action["functionName"], "activity", functions.activities)
                self._attempt(place, action)
            case Action.CALL_SUB_ORCHESTRATOR | Action.CALL_SUB_ORCHESTRATOR_WITH_RETRY:
                _demand(action["functionName"], "orchestrator", functions.orchestrators)
                self._attempt(place, action)
            case Action.CREATE_TIMER:
                due = datetime.fromisoformat(action["fireAt"]).astimezone(UTC)
                wanted = not action.get("isCanceled")
                id_ = self._set_timer(due, wanted=wanted)
                if wanted:
                    self._progress.timers[place] = id_
            case Action.WAIT_FOR_EXTERNAL_EVENT:
                self._progress.add_waiter(action["externalEventName"])
            case Action.CALL_ENTITY | Action.SIGNAL_ENTITY as kind:
                name = action["instanceId"].removeprefix("@").partition("@")[0]
                _demand(name, "entity", functions.entities)
                self._operate(name, action, signal=kind == Action.SIGNAL_ENTITY)
            case Action.CALL_HTTP:
                self._schedule(HTTP_ACTIVITY, json.dumps([action["httpRequest"]]))
            case kind:
                raise Fails(f"the local cloud does not run {Action(kind).name.lower()}")

    def _attempt(self, place: int, action: Mapping[str, Any], attempt: int = 1) -> None:
        """Run an activity or a child, for the first time or again."""
        if "SUB_ORCHESTRATOR" in Action(action["actionType"]).name:
            id_ = self._start_child(action)
        else:
            id_ = self._schedule(action["functionName"], json.dumps([action["input"]]))
        if "retryOptions" in action:
            self._progress.retries[id_] = Retry(place, attempt)

    def _schedule(self, name: str, input_: str) -> int:
        id_ = self._progress.take_id()
        self._progress.open.add(id_)
        self._events.append(
            events.event(Kind.TASK_SCHEDULED, id_, self._at, Name=name, Version="", Input=input_)
        )
        self._tasks.append(Task(id_, name, input_))
        return id_

    def _start_child(self, action: Mapping[str, Any]) -> int:
        id_ = self._progress.take_id()
        turn = self._turn
        child_id = action.get("instanceId") or f"{turn.execution_id}:{id_}"
        if child_id == turn.instance_id:
            raise Fails(f"a child cannot have the id of its parent, '{child_id}'")
        self._progress.open.add(id_)
        name, version = action["functionName"], action.get("version") or ""
        input_ = json.dumps(action["input"])
        self._events.append(
            events.event(
                Kind.SUB_ORCHESTRATION_CREATED,
                id_,
                self._at,
                Name=name,
                Version=version,
                InstanceId=child_id,
                Input=input_,
            )
        )
        # Named after what started it, so that a turn that is thought twice starts one and the same.
        execution_id = uuid.uuid5(uuid.NAMESPACE_OID, f"{turn.execution_id}:{id_}").hex
        parent = {
            "Name": turn.name,
            "OrchestrationInstance": {
                "InstanceId": turn.instance_id,
                "ExecutionId": turn.execution_id,
            },
            "TaskScheduleId": id_,
            "Version": turn.version,
        }
        started = events.execution_started(
            instance_id=child_id,
            execution_id=execution_id,
            name=name,
            version=version,
            input_=input_,
            parent=parent,
        )
        refusal = events.child_failed(
            id_, f"An Orchestration instance with the id {child_id} is still running."
        )
        self._children.append(
            Child(id_, child_id, execution_id, name, version, input_, started, refusal)
        )
        return id_

    def _operate(self, name: str, action: Mapping[str, Any], *, signal: bool) -> None:
        """Ask an entity to do something, and wait for the answer unless it is a signal."""
        turn, id_ = self._turn, self._progress.take_id()
        request_id = str(uuid.uuid5(uuid.NAMESPACE_OID, f"{turn.execution_id}:{id_}"))
        request = events.request(
            action["operation"],
            request_id,
            json.dumps(action["input"]),
            caller=None if signal else (turn.instance_id, turn.execution_id),
        )
        entity_id = action["instanceId"]
        self._events.append(
            events.event(
                Kind.EVENT_SENT, id_, self._at, InstanceId=entity_id, Name="op", Input=request
            )
        )
        self._messages.append(
            Message(entity_id, None, events.event_raised("op", request), entity=name)
        )
        if not signal:
            self._progress.open.add(id_)
            self._progress.calls[request_id] = id_

    def _set_timer(self, due: datetime, *, wanted: bool = True) -> int:
        id_ = self._progress.take_id()
        fire_at = events.iso(due)
        self._events.append(events.event(Kind.TIMER_CREATED, id_, self._at, FireAt=fire_at))
        if wanted:
            self._progress.open.add(id_)
            fired = events.event(Kind.TIMER_FIRED, -1, due, TimerId=id_, FireAt=fire_at)
            self._timers.append(Timer(id_, due, fired))
        return id_

    def retry(self, actions: Sequence[Mapping[str, Any]]) -> None:
        """Continue the retry that the batch's last message belongs to.

        After a failure comes a pause, after a pause the next attempt. The last failure is followed
        by an immediate pause that leads nowhere: without it the SDK never raises the failure.
        """
        if self._batch.retry is None:
            return
        kind, ended = self._batch.retry
        record = self._progress.retries.pop(ended)
        action = actions[record.action]
        if kind is Kind.TIMER_FIRED:
            self._attempt(record.action, action, record.attempt + 1)
            return
        options = action["retryOptions"]
        if record.attempt >= options["maxNumberOfAttempts"]:
            self._set_timer(self._at)
            return
        pause = timedelta(milliseconds=options["firstRetryIntervalInMilliseconds"])
        id_ = self._set_timer(self._at + pause)
        self._progress.retries[id_] = record

    def wrap_up(
        self, status: str, *, output: str | None = None, custom_status: str | None = None
    ) -> Decision:
        """The turn as it is written down. A finished instance schedules nothing more, but what it
        sends goes out, and its parent learns how it ended.
        """
        finished = status in TERMINAL
        if finished:
            self._events.append(
                events.event(
                    Kind.EXECUTION_COMPLETED,
                    self._progress.next_id,
                    self._at,
                    OrchestrationStatus=status,
                    Result=output,
                )
            )
            self._messages.extend(self._answer(status, output))
        return Decision(
            status=status,
            progress=self._progress.to_text(),
            events=self._history(),
            output=output,
            custom_status=custom_status,
            tasks=[] if finished else self._tasks,
            timers=[] if finished else self._timers,
            children=[] if finished else self._children,
            messages=self._messages,
            cancelled=self._cancelled,
            held_due=any(
                self._progress.waiter(name) is not None for name in self._batch.held_names
            ),
        )

    def renew(self, input_: str, *, custom_status: str | None) -> Decision:
        """The turn that ends this execution and begins the next one, with another input."""
        turn, execution_id, input_ = self._turn, uuid.uuid4().hex, json.dumps(input_)
        decision = self.wrap_up("Running", custom_status=custom_status)
        decision.renewal = Renewal(
            execution_id,
            input_,
            events.execution_started(
                instance_id=turn.instance_id,
                execution_id=execution_id,
                name=turn.name,
                version=turn.version,
                input_=input_,
            ),
        )
        decision.timers.clear()
        return decision

    def _history(self) -> str:
        return ",".join(
            (
                events.event(Kind.ORCHESTRATOR_STARTED, -1, self._at),
                *(events.played(text) for text in self._batch.taken),
                *self._events,
                events.event(Kind.ORCHESTRATOR_COMPLETED, -1, self._at),
            )
        )

    def _answer(self, status: str, output: str | None) -> Iterator[Message]:
        """What the parent is told, if there is one."""
        turn = self._turn
        if turn.parent_instance_id is None or turn.parent_event_id is None:
            return
        if status == "Completed":
            event = events.child_completed(turn.parent_event_id, output)
        else:
            event = events.child_failed(turn.parent_event_id, output or "")
        yield Message(turn.parent_instance_id, turn.parent_execution_id, event)


def _demand(name: str, sort: str, known: Collection[str]) -> None:
    if name.casefold() not in known:
        raise Fails(unknown_function(name, sort, known))
