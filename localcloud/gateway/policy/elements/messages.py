"""What a request or an answer says: headers, status, body, and variables on the way."""

from collections.abc import Callable

from localcloud.gateway.policy.building import Builder, Returned, Step, check
from localcloud.gateway.policy.context import Context, Response
from localcloud.gateway.policy.faults import Refusal
from localcloud.gateway.policy.headers import Headers
from localcloud.gateway.policy.xml import Element

_FIXED = frozenset({"connection", "content-length", "keep-alive", "transfer-encoding"})
"""The gateway writes these itself: "cannot be modified or deleted" (set-header policy)."""
_VARIABLE_TYPES = ("string", "int", "bool", "Jwt", "Guid", "string[]", "JObject", "object")


class FixedBody:
    """A body that a policy wrote."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    async def read(self, limit: int) -> bytes:
        """The whole of it. Raises Refusal above `limit` bytes."""
        if len(self._content) > limit:
            raise Refusal(source="request", reason="BodyTooLarge", status=413)
        return self._content


def set_header(element: Element, builder: Builder) -> Step:
    """Sets, adds to or deletes a header of the request (before the backend) or of the answer.

    Source: https://learn.microsoft.com/azure/api-management/set-header-policy
    """
    check(element, required=("name",), optional=("exists-action",), children=("value",))
    name = builder.attribute(element, "name")
    action = builder.choice(
        element, "exists-action", "override", "override", "skip", "append", "delete"
    )
    if name.lower() in _FIXED:
        raise element.fault(f"API Management does not let policies change {name}")
    values = [value.run for value in builder.texts(element, "value")]
    if bool(values) is (action == "delete"):
        raise element.fault("a header is deleted without a <value>, otherwise it needs one")
    headers = _headers(builder)
    if action == "delete":
        return lambda context: headers(context).remove(name)
    if action == "append":
        return lambda context: headers(context).add(name, *[run(context) or "" for run in values])

    def step(context: Context) -> None:
        found = headers(context)
        if action == "override" or name not in found:
            found.set(name, *[run(context) or "" for run in values])

    return step


def _headers(builder: Builder) -> Callable[[Context], Headers]:
    if builder.target == "request":
        return lambda context: context.request.headers
    return lambda context: _answer(context).headers


def _answer(context: Context) -> Response:
    answer = context.answer or context.response
    if answer is None:
        raise ValueError("there is no answer yet")
    return answer


def set_status(element: Element, builder: Builder) -> Step:
    """The status of the answer, and the reason phrase.

    Source: https://learn.microsoft.com/azure/api-management/set-status-policy
    """
    check(element, required=("code", "reason"))
    code = builder.value(element, element.attributes["code"], "int", "string")
    if code.constant is not None:
        builder.number(element, "code", None, 100, 599)
    reason = builder.value(element, element.attributes["reason"]).run

    def step(context: Context) -> None:
        status = int(code.run(context))
        if not 100 <= status <= 599:  # noqa: PLR2004 - RFC 9110 §15
            raise ValueError("no status of HTTP")
        answer = _answer(context)
        answer.status, answer.reason = status, reason(context) or ""

    return step


def set_body(element: Element, builder: Builder) -> Step:
    """Replaces the body of the request or of the answer by a text.

    Source: https://learn.microsoft.com/azure/api-management/set-body-policy
    """
    check(element, text=True)
    text = builder.value(element, element.text).run
    if builder.target == "request":

        def replace_request(context: Context) -> None:
            context.request.body = FixedBody((text(context) or "").encode())

        return replace_request

    async def replace_answer(context: Context) -> None:
        answer = _answer(context)
        written = (text(context) or "").encode()
        await answer.discard()
        answer.body = written
        answer.headers.remove("Content-Length")
        answer.headers.remove("Content-Encoding")

    return replace_answer


def set_variable(element: Element, builder: Builder) -> Step:
    """Keeps a value for the policies that follow.

    Source: https://learn.microsoft.com/azure/api-management/set-variable-policy
    """
    check(element, required=("name", "value"))
    name = builder.attribute(element, "name")
    value = builder.value(element, element.attributes["value"], *_VARIABLE_TYPES).run

    def step(context: Context) -> None:
        context.variables[name] = value(context)

    return step


_PARTS = {"set-status": set_status, "set-header": set_header, "set-body": set_body}


def return_response(element: Element, builder: Builder) -> Step:
    """Answers at once: 200 without a body, unless its children say otherwise.

    The children see the answer that was there before, so a header can be carried over.
    Source: https://learn.microsoft.com/azure/api-management/return-response-policy
    """
    check(element, children=_PARTS)
    inner = builder.inside(at=builder.at, target="response")
    parts = [_PARTS[child.tag](child, inner) for child in element.children]

    async def step(context: Context) -> None:
        before, context.answer = context.response, Response(200, Headers())
        for part in parts:
            waiting = part(context)
            if waiting is not None:
                await waiting
        if before is not None:
            await before.discard()
        context.response, context.answer = context.answer, None
        raise Returned

    return step
