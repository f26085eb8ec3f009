"""The API's documents (OpenAPI 3.0.3), made of nothing but the code: for the gateway, for people.

API Management reads them too, so they keep to what its import takes: shared are only schemas, and
every body is one by name; nothing recurs; parameters have the default style; no `examples`.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from shared.http.api import JSON, Api
from shared.http.disclosure import REASON_HEADER, REASON_MAX_LENGTH
from shared.http.openapi_answers import Answers, member_types, problems_of
from shared.http.openapi_endpoints import Endpoint, endpoints_of
from shared.http.openapi_links import Links
from shared.http.openapi_schemas import PLACE, Json, Schemas, Sent, references
from shared.http.openapi_security import SignIn, requirements, schemes, who
from shared.http.openapi_texts import CONVENTIONS, SERVICES, TITLES
from shared.http.openapi_values import example_of
from shared.http.openapi_words import WORDS

type Proxy = Literal["external", "internal", "partners"]

_PREFIXES: dict[Proxy, str] = {
    "external": "external-api",
    "internal": "internal-api",
    "partners": "partner-api",
}

GATEWAY: dict[str, tuple[Proxy, str]] = {
    "external": ("external", "v1"),
    "external-v2": ("external", "v2"),
    "internal": ("internal", "v1"),
    "internal-v2": ("internal", "v2"),
    "partners": ("partners", "v1"),
}
"""The gateway's documents by name: to whom each shows the API, and which version of it."""


@dataclass(frozen=True)
class _Scope:
    """What one document is about; `proxy` is None for the function app's own."""

    proxy: Proxy | None
    title: str
    version: str
    server: str


class Documents:
    """The documents of an API that serves its routes already."""

    def __init__(self, api: Api, sign_in: SignIn) -> None:
        self._sign_in = sign_in
        self._endpoints = endpoints_of(api)
        self._schemas = Schemas(_types(self._endpoints))

    def names(self) -> list[str]:
        """The documents that there are: the parts of the platform, then the gateway's."""
        return [*sorted({endpoint.service for endpoint in self._endpoints}), *GATEWAY]

    def named(self, name: str) -> Json:
        """A part of what the function app serves, or what the gateway shows. KeyError if neither.

        A version has the operations of its own, and those of the version before that are not
        deprecated there.
        """
        if name not in GATEWAY:
            return self.served(name)
        proxy, version = GATEWAY[name]
        shown = [e for e in self._endpoints if _shows(proxy, e) and _serves(e, version)]
        server = f"/{_PREFIXES[proxy]}/{version}"
        return self._document(_Scope(proxy, TITLES[proxy], version, server), shown)

    def served(self, service: str | None = None) -> Json:
        """What the function app itself serves: all of it, or one part. KeyError if none is so."""
        shown = [e for e in self._endpoints if service in {None, e.service}]
        if not shown:
            raise KeyError(service)
        title = TITLES["platform"] if service is None else f"{TITLES['platform']}: {service}"
        return self._document(_Scope(None, title, "v1", "/api"), shown)

    def _document(self, scope: _Scope, endpoints: list[Endpoint]) -> Json:
        answers = Answers(self._schemas, through_gateway=scope.proxy is not None)
        links = Links(endpoints, self._schemas)
        paths: Json = {}
        for endpoint in endpoints:
            path = endpoint.path if scope.proxy or not endpoint.version else _full(endpoint)
            operation = self._operation(scope, endpoint, answers, links)
            paths.setdefault(path, {})[endpoint.method] = operation
        own = dict(sorted(answers.components.items()))
        components = self._schemas.closure(references([paths, own]) - own.keys()) | own
        tags = sorted({endpoint.service for endpoint in endpoints})
        return {
            "openapi": "3.0.3",
            "info": {
                "title": scope.title,
                "version": scope.version,
                "description": CONVENTIONS,
            },
            "servers": [{"url": scope.server}],
            "tags": [{"name": tag, "description": SERVICES.get(tag, tag)} for tag in tags],
            "paths": paths,
            "components": {
                "schemas": dict(sorted(components.items())),
                "securitySchemes": schemes(scope.proxy, self._sign_in),
            },
        }

    def _operation(self, scope: _Scope, endpoint: Endpoint, answers: Answers, links: Links) -> Json:
        operation = endpoint.operation
        found: Json = {
            "operationId": operation.name,
            "tags": [endpoint.service],
            "summary": operation.summary.removesuffix("."),
            "description": _description(scope, endpoint),
            "parameters": [*self._parameters(scope, endpoint)],
        }
        if operation.body is not None:
            schema = {"$ref": PLACE + self._schemas.name_of("validation", operation.body)}
            content = {"schema": schema, "example": example_of(schema, self._schemas)}
            found["requestBody"] = {"required": True, "content": {JSON: content}}
        found["responses"] = answers.of(endpoint, links.of(endpoint))
        found |= requirements(scope.proxy, operation)
        if operation.deprecated is not None:
            found["deprecated"] = True
        return found

    def _parameters(self, scope: _Scope, endpoint: Endpoint) -> Iterator[Json]:
        for name, constraint in endpoint.parameters:
            kind = {"type": "string", "format": "uuid"} if constraint == "guid" else _TEXT
            words = WORDS.get(name, f"The {name.removesuffix('_id').replace('_', ' ')}.")
            yield _parameter("path", name, kind, words, required=True)
        if endpoint.operation.query is not None:
            fields, required = self._schemas.properties("validation", endpoint.operation.query)
            for name, schema in fields.items():
                words = schema.pop("description", "")
                yield _parameter("query", name, schema, words, required=name in required)
        yield from _headers(scope, endpoint)


_TEXT: Json = {"type": "string", "pattern": "^[a-z0-9-]+$"}


def _parameter(place: str, name: str, schema: Json, words: str, *, required: bool) -> Json:
    return {
        "name": name,
        "in": place,
        "required": required,
        "description": words,
        "schema": schema,
    }


def _headers(scope: _Scope, endpoint: Endpoint) -> Iterator[Json]:
    """The request headers that an operation looks at."""
    operation = endpoint.operation
    kind: Json
    if operation.idempotency_key:
        kind = {"type": "string", "pattern": "^[!-~]{1,255}$", "example": "0f9d5c1e-order-1"}
        words = "One per intent: the same key and body again get the first answer again."
        yield _parameter("header", "Idempotency-Key", kind, words, required=True)
    if operation.if_match:
        kind = {"type": "string", "example": '"1"'}
        words = "The ETag of the version that the change was made against."
        yield _parameter("header", "If-Match", kind, words, required=True)
    if operation.etag and endpoint.method == "get":
        words = "The ETag of a version that the caller has; 304 if it is still the same."
        kind = {"type": "string", "example": '"1"'}
        yield _parameter("header", "If-None-Match", kind, words, required=False)
    if operation.discloses is not None and scope.proxy != "external":
        kind = {"type": "string", "minLength": 1, "maxLength": REASON_MAX_LENGTH}
        words = "Why an employee wants to see these data; kept in the audit trail."
        yield _parameter("header", REASON_HEADER, kind, words, required=False)
    kind = {"type": "string"}
    words = (
        "Follows the request through the platform: 1 to 64 letters, digits, dots, dashes and "
        "underscores. Where it is missing or something else, one is made up."
    )
    yield _parameter("header", "X-Correlation-Id", kind, words, required=False)


def _description(scope: _Scope, endpoint: Endpoint) -> str:
    operation = endpoint.operation
    paragraphs = [" ".join(part.split()) for part in operation.description.split("\n\n") if part]
    if who_may := who(scope.proxy, operation):
        paragraphs.append(who_may)
    if operation.discloses is not None and scope.proxy != "external":
        fields = ", ".join(operation.discloses.fields)
        paragraphs.append(f"Employees' reads of personal data ({fields}) are audited.")
    if gone := operation.deprecated:
        paragraphs.append(
            f"Deprecated since {gone.since}, goes away on {gone.sunset}: "
            f"use `{gone.successor}` of the next version."
        )
    return "\n\n".join(paragraphs)


def _types(endpoints: Iterable[Endpoint]) -> Iterator[Sent]:
    for endpoint in endpoints:
        operation = endpoint.operation
        if operation.body is not None:
            yield "validation", operation.body
        if operation.query is not None:
            yield "validation", operation.query
        if operation.returns is not None:
            yield "serialization", operation.returns
        yield from member_types(problems_of(endpoint, through_gateway=True))


def _full(endpoint: Endpoint) -> str:
    return f"/{endpoint.version}{endpoint.path}"


def _shows(proxy: Proxy, endpoint: Endpoint) -> bool:
    access = endpoint.operation.access
    match proxy:
        case "external":
            return access.client_scope is not None
        case "internal":
            return access.employee_roles is not None
        case "partners":
            return access.partner


def _serves(endpoint: Endpoint, version: str) -> bool:
    """Whether a version has an endpoint: its own, or one carried over from the version before."""
    if endpoint.version == version:
        return True
    return version == "v2" and endpoint.version == "v1" and endpoint.operation.deprecated is None
