"""Reads ARM's JSON element by element, so that nothing in it is overlooked."""

import re
from collections.abc import Sequence
from typing import Any, Final, Self

_MISSING: Final = object()
_KINDS: Final = {
    str: "a string",
    bool: "true or false",
    int: "a whole number",
    dict: "an object",
    list: "an array",
}


class SpecRefused(ValueError):
    """An element that is unknown, missing or wrong; the text names its place."""


class Elements:
    """The members of one JSON object. Each must be taken, or `end` refuses what is left."""

    def __init__(self, value: Any, place: str) -> None:
        """Raises SpecRefused when the value is no object."""
        if not isinstance(value, dict):
            raise SpecRefused(f"{place} must be an object")
        self.place = place
        self._left = dict(value)

    def take(self, name: str, kind: type, default: Any = _MISSING) -> Any:
        """The member, or its default when absent or null. SpecRefused for another type."""
        value = self._left.pop(name, None)
        if value is None:
            if default is _MISSING:
                raise self.wrong(name, "is missing")
            return default
        is_flag = isinstance(value, bool)
        if not isinstance(value, kind) or (is_flag and kind is not bool):
            raise self.wrong(name, f"must be {_KINDS[kind]}")
        return value

    def number(self, name: str, lowest: int, highest: int, default: int) -> int:
        """A whole number within limits."""
        value: int = self.take(name, int, default)
        if not lowest <= value <= highest:
            raise self.wrong(name, f"must lie between {lowest} and {highest}, not {value}")
        return value

    def choice(self, name: str, among: Sequence[str], default: Any = _MISSING) -> str:
        """One of some words, in any case, as the words are written here."""
        value: str = self.take(name, str, default)
        for word in among:
            if word.lower() == value.lower():
                return word
        raise self.wrong(name, f"must be one of {', '.join(among)}, not {value!r}")

    def name(self, name: str, pattern: re.Pattern[str]) -> str:
        """A string that the pattern matches as a whole."""
        value: str = self.take(name, str)
        if not pattern.fullmatch(value):
            raise self.wrong(name, f"{value!r} is no valid name")
        return value

    def strings(self, name: str, longest: int = 512) -> tuple[str, ...]:
        """An array of strings, empty when absent."""
        values = self.take(name, list, [])
        for value in values:
            if not isinstance(value, str):
                raise self.wrong(name, "must hold strings")
            if len(value) > longest:
                raise self.wrong(name, f"holds a string of more than {longest} characters")
        return tuple(values)

    def within(self, name: str, default: Any = _MISSING) -> Self:
        """An object inside this one."""
        return type(self)(self.take(name, dict, default), f"{self.place}.{name}")

    def each(self, name: str) -> list[Self]:
        """The objects of an array, none when it is absent."""
        entries = self.take(name, list, [])
        return [type(self)(e, f"{self.place}.{name}[{n}]") for n, e in enumerate(entries)]

    def raw(self, name: str) -> Any:
        """The member as it stands, None when absent."""
        return self._left.pop(name, None)

    def ignore(self, *names: str) -> None:
        """Members that Azure answers with and that mean nothing when they are sent back."""
        for name in names:
            self._left.pop(name, None)

    def end(self) -> None:
        """SpecRefused when something was not taken."""
        if self._left:
            raise SpecRefused(f"{self.place}: {', '.join(sorted(self._left))} is not known")

    def wrong(self, name: str, why: str) -> SpecRefused:
        return SpecRefused(f"{self.place}.{name} {why}")
