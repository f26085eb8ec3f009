"""Every policy of the subset: its name, the sections it may stand in, and how it is built.

An element outside this table refuses to load. The sections are those of Microsoft's reference,
https://learn.microsoft.com/azure/api-management/api-management-policies
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from localcloud.gateway.policy.building import SECTIONS, Builder, Section, Step
from localcloud.gateway.policy.elements import (
    access,
    content,
    cors,
    flow,
    limits,
    messages,
    routing,
    tokens,
)
from localcloud.gateway.policy.xml import Element


@dataclass(frozen=True, slots=True)
class Policy:
    """How an element becomes a step."""

    sections: tuple[Section, ...]
    build: Callable[[Element, Builder], Step]
    websocket: bool = True
    """Whether it applies to the handshake of a WebSocket API."""


_IN: tuple[Section, ...] = ("inbound",)
_REQUEST: tuple[Section, ...] = ("inbound", "backend")
_BODY: tuple[Section, ...] = ("inbound", "backend", "outbound")
_ANSWER: tuple[Section, ...] = ("outbound", "on-error")

POLICIES: Mapping[str, Policy] = {
    "authentication-managed-identity": Policy(_IN, routing.managed_identity),
    "check-header": Policy(_IN, access.check_header),
    "choose": Policy(SECTIONS, flow.choose),
    "cors": Policy(_IN, cors.build, websocket=False),
    "forward-request": Policy(("backend",), routing.forward_request),
    "ip-filter": Policy(_IN, access.ip_filter),
    "rate-limit-by-key": Policy(_IN, limits.rate_limit_by_key),
    "retry": Policy(SECTIONS, flow.retry),
    "return-response": Policy(SECTIONS, messages.return_response),
    "rewrite-uri": Policy(_IN, routing.rewrite_uri),
    "set-backend-service": Policy(_REQUEST, routing.set_backend_service),
    "set-body": Policy(_BODY, messages.set_body, websocket=False),
    "set-header": Policy(SECTIONS, messages.set_header),
    "set-query-parameter": Policy(_REQUEST, routing.set_query_parameter),
    "set-status": Policy(_ANSWER, messages.set_status),
    "set-variable": Policy(SECTIONS, messages.set_variable),
    "trace": Policy(SECTIONS, flow.trace),
    "validate-azure-ad-token": Policy(_IN, tokens.validate_azure_ad_token),
    "validate-content": Policy(_IN, content.validate_content, websocket=False),
    "validate-jwt": Policy(_IN, tokens.validate_jwt),
    "validate-parameters": Policy(_IN, content.validate_parameters, websocket=False),
}
