"""Policy documents: the four sections of a file, chained by `<base/>` and built into blocks."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from localcloud.gateway.policy import xml
from localcloud.gateway.policy.building import (
    SECTIONS,
    Block,
    Builder,
    Place,
    Section,
    Shared,
    Step,
    check,
)
from localcloud.gateway.policy.elements import POLICIES
from localcloud.gateway.policy.elements.cors import Cors
from localcloud.gateway.policy.xml import Element

_LARGEST_FRAGMENT = 32 * 1024
_ONCE = frozenset({"cors", "validate-parameters", "forward-request"})
"""Policies that a section holds once (their reference pages)."""


@dataclass(frozen=True)
class Document:
    """A file of policies and the scope it belongs to."""

    scope: str
    sections: Mapping[Section, Element]


def document(file: Path, scope: str) -> Document:
    """The document in `file`; each of the four sections must be there. Raises PolicyFault."""
    root = xml.read(file)
    if root.tag != "policies":
        raise root.fault(f"expected <policies>, found <{root.tag}>")
    check(root, children=SECTIONS)
    found: dict[Section, Element] = {}
    for child in root.children:
        section = next(name for name in SECTIONS if name == child.tag)
        if section in found:
            raise child.fault(f"<{section}> stands twice")
        check(child, children=None)
        found[section] = child
    for section in SECTIONS:
        if section not in found:
            raise root.fault(f"<{section}> is missing: nothing would be inherited there")
    return Document(scope, found)


def fragment(file: Path) -> Element:
    """The root of the fragment in `file`, which has at most 32 KB. Raises PolicyFault.

    Source: https://learn.microsoft.com/azure/api-management/policy-fragments
    """
    root = xml.read(file)
    if file.stat().st_size > _LARGEST_FRAGMENT:
        raise root.fault("a fragment has at most 32 KB")
    if root.tag != "fragment":
        raise root.fault(f"expected <fragment>, found <{root.tag}>")
    check(root, children=None)
    return root


@dataclass(frozen=True)
class Sections:
    """The built sections of one chain of documents."""

    inbound: Block
    backend: Block
    outbound: Block
    on_error: Block
    cors: tuple[Cors, ...]


def built(chain: Sequence[Document], shared: Shared, *, websocket: bool) -> Sections:
    """The chain from the widest scope to the narrowest. Raises PolicyFault."""
    steps: dict[Section, list[tuple[Step, Place]]] = {}
    for section in SECTIONS:
        inherited: list[tuple[Step, Place]] = []
        for at, holder in enumerate(chain):
            builder = Builder(
                shared=shared,
                scope=holder.scope,
                section=section,
                websocket=websocket,
                target="request" if section in ("inbound", "backend") else "response",
                make=_nested,
            )
            base = inherited if at else None
            inherited = list(_steps(builder, holder.sections[section].children, "", base))
        steps[section] = inherited
    return Sections(
        inbound=Block(steps["inbound"]),
        backend=Block(steps["backend"]),
        outbound=Block(steps["outbound"]),
        on_error=Block(steps["on-error"]),
        cors=tuple(step for step, _ in steps["inbound"] if isinstance(step, Cors)),
    )


def _nested(builder: Builder, elements: Sequence[Element], at: str) -> Block:
    return Block(_steps(builder, elements, at, None, nested=True))


def _steps(
    builder: Builder,
    elements: Sequence[Element],
    under: str,
    base: list[tuple[Step, Place]] | None,
    *,
    nested: bool = False,
) -> Iterator[tuple[Step, Place]]:
    """The steps of `elements`; `base` is what `<base/>` stands for, None where there is none."""
    seen: dict[str, int] = {}
    for element in elements:
        tag = element.tag
        seen[tag] = seen.get(tag, 0) + 1
        path = f"{under}/{tag}[{seen[tag]}]" if under else f"{tag}[{seen[tag]}]"
        if tag in _ONCE and seen[tag] > 1:
            raise element.fault(f"<{tag}> stands once in a section")
        if tag == "base":
            check(element)
            if base is None or nested:
                raise element.fault("<base/> has nothing to stand for here")
            yield from base
        elif tag == "include-fragment":
            yield from _included(builder, element, under)
        else:
            step = _step(builder.inside(at=path), element)
            if step is not None:
                policy_id = element.attributes.get("id", "")
                yield step, Place(builder.scope, builder.section, path, tag, policy_id)


def _included(builder: Builder, element: Element, under: str) -> Iterator[tuple[Step, Place]]:
    check(element, required=("fragment-id",))
    name = builder.attribute(element, "fragment-id")
    if builder.in_fragment:
        raise element.fault("API Management does not nest fragments")
    if name not in builder.shared.fragments:
        raise element.fault(f"there is no fragment {name}")
    inner = replace(builder, in_fragment=True)
    yield from _steps(inner, builder.shared.fragments[name].children, under, None)


def _step(builder: Builder, element: Element) -> Step | None:
    """The step of one policy; None for one that a WebSocket API inherits and skips."""
    policy = POLICIES.get(element.tag)
    if policy is None:
        raise element.fault(f"unknown element <{element.tag}>")
    if builder.section not in policy.sections:
        raise element.fault(f"<{element.tag}> has no place in {builder.section}")
    step = policy.build(element, builder)
    if builder.websocket and not policy.websocket:
        if builder.scope == "global":
            return None
        raise element.fault(f"<{element.tag}> is not for WebSocket APIs")
    return step
