"""Binding expressions: what stands in braces in the names and paths of bindings.

https://learn.microsoft.com/azure/azure-functions/functions-bindings-expressions-patterns
"""

import json
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from uuid_utils import uuid4

Facts = Mapping[str, Any]
"""What a trigger tells: values by name, nested as its JSON was."""

_PART = re.compile(r"(?P<open>\{\{)|(?P<close>\}\})|\{(?P<name>[^{}]+)\}|(?P<text>[^{}]+)")
_DATE_TOKEN = re.compile(r"'[^']*'|\\.|([A-Za-z])\1*|.")
_DEFAULT_DATE = "yyyy-MM-ddTHH-mm-ssK"
_NOTHING = object()

_DATE_PARTS: Mapping[str, Callable[[datetime], str]] = {
    "yyyy": lambda moment: f"{moment.year:04d}",
    "yy": lambda moment: f"{moment.year % 100:02d}",
    "MM": lambda moment: f"{moment.month:02d}",
    "dd": lambda moment: f"{moment.day:02d}",
    "HH": lambda moment: f"{moment.hour:02d}",
    "mm": lambda moment: f"{moment.minute:02d}",
    "ss": lambda moment: f"{moment.second:02d}",
    "K": lambda _: "Z",
}
_FRACTIONS = frozenset("f" * digits for digits in range(1, 8))
_LITERAL_LETTERS = frozenset("TZ")
_GUIDS: Mapping[str, str] = {"D": "{0}", "B": "{{{0}}}", "P": "({0})", "N": "{0.hex}"}


class Template:
    """A text with expressions, to be filled in. ValueError when it cannot be read."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._parts = _parts_of(text)
        for part, is_expression in self._parts:
            kind, _, style = part.partition(":")
            if is_expression and kind.lower() == "datetime":
                _formatted(datetime.now(UTC), style)

    @property
    def is_constant(self) -> bool:
        """Whether it has no expressions."""
        return not any(is_expression for _, is_expression in self._parts)

    def filled(self, facts: Facts) -> str:
        """The text with every expression replaced. ValueError for one without a value."""
        return "".join(
            _value(part, facts) if is_expression else part for part, is_expression in self._parts
        )


class Pattern:
    """The path of a blob trigger: a container, and which of its blobs, with names for parts."""

    def __init__(self, path: str) -> None:
        """ValueError when it names no container, an expression in it, or a part twice."""
        self.container, slash, blob = path.strip("/").partition("/")
        if not self.container or "{" in self.container:
            raise ValueError(f"the path {path!r} must begin with the name of a container")
        self._expression = re.compile(_expression_of(blob) if slash else ".*")

    def match(self, blob: str) -> dict[str, str] | None:
        """The named parts of the blob's name, or None when the trigger is not for it.

        Each part takes as much as it can, slashes too: `{name}.{ext}` cuts at the last dot.
        """
        found = self._expression.fullmatch(blob)
        return None if found is None else found.groupdict()


def _expression_of(blob: str) -> str:
    names: list[str] = []
    expression = ""
    for part, is_expression in _parts_of(blob):
        if not is_expression:
            expression += re.escape(part)
        elif not part.isidentifier() or part in names:
            raise ValueError(f"{{{part}}} is no name, or stands there twice")
        else:
            names.append(part)
            expression += f"(?P<{part}>.*)"
    return expression


def _parts_of(text: str) -> list[tuple[str, bool]]:
    """Literal texts and expressions, in their order. Doubled braces stand for themselves."""
    parts, at = [], 0
    while at < len(text):
        match = _PART.match(text, at)
        if match is None:
            raise ValueError(f"a brace in {text!r} has no partner")
        if match["name"] is not None:
            parts.append((match["name"].strip(), True))
        else:
            parts.append((match["text"] or match[0][0], False))
        at = match.end()
    return parts


def _value(expression: str, facts: Facts) -> str:
    name, colon, style = expression.partition(":")
    found = _found(name, facts)
    if found is not _NOTHING:
        return _text(found)
    if name.lower() == "rand-guid":
        return _guid(style or "D")
    if name.lower() == "datetime":
        return _formatted(datetime.now(UTC), style if colon else _DEFAULT_DATE)
    raise ValueError(f"no value for {{{expression}}}: the trigger does not tell it")


def _found(name: str, facts: Facts) -> Any:
    """The value at the dotted `name`; names compare without regard to case."""
    value: Any = facts
    for key in name.lower().split("."):
        if not isinstance(value, Mapping):
            return _NOTHING
        value = next((item for given, item in value.items() if given.lower() == key), _NOTHING)
    return value


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value)  # .NET writes it so too
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _guid(style: str) -> str:
    if style.upper() not in _GUIDS:
        raise ValueError(f"{{rand-guid:{style}}}: there are the formats N, D, B and P")
    return _GUIDS[style.upper()].format(uuid4())


def _formatted(moment: datetime, style: str) -> str:
    """`moment` in the given custom format of .NET. ValueError for what is not known here."""
    written = ""
    for match in _DATE_TOKEN.finditer(style or _DEFAULT_DATE):
        token = match[0]
        if token in _DATE_PARTS:
            written += _DATE_PARTS[token](moment)
        elif token in _FRACTIONS:
            written += f"{moment.microsecond:06d}0"[: len(token)]
        elif match[1] and token not in _LITERAL_LETTERS:
            raise ValueError(f"{{DateTime:{style}}}: {token!r} is not known here")
        else:
            written += token[1:] if token.startswith("\\") else token.strip("'")
    return written
