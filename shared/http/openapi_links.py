"""Which answers lead to which operations: ids and ETags that one gives and another asks for."""

from collections.abc import Iterable, Mapping

from shared.http.openapi_endpoints import Endpoint
from shared.http.openapi_schemas import PLACE, Json, Schemas

_FIRST_ITEM = "$response.body#/items/0/id"
_OWN_ID = "$response.body#/id"


class Links:
    """The links between the operations of one document."""

    def __init__(self, endpoints: Iterable[Endpoint], schemas: Schemas) -> None:
        self._schemas = schemas
        self._about: dict[str, list[Endpoint]] = {}
        self._collections: dict[str, str] = {}
        for endpoint in endpoints:
            if len(endpoint.parameters) == 1:
                name = endpoint.parameters[0][0]
                self._about.setdefault(name, []).append(endpoint)
                self._collections[endpoint.path.partition("/{")[0]] = name

    def of(self, endpoint: Endpoint) -> Json:
        """The links of an operation's answer, by the names of the operations they lead to."""
        found: Json = {}
        for parameter, source in self._sources(endpoint).items():
            for target in self._about.get(parameter, ()):
                name = target.operation.name
                # An id of something else in the answer leads to that thing, not to its parts.
                if name == endpoint.operation.name or not self._leads(endpoint, target, source):
                    continue
                values = {parameter: source}
                if target.operation.if_match and endpoint.operation.etag and source == _OWN_ID:
                    values["header.If-Match"] = "$response.header.ETag"
                found[name] = {
                    "operationId": name,
                    "parameters": values,
                    "description": target.operation.summary,
                }
        return found

    def _sources(self, endpoint: Endpoint) -> dict[str, str]:
        """Path parameters that the answer holds values for, and where."""
        fields = self._fields(endpoint)
        found = {
            name: f"$response.body#/{name}"
            for name in fields
            if name in self._about and not fields[name].get("nullable")
        }
        owned = self._collections.get(endpoint.path.partition("/{")[0])
        at_collection = "{" not in endpoint.path
        at_item = owned is not None and endpoint.path.endswith(f"/{{{owned}}}")
        if owned is not None and (at_collection or at_item) and "id" in fields:
            found[owned] = _OWN_ID
        if owned is not None and at_collection and self._lists_ids(fields):
            found[owned] = _FIRST_ITEM
        return found

    def _leads(self, endpoint: Endpoint, target: Endpoint, source: str) -> bool:
        if source in {_OWN_ID, _FIRST_ITEM}:
            return True
        return target.method == "get" and target.path.endswith("}") and target.path != endpoint.path

    def _fields(self, endpoint: Endpoint) -> Mapping[str, Json]:
        returns = endpoint.operation.returns
        if returns is None:
            return {}
        name = self._schemas.name_of("serialization", returns)
        fields: Mapping[str, Json] = self._schemas.component(name).get("properties", {})
        return fields

    def _lists_ids(self, fields: Mapping[str, Json]) -> bool:
        item = fields.get("items", {}).get("items", {}).get("$ref")
        if item is None:
            return False
        return "id" in self._schemas.component(item.removeprefix(PLACE)).get("properties", {})
