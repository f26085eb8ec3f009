"""Advanced filters: what ARM says of them, and the test of an event that it comes to.

Source: https://learn.microsoft.com/azure/event-grid/event-filtering
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from localcloud.eventgrid.elements import Elements, SpecRefused

MAX_FILTERS: Final = 25
MAX_VALUES: Final = 25
MAX_TEXT: Final = 512

Test = Callable[[Any], bool]
Compare = Callable[[Any, Any], bool]

_NUMBER: Final[Mapping[str, tuple[Compare, str]]] = {
    "NumberLessThan": (lambda given, limit: given < limit, "<"),
    "NumberLessThanOrEquals": (lambda given, limit: given <= limit, "≤"),
    "NumberGreaterThan": (lambda given, limit: given > limit, ">"),
    "NumberGreaterThanOrEquals": (lambda given, limit: given >= limit, "≥"),
}
_NUMBERS: Final[Mapping[str, tuple[bool, str]]] = {
    "NumberIn": (True, "is one of"),
    "NumberNotIn": (False, "is none of"),
}
_RANGES: Final[Mapping[str, tuple[bool, str]]] = {
    "NumberInRange": (True, "lies in one of"),
    "NumberNotInRange": (False, "lies in none of"),
}
_TEXT: Final[Mapping[str, tuple[Compare, bool, str]]] = {
    "StringIn": (lambda given, value: given == value, True, "is"),
    "StringNotIn": (lambda given, value: given == value, False, "is not"),
    "StringBeginsWith": (lambda given, value: given.startswith(value), True, "begins with"),
    "StringNotBeginsWith": (lambda given, v: given.startswith(v), False, "does not begin with"),
    "StringEndsWith": (lambda given, value: given.endswith(value), True, "ends with"),
    "StringNotEndsWith": (lambda given, value: given.endswith(value), False, "does not end with"),
    "StringContains": (lambda given, value: value in given, True, "contains"),
    "StringNotContains": (lambda given, value: value in given, False, "does not contain"),
}
OPERATORS: Final = (
    *_NUMBER,
    *_NUMBERS,
    *_RANGES,
    "BoolEquals",
    *_TEXT,
    "IsNullOrUndefined",
    "IsNotNull",
)
MATCHED_WITHOUT_KEY: Final = frozenset({"NumberNotIn", "StringNotIn", "IsNullOrUndefined"})
"""Operators that hold of an event that has no such key; all others do not."""


@dataclass(frozen=True)
class Condition:
    """One advanced filter. `test` takes the values at the key, several if they are an array's."""

    operator: str
    key: str
    test: Callable[[Sequence[Any]], bool]
    words: str
    values: int

    def holds(self, found: Any, *, arrays: bool) -> bool:
        """Whether the filter lets an event pass that has `found` at the key (None: nothing)."""
        if self.operator == "IsNullOrUndefined":
            return found is None
        if self.operator == "IsNotNull":
            return found is not None
        if found is None:
            return self.operator in MATCHED_WITHOUT_KEY
        if isinstance(found, list):
            return arrays and self.test(found)
        return self.test([found])


def condition_of(entry: Elements) -> Condition:
    """The filter that ARM describes. Raises SpecRefused."""
    operator = entry.choice("operatorType", OPERATORS)
    key: str = entry.take("key", str)
    if not key or len(key) > MAX_TEXT:
        raise entry.wrong("key", f"must have 1 to {MAX_TEXT} characters")
    value, values = entry.raw("value"), entry.raw("values")
    entry.end()
    takes_one = operator in _NUMBER or operator == "BoolEquals"
    takes_none = operator in {"IsNullOrUndefined", "IsNotNull"}
    if (value is None) is takes_one:
        raise entry.wrong("value", "is missing" if takes_one else f"is not for {operator}")
    if (values is None) is not (takes_one or takes_none):
        raise entry.wrong("values", "is not for it" if takes_one or takes_none else "is missing")
    if takes_none:
        words = f"{key} is {'null or absent' if operator == 'IsNullOrUndefined' else 'not null'}"
        return Condition(operator, key, lambda _: True, words, 0)
    if takes_one:
        test, words = _single(entry, operator, value)
        return Condition(operator, key, test, f"{key} {words}", 1)
    if not isinstance(values, list) or not values:
        raise entry.wrong("values", "must be an array that is not empty")
    test, words = _several(entry, operator, values)
    return Condition(operator, key, test, f"{key} {words}", len(values))


def _single(entry: Elements, operator: str, value: Any) -> tuple[Test, str]:
    if operator == "BoolEquals":
        if not isinstance(value, bool):
            raise entry.wrong("value", "must be true or false")
        return (lambda found: any(v is value for v in found)), f"is {str(value).lower()}"
    if not _is_number(value):
        raise entry.wrong("value", "must be a number")
    compare, sign = _NUMBER[operator]
    return (lambda found: any(_is_number(v) and compare(v, value) for v in found)), (
        f"{sign} {value}"
    )


def _several(entry: Elements, operator: str, values: list[Any]) -> tuple[Test, str]:
    if operator in _TEXT:
        return _texts(entry, operator, values)
    if operator in _NUMBERS:
        if not all(map(_is_number, values)):
            raise entry.wrong("values", "must hold numbers")
        wanted, words = _NUMBERS[operator]
        accepted = frozenset(values)
        return (
            lambda found: any(_is_number(v) and v in accepted for v in found) is wanted
        ), f"{words} {', '.join(map(str, values))}"
    wanted, words = _RANGES[operator]
    ranges = [_range(entry, pair) for pair in values]
    spelled = ", ".join(f"{low} to {high}" for low, high in ranges)

    def lies(found: Sequence[Any]) -> bool:
        numbers = [v for v in found if _is_number(v)]
        inside = any(low <= v <= high for v in numbers for low, high in ranges)
        return inside if wanted else bool(numbers) and not inside

    return lies, f"{words} {spelled}"


def _texts(entry: Elements, operator: str, values: list[Any]) -> tuple[Test, str]:
    """String comparisons do not look at case."""
    if not all(isinstance(value, str) and len(value) <= MAX_TEXT for value in values):
        raise entry.wrong("values", f"must hold strings of at most {MAX_TEXT} characters")
    compare, wanted, words = _TEXT[operator]
    accepted = [value.casefold() for value in values]

    def matches(found: Sequence[Any]) -> bool:
        texts = [v.casefold() for v in found if isinstance(v, str)]
        met = any(compare(text, value) for text in texts for value in accepted)
        return met is wanted and (wanted or operator in MATCHED_WITHOUT_KEY or bool(texts))

    return matches, f"{words} {' or '.join(values)}"


def _range(entry: Elements, pair: Any) -> tuple[Any, Any]:
    two = 2
    if not isinstance(pair, list) or len(pair) != two or not all(map(_is_number, pair)):
        raise entry.wrong("values", "must hold pairs of numbers")
    low, high = pair
    if low > high:
        raise entry.wrong("values", f"holds a range from {low} down to {high}")
    return low, high


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def refuse_too_many(conditions: Sequence[Condition], place: str) -> None:
    """SpecRefused beyond the limits of a subscription."""
    if len(conditions) > MAX_FILTERS:
        raise SpecRefused(f"{place} holds {len(conditions)} filters, {MAX_FILTERS} are allowed")
    values = sum(condition.values for condition in conditions)
    if values > MAX_VALUES:
        raise SpecRefused(f"{place} holds {values} values in all, {MAX_VALUES} are allowed")
