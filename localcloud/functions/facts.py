"""What a trigger tells about itself, for the expressions of the other bindings of its function."""

import json
from collections.abc import Mapping
from typing import Any

from localcloud.functions.protos import RpcHttp, TypedData


def facts_of(value: TypedData, metadata: Mapping[str, TypedData]) -> dict[str, Any]:
    """The trigger's metadata and, if its value is a JSON object, the properties of that.

    "In case of conflict", says Azure's source, "binding data from the value type overrides the
    built-in binding data". A request tells its route values, `Query` and `Headers` besides.
    """
    facts = {name: _plain(item) for name, item in metadata.items()}
    if value.kind == "http":
        request: RpcHttp = value.value
        facts |= {"Query": dict(request.query or {}), "Headers": dict(request.headers)}
        return {**facts, **_properties(request.body.value), **(request.params or {})}
    return {**facts, **_properties(value.value)}


def _plain(item: TypedData) -> Any:
    return json.loads(item.value) if item.kind == "json" else item.value


def _properties(body: Any) -> dict[str, Any]:
    """Those of a JSON object; none of anything else."""
    if isinstance(body, bytes) and body.lstrip().startswith(b"{"):
        text: str | bytes = body
    elif isinstance(body, str) and body.lstrip().startswith("{"):
        text = body
    else:
        return {}
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
