"""What the engine asks of the Functions host: run one function, answer with JSON text."""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Invocation:
    """The outcome of one function execution.

    A success has `ok` and `value`: the JSON text of what the function returned, None when it
    returned nothing. For an orchestrator that is the state object which the SDK wrote.
    A failure has `error`: the exception's message exactly as the worker reports it, including the
    `$OutOfProcData$` label of an orchestrator, and `details`: the stack trace.
    """

    ok: bool
    value: str | None = None
    error: str | None = None
    details: str | None = None


class Invoker(Protocol):
    """Runs functions in the worker.

    An exception raised by a method (worker crashed, timed out, host draining) is no failure of the
    function: the engine gives the work back and tries again later.
    """

    async def orchestrate(self, function: str, body: str, *, instance_id: str) -> Invocation:
        """Run orchestrator `function` on `body`, the JSON text of the orchestration trigger."""
        ...

    async def run_activity(self, function: str, argument: str, *, instance_id: str) -> Invocation:
        """Run activity `function` on `argument`, the JSON text of its input (`"null"` for none).

        The text is what the orchestrator's SDK serialised, byte for byte: hand it to the worker's
        converter as it is.
        """
        ...

    async def run_entity(self, function: str, body: str, *, instance_id: str) -> Invocation:
        """Run entity `function` on `body`, the JSON text of the entity trigger.

        A success's value is the JSON text of the state object which the SDK wrote. `instance_id` is
        the entity's: `@name@key`.
        """
        ...
