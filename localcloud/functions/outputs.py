"""Output bindings: what a function leaves behind, sent before its own trigger counts as done."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from localcloud.functions.catalogue import Binding, Function
from localcloud.functions.expressions import Facts
from localcloud.functions.protos import ParameterBinding, TypedData

RETURN = "$return"


class Destination(Protocol):
    """Where the outputs of one kind go."""

    def check(self, output: Binding, function: Function) -> None:
        """StartRefused when the output leads nowhere."""
        ...

    async def send(
        self, output: Binding, function: Function, value: TypedData, facts: Facts
    ) -> None:
        """Send `value`; raises what the SDK raises, or ValueError for a name without a value."""
        ...

    async def close(self) -> None: ...


class Outputs:
    """Sends what functions put out."""

    def __init__(
        self, functions: Sequence[Function], destinations: Mapping[str, Destination]
    ) -> None:
        """`destinations` by the type of binding. StartRefused for an output that leads nowhere."""
        self._destinations = destinations
        for function in functions:
            for output in function.outputs if not function.disabled else ():
                destinations[output.kind].check(output, function)

    async def send(
        self,
        function: Function,
        facts: Facts,
        returned: TypedData | None,
        data: Sequence[ParameterBinding],
    ) -> None:
        """Send all that one execution put out, in the order of its bindings."""
        given = {binding.name: binding.data for binding in data}
        given[RETURN] = returned
        for output in function.outputs:
            value = given.get(output.name)
            if value is not None and value.kind is not None:
                await self._destinations[output.kind].send(output, function, value, facts)

    async def close(self) -> None:
        """Hang up, everywhere at once."""
        await asyncio.gather(*(place.close() for place in self._destinations.values()))


def messages_of(value: TypedData) -> list[str | bytes]:
    """One message, or one for each element when `value` is a JSON array.

    Azure's host reads a returned text so: https://github.com/Azure/azure-functions-host,
    FunctionBinding.ReadAsCollection.
    """
    if isinstance(value.value, bytes):
        return [value.value]
    text = str(value.value)
    if not text.lstrip().startswith("["):
        return [text]
    try:
        elements: list[Any] = json.loads(text)
    except ValueError:
        return [text]
    return [_text(element) for element in elements]


def _text(element: Any) -> str:
    if isinstance(element, str):
        return element
    return json.dumps(element, ensure_ascii=False, separators=(",", ":"))
