"""An activity under way."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LeasedTask:
    """An activity that this host may run. `input` is the JSON array of its one argument."""

    instance_id: str
    execution_id: str
    event_id: int
    name: str
    input: str
    token: int
    attempts: int
