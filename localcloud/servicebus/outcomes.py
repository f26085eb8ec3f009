"""What receivers decide about deliveries."""

from dataclasses import dataclass
from typing import Self

from localcloud.servicebus.decoding import Described, Value
from localcloud.servicebus.errors import INVALID_FIELD, AmqpError
from localcloud.servicebus.performatives import (
    ACCEPTED,
    MODIFIED,
    REJECTED,
    Fields,
    descriptor_code,
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a receiver decided about a delivery."""

    code: int
    properties: dict[str, Value]
    """Application properties to set: two of them say why a dead letter is dead."""
    undeliverable_here: bool

    @classmethod
    def of(cls, state: Value) -> Self:
        """A missing state means accepted, as Service Bus reads it."""
        if state is None:
            return cls(ACCEPTED, {}, undeliverable_here=False)
        if not isinstance(state, Described):
            raise AmqpError(INVALID_FIELD, "a delivery state is not described")
        code = descriptor_code(state.descriptor)
        info: Value = None
        undeliverable = False
        if code == REJECTED:
            error = Fields(state.value).value(0)
            info = Fields(error.value).value(2) if isinstance(error, Described) else None
        elif code == MODIFIED:
            undeliverable = Fields(state.value).flag(1)
            info = Fields(state.value).value(2)
        return cls(code, text_keys(info), undeliverable)


def text_keys(value: Value) -> dict[str, Value]:
    """The entries of a map whose keys are text; none of anything else."""
    entries = value.items() if isinstance(value, dict) else ()
    return {str(name): item for name, item in entries if isinstance(name, str)}
