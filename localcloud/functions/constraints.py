"""The route constraints of ASP.NET Core, as `{id:int}` or `{code:length(3)}` name them."""

import re
from collections.abc import Callable
from datetime import datetime

Check = Callable[[str], bool]

_INTEGER = re.compile(r"\s*[+-]?[0-9]+\s*")
_NUMBER = re.compile(r"\s*[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)\s*")
_FLOAT = re.compile(r"\s*[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?\s*")
_HEX8 = "[0-9a-fA-F]{8}"
_DASHED = f"{_HEX8}(?:-[0-9a-fA-F]{{4}}){{3}}-[0-9a-fA-F]{{12}}"
_GUID = re.compile(rf"{_DASHED}|\{{{_DASHED}\}}|\({_DASHED}\)|[0-9a-fA-F]{{32}}")
_ALPHA = re.compile(r"[A-Za-z]*")


def _whole_number(bits: int) -> Check:
    limit = 1 << (bits - 1)

    def check(text: str) -> bool:
        return _INTEGER.fullmatch(text) is not None and -limit <= int(text) < limit

    return check


def _matches(pattern: re.Pattern[str]) -> Check:
    return lambda text: pattern.fullmatch(text) is not None


def _is_datetime(text: str) -> bool:
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return True


_PLAIN: dict[str, Check] = {
    "int": _whole_number(32),
    "long": _whole_number(64),
    "decimal": _matches(_NUMBER),
    "double": _matches(_FLOAT),
    "float": _matches(_FLOAT),
    "bool": lambda text: text.strip().lower() in {"true", "false"},
    "guid": _matches(_GUID),
    "alpha": _matches(_ALPHA),
    "datetime": _is_datetime,
    "required": bool,
}


def _length(least: int, most: int | None = None) -> Check:
    top = least if most is None else most
    return lambda text: least <= len(text) <= top


def _bounded(least: int | None, most: int | None) -> Check:
    is_long = _whole_number(64)

    def check(text: str) -> bool:
        if not is_long(text):
            return False
        return (least is None or int(text) >= least) and (most is None or int(text) <= most)

    return check


_WITH_NUMBERS: dict[str, tuple[range, Callable[..., Check]]] = {
    "length": (range(1, 3), _length),
    "minlength": (range(1, 2), lambda least: lambda text: len(text) >= least),
    "maxlength": (range(1, 2), lambda most: lambda text: len(text) <= most),
    "min": (range(1, 2), lambda least: _bounded(least, None)),
    "max": (range(1, 2), lambda most: _bounded(None, most)),
    "range": (range(2, 3), _bounded),
}


def constraint(text: str) -> Check:
    """The check that `text` asks for. ValueError when there is no such constraint.

    `guid` takes the formats with and without dashes, braces and parentheses; `datetime` only
    ISO 8601, where .NET also reads the invariant culture's American forms.
    """
    name, _, rest = text.partition("(")
    name = name.strip().lower()
    if not rest:
        if name in _PLAIN:
            return _PLAIN[name]
        raise ValueError(f"unknown route constraint {text!r}")
    if not rest.endswith(")"):
        raise ValueError(f"the route constraint {text!r} is not closed")
    argument = rest[:-1]
    if name == "regex":
        pattern = re.compile(argument, re.IGNORECASE)
        return lambda value: pattern.search(value) is not None
    if name not in _WITH_NUMBERS:
        raise ValueError(f"unknown route constraint {text!r}")
    counts, make = _WITH_NUMBERS[name]
    numbers = [int(part) for part in argument.split(",")]
    if len(numbers) not in counts:
        raise ValueError(f"the route constraint {text!r} has the wrong number of arguments")
    return make(*numbers)
