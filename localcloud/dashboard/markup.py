"""HTML as values: whatever was not built here is text, and is escaped."""

import html
from collections.abc import Iterable
from typing import Final

_VOID: Final = frozenset({"br", "hr", "input", "link", "meta"})
_UNPRINTABLE: Final = {
    **{code: 0x2400 + code for code in range(0x20) if chr(code) not in "\t\n\r"},
    0x7F: 0x2421,
    **dict.fromkeys(range(0x80, 0xA0), 0xFFFD),
}
"""Control characters are not HTML; they are shown by their symbols, such as ␀."""


class Html(str):
    """Markup, to be sent as it is."""

    __slots__ = ()


type Child = Html | str | int | Iterable[Child] | None


def el(tag: str, *children: Child, **attributes: str | int | bool | None) -> Html:
    """One element. Text among the children and in attributes is escaped; None is left out.

    `class_` means `class`, and other underscores mean hyphens. True gives an attribute without a
    value, False none.
    """
    parts = [f"<{tag}"]
    for name, value in attributes.items():
        if value is None or value is False:
            continue
        parts.append(f" {name.rstrip('_').replace('_', '-')}")
        if value is not True:
            parts.append(f'="{escaped(str(value))}"')
    parts.append(">")
    if tag not in _VOID:
        parts.append(join(*children))
        parts.append(f"</{tag}>")
    return Html("".join(parts))


def join(*children: Child) -> Html:
    """The children one after the other, without an element around them."""
    parts: list[str] = []
    for child in children:
        if isinstance(child, Html):
            parts.append(child)
        elif isinstance(child, str):
            parts.append(escaped(child))
        elif isinstance(child, int):
            parts.append(str(child))
        elif child is not None:
            parts.append(join(*child))
    return Html("".join(parts))


def escaped(text: str) -> str:
    """The text as HTML shows it, in an element or in a quoted attribute.

    Halves of surrogate pairs, which UTF-8 cannot carry, become question marks.
    """
    printable = text.translate(_UNPRINTABLE).encode("utf-8", "replace").decode()
    return html.escape(printable)
