"""What the host tells a person at its start: the functions, their URLs, where the keys are."""

from collections.abc import Mapping, Sequence

from localcloud.functions.catalogue import EVENT_GRID, HTTP, SERVICE_BUS, Function
from localcloud.functions.deliveries import entity_of
from localcloud.functions.keys import Keys
from localcloud.functions.routing import Route

_WHERE = ("schedule", "queueName", "path")


def describe(
    functions: Sequence[Function],
    routes: Sequence[Route],
    urls: Mapping[str, str],
    keys: Keys | None,
    *,
    origin: str,
) -> str:
    """The list that `func start` would print; `keys` None means that none are asked for."""
    methods = {route.function.name: route.methods for route in routes}
    lines = ["Functions:"]
    for function in functions:
        state = " (disabled)" if function.disabled else ""
        if function.trigger == HTTP:
            names = ",".join(sorted(methods[function.name] or ["any method"]))
            lines.append(f"  {function.name}: [{names}] {urls[function.name]}{state}")
        else:
            lines.append(f"  {function.name}: {_trigger(function, origin)}{state}")
    if keys is None:
        lines.append("Function keys are not asked for.")
    elif any(route.auth_level != "ANONYMOUS" for route in routes):
        lines.append(f"Function keys: {keys.path}")
    return "\n".join(lines)


def _trigger(function: Function, origin: str) -> str:
    if function.trigger == SERVICE_BUS:
        return f"{function.trigger} {entity_of(function)}"
    if function.trigger == EVENT_GRID:
        return (
            f"{function.trigger} {origin}/runtime/webhooks/EventGrid?functionName={function.name}"
        )
    if function.is_durable:
        return f"{function.trigger} {function.durable_name}"
    where = next((str(function.fields[key]) for key in _WHERE if key in function.fields), "")
    return f"{function.trigger} {where}".rstrip()
