"""What this host remembers of instances whose last turn it ran."""

from collections import OrderedDict
from dataclasses import dataclass, replace

from localcloud.durable.turn import Turn

_MOST_CHARACTERS = 32_000_000
"""Of all remembered histories together: about 64 MB at the worst."""


@dataclass(frozen=True, slots=True)
class Known:
    """An instance as its last turn left it.

    `turn` is what the next turn will be leased with, but for its messages; `history` the events so
    far, separated by commas; `sole` the id of the only activity that it waits for, if that is so;
    `took_s` how long the last replay took.
    """

    turn: Turn
    history: str
    sole: int | None
    took_s: float

    def ahead(self, event: str) -> Turn:
        """The next turn, as it will be if `event` is the only message by then."""
        return replace(
            self.turn, seqs=(0,), executions=(self.turn.execution_id,), events=(event,), attempts=1
        )


class Memory:
    """The instances known best, by id; the longest unused are forgotten first.

    Nothing here is needed: what is not known is read. History and progress never change for a given
    execution and count of turns, so what is known is right if these agree.
    """

    def __init__(self, most_characters: int = _MOST_CHARACTERS) -> None:
        self._known: OrderedDict[str, Known] = OrderedDict()
        self._characters, self._most_characters = 0, most_characters

    def of(self, instance_id: str, execution_id: str) -> Known | None:
        """What is known of this execution."""
        known = self._known.get(instance_id)
        return known if known and known.turn.execution_id == execution_id else None

    def history(self, turn: Turn) -> str | None:
        """The history before `turn`, if it is known."""
        if not turn.turns:
            return ""
        known = self.of(turn.instance_id, turn.execution_id)
        return known.history if known and known.turn.turns == turn.turns else None

    def keep(self, known: Known) -> None:
        """Remember an instance as it is now."""
        self.forget(known.turn.instance_id)
        self._known[known.turn.instance_id] = known
        self._characters += len(known.history)
        while self._characters > self._most_characters:
            self.forget(next(iter(self._known)))

    def doubt(self, instance_id: str) -> None:
        """Something is about to happen to this instance: do not think ahead of it."""
        if known := self._known.get(instance_id):
            self._known[instance_id] = replace(known, sole=None)

    def forget(self, instance_id: str) -> None:
        """Know nothing of this instance."""
        if known := self._known.pop(instance_id, None):
            self._characters -= len(known.history)
