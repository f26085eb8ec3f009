"""Pages of other origins: `cors`.

Source: https://learn.microsoft.com/azure/api-management/cors-policy
"""

import re
from dataclasses import dataclass

from localcloud.gateway.policy.building import Builder, Returned, Step, check
from localcloud.gateway.policy.context import Context, Response
from localcloud.gateway.policy.headers import Headers
from localcloud.gateway.policy.xml import Element

_PORTS = {"http": "80", "https": "443"}
_ORIGIN = re.compile(r"(https?)://([a-z0-9.-]+|\[[0-9a-f:.]+\])(?::([0-9]{1,5}))?/?").fullmatch


@dataclass(frozen=True, slots=True)
class Cors:
    """The policy of one file: a step of the pipeline, and the answer to a preflight request."""

    origins: frozenset[str]
    methods: frozenset[str]
    headers: frozenset[str]
    exposed: str
    max_age_s: int
    credentials: bool
    terminate: bool

    def __call__(self, context: Context) -> None:
        """Lets the origin read the answer if the policy knows it; otherwise says nothing."""
        origin = context.request.headers.get("Origin")
        if origin is None:
            return
        context.varies = True
        if self.allows(origin):
            context.stamps.extend(self._granted(origin))
            if self.exposed:
                context.stamps.append(("Access-Control-Expose-Headers", self.exposed))
        elif self.terminate and context.request.method in ("GET", "HEAD"):
            context.response = Response(200, Headers())
            raise Returned

    def allows(self, origin: str) -> bool:
        """Whether pages of that origin may read answers."""
        return "*" in self.origins or normal(origin) in self.origins

    def preflight(self, context: Context) -> Response:
        """An empty 200, with what is granted if origin, method and headers all match."""
        asked = context.request.headers
        answer = Response(200, Headers())
        answer.headers.set("Vary", "Origin")
        origin = asked.get("Origin") or ""
        method = asked.get("Access-Control-Request-Method") or ""
        wanted = (asked.get("Access-Control-Request-Headers") or "").lower()
        names = {name.strip() for name in wanted.split(",")} - {""}
        if not self.allows(origin) or not self._permits(method, names):
            return answer
        for name, value in self._granted(origin):
            answer.headers.set(name, value)
        answer.headers.set("Access-Control-Allow-Methods", method)
        if names:
            answer.headers.set("Access-Control-Allow-Headers", ",".join(sorted(names)))
        answer.headers.set("Access-Control-Max-Age", str(self.max_age_s))
        return answer

    def _permits(self, method: str, names: set[str]) -> bool:
        if "*" not in self.methods and method not in self.methods:
            return False
        return "*" in self.headers or names <= self.headers

    def _granted(self, origin: str) -> list[tuple[str, str]]:
        shown = "*" if "*" in self.origins else origin
        granted = [("Access-Control-Allow-Origin", shown)]
        if self.credentials:
            granted.append(("Access-Control-Allow-Credentials", "true"))
        return granted


def normal(origin: str) -> str:
    """An origin in lower case and with its port; empty for what is none (RFC 6454 §6.2)."""
    match = _ORIGIN(origin.lower())
    if match is None:
        return ""
    scheme, host, port = match.groups()
    return f"{scheme}://{host}:{port or _PORTS[scheme]}"


def build(element: Element, builder: Builder) -> Step:
    """The policy. `terminate-unmatched-request` must be given: its default is told two ways."""
    check(
        element,
        required=("terminate-unmatched-request",),
        optional=("allow-credentials",),
        children=("allowed-origins", "allowed-methods", "allowed-headers", "expose-headers"),
    )
    parts = {child.tag: child for child in element.children}
    if len(parts) != len(element.children):
        raise element.fault("each part of <cors> stands there once")
    for tag in ("allowed-origins", "allowed-headers"):
        if tag not in parts:
            raise element.fault(f"<cors> needs <{tag}>")
    credentials = builder.flag(element, "allow-credentials", default=False)
    origins = _origins(parts["allowed-origins"], builder)
    if credentials and "*" in origins:
        raise element.fault("credentials are not for every origin")
    methods = parts.get("allowed-methods")
    return Cors(
        origins=origins,
        methods=_methods(methods, builder),
        headers=frozenset(
            name.lower() for name in _names(parts["allowed-headers"], "header", builder)
        ),
        exposed=",".join(_names(parts["expose-headers"], "header", builder))
        if "expose-headers" in parts
        else "",
        max_age_s=0
        if methods is None
        else builder.number(methods, "preflight-result-max-age", 0, 0, 86_400),
        credentials=credentials,
        terminate=builder.flag(element, "terminate-unmatched-request", default=True),
    )


def _origins(part: Element, builder: Builder) -> frozenset[str]:
    check(part, children=("origin",))
    texts = _names(part, "origin", builder)
    if "*" in texts:
        if len(texts) > 1:
            raise part.fault("* stands alone")
        return frozenset(texts)
    for text in texts:
        if not normal(text):
            raise part.fault(f"{text} is no origin: scheme, host and port")
    return frozenset(normal(text) for text in texts)


def _methods(part: Element | None, builder: Builder) -> frozenset[str]:
    if part is None:
        return frozenset({"GET", "POST"})
    check(part, optional=("preflight-result-max-age",), children=("method",))
    return frozenset(name.upper() for name in _names(part, "method", builder))


def _names(part: Element, tag: str, builder: Builder) -> list[str]:
    names = builder.constants(part, tag)
    if not names:
        raise part.fault(f"<{part.tag}> needs a <{tag}>")
    return names
