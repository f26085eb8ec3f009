"""What expressions may ask of each type: the members of API Management's `context` that we use.

Source: https://learn.microsoft.com/azure/api-management/api-management-policy-expressions
"""

import json
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit

from localcloud.gateway.policy.context import Context


@dataclass(frozen=True, slots=True)
class Method:
    """Types of the arguments, the type of the result, and what it does to (value, *arguments)."""

    takes: tuple[str, ...]
    gives: str
    run: Callable[..., Any]


Property = tuple[str, Callable[[Any], Any]]
"""The type of a property, and how it is read from the value."""


def text_of(value: Any) -> str:
    """`ToString()` of C#: null is empty where strings are joined, booleans are capitalised."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, dict | list):
        return json.dumps(value, indent=2, ensure_ascii=False)
    return str(value)


def _compact(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def _joined(values: Mapping[str, list[str]], name: str, default: str | None) -> str | None:
    return ",".join(values[name]) if name in values else default


def _query(context: Context) -> dict[str, list[str]]:
    return parse_qs(context.request.query, keep_blank_values=True)


def _backend_path(context: Context) -> str:
    return urlsplit(context.backend_url).path + context.request.path


def _backend_host(context: Context) -> str:
    return urlsplit(context.backend_url).hostname or context.request.host


def _present(values: list[str]) -> list[str]:
    if not values:
        raise KeyError("no such header")
    return values


def _element(texts: list[str], at: int) -> str:
    if at < 0:
        raise IndexError("the index is outside the bounds of the array")
    return texts[at]


def _substring(text: str, start: int) -> str:
    if not 0 <= start <= len(text):
        raise IndexError("the start is not within the string")
    return text[start:]


PROPERTIES: Mapping[tuple[str, str], Property] = {
    ("Context", "Request"): ("Request", lambda context: context),
    ("Context", "Response"): ("Response", lambda context: context.response),
    ("Context", "LastError"): ("Error", lambda context: context.last_error),
    ("Context", "Variables"): ("Variables", lambda context: context.variables),
    ("Context", "RequestId"): ("Guid", lambda context: context.request_id),
    ("Context", "Api"): ("Api", lambda context: context.api),
    ("Context", "Operation"): ("Operation", lambda context: context),
    ("Context", "Subscription"): ("Subscription", lambda _: None),
    ("Request", "Method"): ("string", lambda context: context.request.method),
    ("Request", "IpAddress"): ("string", lambda context: context.request.ip),
    ("Request", "Headers"): ("Headers", lambda context: context.request.headers),
    ("Request", "Url"): ("Url", lambda context: context),
    ("Request", "OriginalUrl"): ("OriginalUrl", lambda context: context.request),
    ("Request", "MatchedParameters"): ("Parameters", lambda context: context.request.matched),
    ("Url", "Path"): ("string", _backend_path),
    ("Url", "Host"): ("string", _backend_host),
    ("Url", "Query"): ("Lists", _query),
    ("OriginalUrl", "Path"): ("string", lambda request: request.target),
    ("OriginalUrl", "Host"): ("string", lambda request: request.host),
    ("OriginalUrl", "Scheme"): ("string", lambda request: request.scheme),
    ("OriginalUrl", "Port"): ("int", lambda request: request.port),
    ("Response", "StatusCode"): ("int", lambda response: response.status),
    ("Response", "Headers"): ("Headers", lambda response: response.headers),
    ("Error", "Source"): ("string", lambda error: error.source),
    ("Error", "Reason"): ("string", lambda error: error.reason),
    ("Error", "Message"): ("string", lambda error: error.message),
    ("Error", "Scope"): ("string", lambda error: error.scope),
    ("Error", "Section"): ("string", lambda error: error.section),
    ("Error", "Path"): ("string", lambda error: error.path),
    ("Error", "PolicyId"): ("string", lambda error: error.policy_id),
    ("Api", "Name"): ("string", lambda api: api.name),
    ("Api", "Path"): ("string", lambda api: api.path),
    ("Api", "Version"): ("string", lambda api: api.version),
    ("Operation", "Id"): ("string", lambda context: context.operation_id),
    ("Subscription", "Id"): ("string", lambda subscription: subscription.id),
    ("Jwt", "Subject"): ("string", lambda jwt: jwt.subject),
    ("Jwt", "Issuer"): ("string", lambda jwt: jwt.issuer),
    ("Jwt", "Id"): ("string", lambda jwt: jwt.id),
    ("Jwt", "Audiences"): ("string[]", lambda jwt: jwt.audiences),
    ("Jwt", "Claims"): ("Lists", lambda jwt: jwt.claims),
    ("string", "Length"): ("int", len),
    ("string[]", "Length"): ("int", len),
}

_TEXT = ("string",)
METHODS: Mapping[tuple[str, str], tuple[Method, ...]] = {
    ("Headers", "GetValueOrDefault"): (
        Method(
            ("string", "string"), "string", lambda headers, name, other: headers.get(name, other)
        ),
    ),
    ("Headers", "ContainsKey"): (Method(_TEXT, "bool", lambda headers, name: name in headers),),
    ("Lists", "GetValueOrDefault"): (Method(("string", "string"), "string", _joined),),
    ("Lists", "ContainsKey"): (Method(_TEXT, "bool", lambda lists, name: name in lists),),
    ("Parameters", "GetValueOrDefault"): (
        Method(("string", "string"), "string", lambda values, name, other: values.get(name, other)),
    ),
    ("Parameters", "ContainsKey"): (Method(_TEXT, "bool", lambda values, name: name in values),),
    ("Variables", "ContainsKey"): (Method(_TEXT, "bool", lambda values, name: name in values),),
    ("string", "Split"): (
        Method(("char",), "string[]", lambda text, separator: text.split(separator)),
    ),
    ("string", "StartsWith"): (Method(_TEXT, "bool", str.startswith),),
    ("string", "EndsWith"): (Method(_TEXT, "bool", str.endswith),),
    ("string", "Contains"): (Method(_TEXT, "bool", lambda text, part: part in text),),
    ("string", "ToLower"): (Method((), "string", str.lower),),
    ("string", "ToUpper"): (Method((), "string", str.upper),),
    ("string", "Trim"): (Method((), "string", str.strip),),
    ("string", "Replace"): (Method(("string", "string"), "string", str.replace),),
    ("string", "Substring"): (Method(("int",), "string", _substring),),
    ("string[]", "First"): (Method((), "string", lambda texts: texts[0]),),
    ("string[]", "FirstOrDefault"): (
        Method((), "string", lambda texts: texts[0] if texts else None),
    ),
    ("string[]", "Contains"): (Method(_TEXT, "bool", lambda texts, text: text in texts),),
    ("JObject", "ToString"): (
        Method((), "string", text_of),
        Method(("Formatting",), "string", lambda value, _: _compact(value)),
    ),
    ("string", "ToString"): (Method((), "string", str.__str__),),
    ("int", "ToString"): (Method((), "string", int.__str__),),
    ("bool", "ToString"): (Method((), "string", bool.__str__),),
    ("Guid", "ToString"): (Method((), "string", str.__str__),),
}


INDEXED: Mapping[tuple[str, str], tuple[str, Callable[[Any, Any], Any]]] = {
    ("Variables", "string"): ("object", lambda values, name: values[name]),
    ("Lists", "string"): ("string[]", lambda lists, name: lists[name]),
    ("Headers", "string"): ("string[]", lambda headers, name: _present(headers.values(name))),
    ("Parameters", "string"): ("string", lambda values, name: values[name]),
    ("string[]", "int"): ("string", _element),
}

STATICS: Mapping[str, Method] = {
    "Guid.NewGuid": Method((), "Guid", lambda: str(uuid.uuid4())),
    "string.IsNullOrEmpty": Method(_TEXT, "bool", lambda text: not text),
}
CONSTANTS: Mapping[str, str] = {"Newtonsoft.Json.Formatting.None": "Formatting"}
JSON_VALUES = frozenset({"string", "int", "bool", "null", "Guid", "JObject", "JArray"})
