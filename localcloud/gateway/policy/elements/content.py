"""Whether a request is what its OpenAPI description says: parameters and body.

The messages are the public ones of Microsoft's table of validation errors:
https://learn.microsoft.com/azure/api-management/validate-content-policy#validation-errors
"""

from collections.abc import Mapping
from dataclasses import dataclass

from localcloud.gateway.policy.building import Builder, Step, check
from localcloud.gateway.policy.context import Context
from localcloud.gateway.policy.faults import Refusal
from localcloud.gateway.policy.services import Violation
from localcloud.gateway.policy.xml import Element

_ACTIONS = ("ignore", "prevent", "detect")
_PLACES = ("headers", "query", "path")
_KINDS = {"headers": "header", "query": "query parameter", "path": "path parameter"}
_LARGEST = 102_400
"""Bytes: "Maximum allowed value: 102,400 bytes (100 KB)" (validate-content policy)."""


@dataclass(frozen=True, slots=True)
class _Rules:
    """What to do about the parameters of one place."""

    specified: str
    unspecified: str
    named: Mapping[str, str]

    def action(self, violation: Violation) -> str:
        if action := self.named.get(violation.name.lower()):
            return action
        return self.specified if violation.specified else self.unspecified

    @property
    def idle(self) -> bool:
        return {self.specified, self.unspecified, *self.named.values()} == {"ignore"}


def validate_parameters(element: Element, builder: Builder) -> Step:
    """Parameters as described, and none besides, by the actions given for each place.

    Source: https://learn.microsoft.com/azure/api-management/validate-parameters-policy
    """
    check(
        element,
        required=("specified-parameter-action", "unspecified-parameter-action"),
        children=_PLACES,
    )
    parts = {child.tag: child for child in element.children}
    rules = {place: _rules(element, parts.get(place), builder) for place in _PLACES}
    places = frozenset(place for place, rule in rules.items() if not rule.idle)

    def step(context: Context) -> None:
        for violation in context.services.contract.parameters(context, places):
            action = rules[violation.place].action(violation)
            if action == "prevent":
                raise _bad("validate-parameters", _parameter(violation))
            if action == "detect":
                _told(context, "validate-parameters", violation.detail)

    return step


def _rules(element: Element, part: Element | None, builder: Builder) -> _Rules:
    specified = builder.choice(element, "specified-parameter-action", "", *_ACTIONS)
    unspecified = builder.choice(element, "unspecified-parameter-action", "", *_ACTIONS)
    if part is None:
        return _Rules(specified, unspecified, {})
    check(
        part,
        optional=("specified-parameter-action", "unspecified-parameter-action"),
        children=("parameter",),
    )
    named = {}
    for child in part.children:
        check(child, required=("name", "action"))
        name = builder.attribute(child, "name").lower()
        named[name] = builder.choice(child, "action", "", *_ACTIONS)
    return _Rules(
        builder.choice(part, "specified-parameter-action", specified, *_ACTIONS),
        builder.choice(part, "unspecified-parameter-action", unspecified, *_ACTIONS),
        named,
    )


def _parameter(violation: Violation) -> str:
    kind = _KINDS[violation.place]
    if not violation.specified:
        return f"Unspecified {kind} {violation.name} is not allowed."
    return (
        f"The value of the {kind} {violation.name} does not conform to the definition. "
        f"{violation.detail}"
    )


def validate_content(element: Element, builder: Builder) -> Step:
    """A body of a described media type, of the described shape, and not too large.

    Source: https://learn.microsoft.com/azure/api-management/validate-content-policy
    """
    check(
        element,
        required=("unspecified-content-type-action", "max-size", "size-exceeded-action"),
        children=("content",),
    )
    unspecified = builder.choice(element, "unspecified-content-type-action", "", *_ACTIONS)
    builder.choice(element, "size-exceeded-action", "", "prevent")
    largest = builder.number(element, "max-size", None, 1, _LARGEST)
    actions = {}
    for child in element.children:
        check(child, required=("type", "validate-as", "action"))
        builder.choice(child, "validate-as", "", "json")
        actions[builder.attribute(child, "type").lower()] = builder.choice(
            child, "action", "", *_ACTIONS
        )

    async def step(context: Context) -> None:
        headers = context.request.headers
        length = headers.get("Content-Length")
        if length in (None, "0") and "Transfer-Encoding" not in headers:
            return
        media_type = (headers.get("Content-Type") or "").partition(";")[0].strip().lower()
        if media_type not in context.services.contract.media_types(context):
            _act(context, unspecified, f"Unspecified content type {media_type} is not allowed.")
        body = await _read(context, largest)
        if media_type in actions:
            violation = context.services.contract.content(context, media_type, body)
            if violation is not None:
                _act(context, actions[media_type], _nonconforming(violation, media_type))

    return step


async def _read(context: Context, largest: int) -> bytes:
    try:
        return await context.request.body.read(largest)
    except Refusal as refusal:
        if refusal.reason != "BodyTooLarge":
            raise
        raise _bad(
            "validate-content", f"Request's body exceeds the limit of {largest} bytes."
        ) from refusal


def _nonconforming(violation: Violation, media_type: str) -> str:
    if violation.reason == "malformed":
        return f"Body of the request cannot be validated for the content type {media_type}."
    where = f"{violation.name}: " if violation.name else ""
    return (
        "Body of the request does not conform to the definition, which is associated with the "
        f"content type {media_type}. {where}{violation.detail}"
    )


def _act(context: Context, action: str, message: str) -> None:
    if action == "prevent":
        raise _bad("validate-content", message)
    if action == "detect":
        _told(context, "validate-content", message)


def _bad(source: str, message: str) -> Refusal:
    return Refusal(source=source, reason="BadRequest", message=message, status=400)


def _told(context: Context, source: str, message: str) -> None:
    context.services.trace(context, source, "information", message, {})
