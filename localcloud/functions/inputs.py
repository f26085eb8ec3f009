"""The inputs that every trigger shares: the trigger's own value and the durable clients."""

from collections.abc import Callable

from localcloud.functions.catalogue import Function
from localcloud.functions.protos import ParameterBinding, TypedData

ClientBinding = Callable[[str], str]
"""The durable client's JSON text for a public origin such as `http://127.0.0.1:7071`."""

BY_HAND = "This function was programmatically called via the host APIs."
"""Why a function runs that somebody calls by hand, in Azure's words."""


class Inputs:
    """Builds the parameters of an invocation."""

    def __init__(self, *, origin: str, client: ClientBinding | None) -> None:
        """`origin` is the host's own address, for triggers that have no request."""
        self._origin, self._client = origin, client

    def of(
        self, function: Function, value: TypedData, *, origin: str | None = None
    ) -> list[ParameterBinding]:
        """`value` for the trigger's parameter, and a client for each durable client parameter."""
        inputs = [ParameterBinding(function.parameter, value)]
        if function.clients and self._client is not None:
            text = self._client(origin or self._origin)
            inputs += [ParameterBinding(name, TypedData(string=text)) for name in function.clients]
        return inputs
