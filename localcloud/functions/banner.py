"""What the host tells a person at its start: the functions, their URLs, where the keys are."""

from collections.abc import Mapping, Sequence

from localcloud.functions.catalogue import HTTP, SERVICE_BUS, Function
from localcloud.functions.deliveries import entity_of
from localcloud.functions.keys import Keys
from localcloud.functions.routing import Route


def describe(
    functions: Sequence[Function],
    routes: Sequence[Route],
    urls: Mapping[str, str],
    keys: Keys | None,
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
            lines.append(f"  {function.name}: {_trigger(function)}{state}")
    if keys is None:
        lines.append("Function keys are not asked for.")
    elif any(route.auth_level != "ANONYMOUS" for route in routes):
        lines.append(f"Function keys: {keys.path}")
    return "\n".join(lines)


def _trigger(function: Function) -> str:
    if function.trigger == SERVICE_BUS:
        return f"{function.trigger} {entity_of(function)}"
    if function.is_durable:
        return f"{function.trigger} {function.durable_name}"
    return f"{function.trigger} {function.fields.get('schedule', '')}".rstrip()
