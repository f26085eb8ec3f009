"""What runs now, and which invocation the code at hand belongs to."""

import asyncio
from contextvars import ContextVar

from localcloud.functions.catalogue import Function


class Running:
    """An invocation under way.

    `cut_short` says why the host ends it, empty while it does not; `deadline` is of the monotonic
    clock.
    """

    __slots__ = ("cut_short", "deadline", "function", "invocation_id", "task", "trace_parent")

    def __init__(
        self,
        function: Function,
        invocation_id: str,
        trace_parent: str,
        task: asyncio.Task[object],
        deadline: float,
    ) -> None:
        self.function, self.invocation_id = function, invocation_id
        self.trace_parent, self.task, self.deadline = trace_parent, task, deadline
        self.cut_short = ""

    @property
    def trace_id(self) -> str:
        """The trace that it belongs to."""
        return self.trace_parent[3:35]


current: ContextVar[Running | None] = ContextVar("invocation", default=None)
by_id: dict[str, Running] = {}
"""All of them by their id, which is all that the threads of the worker know."""
