"""What the elements of a policy are built with: checked attributes, values, and blocks of steps."""

import logging
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from localcloud.gateway.policy.context import Context
from localcloud.gateway.policy.expressions import ExpressionFault, Run, Typed, compile_expression
from localcloud.gateway.policy.faults import Refusal
from localcloud.gateway.policy.jwt import Issuer
from localcloud.gateway.policy.xml import Element

type Step = Callable[[Context], Awaitable[None] | None]
"""Applies a policy to a request; what it returns is awaited, if anything."""

Section = Literal["inbound", "backend", "outbound", "on-error"]
SECTIONS: tuple[Section, ...] = ("inbound", "backend", "outbound", "on-error")
Target = Literal["request", "response"]

_NAMED = re.compile(r"\{\{([A-Za-z0-9_.-]+)\}\}")
_log = logging.getLogger(__name__)


class Returned(Exception):
    """A `return-response` policy answered: nothing that follows it runs."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a step stands, as `context.LastError` says it."""

    scope: str
    section: Section
    path: str
    tag: str
    policy_id: str

    def mark(self, refusal: Refusal) -> None:
        """Notes the innermost place on the refusal."""
        if not refusal.section:
            refusal.scope, refusal.section = self.scope, self.section
            refusal.path, refusal.policy_id = self.path, self.policy_id

    def failed(self, error: Exception) -> Refusal:
        """The refusal for an expression that threw, or a step that failed unforeseen.

        The log gets the kind of the failure only: its text may hold what the caller sent.
        """
        _log.warning("%s at %s failed: %s", self.tag, self.path, type(error).__name__)
        refusal = Refusal(
            source=self.tag,
            reason="ExpressionValueEvaluationFailure",
            message="Expression evaluation failed.",
        )
        self.mark(refusal)
        return refusal


class Block:
    """Steps one after another; nothing is awaited unless a step has to wait."""

    __slots__ = ("_steps",)

    def __init__(self, steps: Iterable[tuple[Step, Place]]) -> None:
        self._steps = tuple(steps)

    def __len__(self) -> int:
        return len(self._steps)

    def start(self, context: Context) -> Awaitable[None] | None:
        """Runs the block. Raises Refusal or Returned, here or when awaited."""
        for at, (step, place) in enumerate(self._steps):
            try:
                waiting = step(context)
            except (Refusal, Returned) as leaving:
                _mark(place, leaving)
                raise
            except Exception as error:
                raise place.failed(error) from error
            if waiting is not None:
                return self._rest(context, at, waiting)
        return None

    async def _rest(self, context: Context, at: int, waiting: Awaitable[None] | None) -> None:
        for step, place in self._steps[at:]:
            try:
                if waiting is None:
                    waiting = step(context)
                if waiting is not None:
                    await waiting
                    waiting = None
            except (Refusal, Returned) as leaving:
                _mark(place, leaving)
                raise
            except Exception as error:
                raise place.failed(error) from error

    async def run(self, context: Context) -> None:
        """As `start`, awaited in any case."""
        waiting = self.start(context)
        if waiting is not None:
            await waiting


def _mark(place: Place, leaving: Refusal | Returned) -> None:
    if isinstance(leaving, Refusal):
        place.mark(leaving)


@dataclass(frozen=True, slots=True)
class Value:
    """An attribute's or element's value: constant, or computed for each request."""

    constant: str | None
    type: str
    run: Run


@dataclass(frozen=True)
class Shared:
    """What every file of one policy set shares."""

    named: Mapping[str, str]
    fragments: Mapping[str, Element]
    backends: Mapping[str, str]
    issuers: dict[str, Issuer]

    def resolved(self, element: Element, raw: str) -> str:
        """`raw` with `{{named}}` values put in. Raises PolicyFault for one that is not declared."""

        def value(match: re.Match[str]) -> str:
            if match[1] not in self.named:
                raise element.fault(f"there is no named value {match[1]}")
            text = self.named[match[1]]
            if raw.startswith("@") and re.search(r'["\\\r\n]', text):
                raise element.fault(f"the named value {match[1]} would break the expression")
            return text

        return _NAMED.sub(value, raw)

    def issuer(self, url: str) -> Issuer:
        """The one verifier for that OpenID configuration."""
        return self.issuers.setdefault(url, Issuer(url))


@dataclass(frozen=True)
class Builder:
    """Builds the steps of one section of one file."""

    shared: Shared
    scope: str
    section: Section
    websocket: bool
    target: Target
    make: Callable[["Builder", Sequence[Element], str], Block]
    """Builds a block of child policies; the third argument is the path they stand under."""
    in_fragment: bool = False
    at: str = ""
    """The path of the element being built."""

    def inside(self, *, at: str, target: Target | None = None) -> "Builder":
        """The builder for what stands inside the element at `at`."""
        return replace(self, at=at, target=target or self.target)

    def block(self, element: Element, at: str) -> Block:
        """The children of `element` as a block."""
        return self.make(self, element.children, at)

    def value(self, element: Element, raw: str, *types: str) -> Value:
        """`raw` as a value of one of `types` (string if none). Raises PolicyFault."""
        text = self.shared.resolved(element, raw)
        if text.startswith("@{"):
            raise element.fault("multi-statement expressions are outside the subset")
        if not text.startswith("@("):
            return Value(text, "string", lambda _: text)
        typed = _expression(element, text)
        wanted = types or ("string",)
        if typed.type not in wanted:
            raise element.fault(f"the expression gives {typed.type}, not {' or '.join(wanted)}")
        return Value(None, typed.type, typed.run)

    def constant(self, element: Element, raw: str) -> str:
        """`raw` as a text that no expression computes. Raises PolicyFault."""
        text = self.shared.resolved(element, raw)
        if text.startswith("@"):
            raise element.fault("an expression is not allowed here")
        return text

    def attribute(self, element: Element, name: str, default: str = "") -> str:
        """A constant attribute. Raises PolicyFault."""
        return self.constant(element, element.attributes.get(name, default))

    def flag(self, element: Element, name: str, *, default: bool) -> bool:
        """An attribute that is true or false. Raises PolicyFault."""
        text = self.attribute(element, name, "true" if default else "false").lower()
        if text not in ("true", "false"):
            raise element.fault(f"{name} is true or false")
        return text == "true"

    def number(self, element: Element, name: str, default: int | None, low: int, high: int) -> int:
        """A whole number between `low` and `high`. Raises PolicyFault."""
        text = self.attribute(element, name, "" if default is None else str(default))
        if not re.fullmatch(r"[0-9]{1,9}", text) or not low <= int(text) <= high:
            raise element.fault(f"{name} is a whole number from {low} to {high}")
        return int(text)

    def choice(self, element: Element, name: str, default: str, *allowed: str) -> str:
        """One of the `allowed` words. Raises PolicyFault."""
        text = self.attribute(element, name, default)
        if text not in allowed:
            raise element.fault(f"{name} is one of {', '.join(allowed)}")
        return text

    def condition(self, element: Element) -> Run:
        """The attribute `condition` as a truth value. Raises PolicyFault."""
        value = self.value(element, element.attributes["condition"], "bool")
        if value.constant is None:
            return value.run
        truth = value.constant.lower()
        if truth not in ("true", "false"):
            raise element.fault("condition is an expression, true or false")
        return lambda _: truth == "true"

    def texts(self, element: Element, tag: str) -> list[Value]:
        """The texts of the children named `tag`, each holding nothing else. Raises PolicyFault."""
        values = []
        for child in element.named(tag):
            check(child, text=True)
            values.append(self.value(child, child.text))
        return values

    def constants(self, element: Element, tag: str) -> list[str]:
        """As `texts`, of constants that are not empty. Raises PolicyFault."""
        found = []
        for child in element.named(tag):
            check(child, text=True)
            text = self.constant(child, child.text)
            if not text:
                raise child.fault(f"<{tag}> is empty")
            found.append(text)
        return found


def _expression(element: Element, text: str) -> Typed:
    if not text.endswith(")"):
        raise element.fault("an expression starts with @( and ends with )")
    try:
        return compile_expression(text[2:-1])
    except ExpressionFault as fault:
        raise element.fault(f"{fault} in {text}") from fault


def check(
    element: Element,
    *,
    required: Iterable[str] = (),
    optional: Iterable[str] = (),
    children: Iterable[str] | None = (),
    text: bool = False,
) -> None:
    """Raises PolicyFault for attributes, children or text that the element does not have.

    `children` None leaves the children to the caller; every policy may have an `id`.
    """
    wanted = set(required)
    if missing := sorted(wanted - element.attributes.keys()):
        raise element.fault(f"<{element.tag}> needs {', '.join(missing)}")
    if unknown := sorted(element.attributes.keys() - wanted - set(optional) - {"id"}):
        raise element.fault(f"<{element.tag}> has no attribute {', '.join(unknown)}")
    if element.text and not text:
        raise element.fault(f"<{element.tag}> holds no text")
    if children is None:
        return
    allowed = set(children)
    for child in element.children:
        if child.tag not in allowed:
            raise child.fault(f"<{child.tag}> is unknown in <{element.tag}>")
