"""What an orchestrator's answer makes of its instance. No I/O."""

from datetime import datetime

from localcloud.durable import events
from localcloud.durable.answer import Action, Fails, compact, read, storable
from localcloud.durable.batch import Batch
from localcloud.durable.episode import Episode
from localcloud.durable.invocation import Invocation
from localcloud.durable.outcome import Decision, Functions
from localcloud.durable.turn import Progress, Turn


def decide(
    turn: Turn,
    batch: Batch,
    progress: Progress,
    invocation: Invocation,
    *,
    at: datetime,
    functions: Functions,
    await_open: bool,
) -> Decision:
    """The decision of a turn that ran; `progress` is brought up to date.

    With `await_open` an orchestrator that is done, or has failed, leaves its instance running until
    every activity, timer and child that it left open has ended, as Azure does. One that continues
    as new waits for nothing.
    """
    episode = Episode(turn, batch, progress, at)
    custom_status = None
    try:
        answer = read(invocation)
        if answer.custom_status is not None:
            custom_status = compact(answer.custom_status)
        actions = answer.actions
        renewal = None
        if answer.error is None and actions and actions[-1]["actionType"] == Action.CONTINUE_AS_NEW:
            renewal, actions = actions[-1], actions[:-1]
        episode.check(actions)
        episode.perform(actions, functions)
    except Fails as failure:
        return _failed(episode, turn, str(failure), custom_status)
    if renewal is not None:
        return episode.renew(renewal["input"], custom_status=custom_status)
    ended = answer.done or answer.error is not None
    if not ended:
        episode.retry(actions)
    if not ended or (await_open and progress.open):
        return episode.wrap_up("Running", custom_status=custom_status)
    if answer.error is not None:
        return _failed(episode, turn, answer.error, custom_status)
    output = None if answer.output is None else compact(answer.output)
    return episode.wrap_up("Completed", output=output, custom_status=custom_status)


def _failed(episode: Episode, turn: Turn, error: str, custom_status: str | None) -> Decision:
    output = storable(f"Orchestrator function '{turn.name}' failed: {error}")
    return episode.wrap_up("Failed", output=output, custom_status=custom_status)


def by_force(turn: Turn, batch: Batch, progress: Progress) -> Decision | None:
    """The decision of a turn in which somebody terminated, suspended or resumed the instance.

    None when nobody did. The reason of a termination is the output. A suspended instance holds back
    all messages; resumed, it looks at them again.
    """
    episode = Episode(turn, batch, progress, events.now())
    if batch.terminated:
        reason = None if batch.reason is None else storable(batch.reason)
        return episode.wrap_up("Terminated", output=reason)
    if batch.suspended:
        progress.suspended = True
        return episode.wrap_up("Suspended")
    if batch.resumed:
        progress.suspended = False
        decision = episode.wrap_up("Running")
        decision.release = True
        return decision
    return None
