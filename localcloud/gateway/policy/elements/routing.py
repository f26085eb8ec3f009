"""Where a request goes and as whom: the backend, its path and query, the gateway's own token."""

import re
from urllib.parse import parse_qsl, quote, urlencode

from localcloud.gateway.policy.building import Builder, Step, check
from localcloud.gateway.policy.context import Context
from localcloud.gateway.policy.faults import Refusal
from localcloud.gateway.policy.xml import Element

_PARAMETER = re.compile(r"\{([A-Za-z0-9_-]+)\}")
_LONGEST_S = 240
"""Beyond it Azure's network may drop the line (forward-request policy)."""


def set_backend_service(element: Element, builder: Builder) -> Step:
    """The backend that gets the request, by its id.

    Source: https://learn.microsoft.com/azure/api-management/set-backend-service-policy
    """
    check(element, required=("backend-id",))
    backend = builder.attribute(element, "backend-id")
    if backend not in builder.shared.backends:
        raise element.fault(f"there is no backend {backend}")
    url = builder.shared.backends[backend]

    def step(context: Context) -> None:
        context.backend_url = url

    return step


def rewrite_uri(element: Element, builder: Builder) -> Step:
    """Another path at the backend; `{name}` is a parameter of the operation's own path.

    Source: https://learn.microsoft.com/azure/api-management/rewrite-uri-policy
    """
    check(element, required=("template",), optional=("copy-unmatched-params",))
    template = builder.attribute(element, "template")
    keep = builder.flag(element, "copy-unmatched-params", default=True)
    if not template.startswith("/") or "?" in template:
        raise element.fault("the template is a path that starts with /")

    def step(context: Context) -> None:
        matched = context.request.matched
        context.request.path = _PARAMETER.sub(
            lambda name: quote(matched[name[1]], safe=""), template
        )
        if not keep:
            context.request.query = ""

    return step


def set_query_parameter(element: Element, builder: Builder) -> Step:
    """Sets, adds to or deletes a query parameter of the request.

    Source: https://learn.microsoft.com/azure/api-management/set-query-parameter-policy
    """
    check(element, required=("name",), optional=("exists-action",), children=("value",))
    name = builder.attribute(element, "name")
    action = builder.choice(
        element, "exists-action", "override", "override", "skip", "append", "delete"
    )
    values = [value.run for value in builder.texts(element, "value")]
    if bool(values) is (action == "delete"):
        raise element.fault("a parameter is deleted without a <value>, otherwise it needs one")

    def step(context: Context) -> None:
        pairs = parse_qsl(context.request.query, keep_blank_values=True)
        there = any(key == name for key, _ in pairs)
        if action == "skip" and there:
            return
        if action in ("override", "delete"):
            pairs = [pair for pair in pairs if pair[0] != name]
        pairs += [(name, run(context) or "") for run in values]
        context.request.query = urlencode(pairs)

    return step


def forward_request(element: Element, builder: Builder) -> Step:
    """Sends the request to the backend; its answer becomes the answer, whatever its status.

    `buffer-response` is accepted and means nothing here: answers are always relayed as they come.
    Source: https://learn.microsoft.com/azure/api-management/forward-request-policy
    """
    check(element, optional=("timeout", "buffer-request-body", "buffer-response"))
    timeout_s = float(builder.number(element, "timeout", _LONGEST_S, 1, _LONGEST_S))
    buffer_body = builder.flag(element, "buffer-request-body", default=False)
    builder.flag(element, "buffer-response", default=True)

    async def step(context: Context) -> None:
        if not context.backend_url:
            raise Refusal(
                source="forward-request", reason="BackendUrlMissing", message="No backend is set."
            )
        context.response = await context.services.upstream.forward(
            context, timeout_s=timeout_s, buffer_body=buffer_body
        )

    return step


def managed_identity(element: Element, builder: Builder) -> Step:
    """The gateway's own token for `resource`, in Authorization (which it replaces) or a variable.

    Source: https://learn.microsoft.com/azure/api-management/authentication-managed-identity-policy
    """
    check(
        element,
        required=("resource",),
        optional=("client-id", "output-token-variable-name", "ignore-error"),
    )
    resource = builder.value(element, element.attributes["resource"]).run
    client_id = builder.attribute(element, "client-id") or None
    variable = builder.attribute(element, "output-token-variable-name")
    lenient = builder.flag(element, "ignore-error", default=False)

    async def step(context: Context) -> None:
        try:
            token = await context.services.identity.token(resource(context), client_id)
        except Refusal:
            if lenient:
                return
            raise
        if variable:
            context.variables[variable] = token
        else:
            context.request.headers.set("Authorization", f"Bearer {token}")

    return step
