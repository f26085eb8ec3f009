"""Which events a filter lets pass, and which filters are refused."""

from typing import Any

import pytest

from localcloud.eventgrid.elements import Elements, SpecRefused
from localcloud.eventgrid.events import CLOUD, GRID, Event
from localcloud.eventgrid.filters import filter_of

SOURCE = "learn:azure/event-grid/event-filtering"


def passes(filter_: dict[str, Any], schema: str = CLOUD, **body: Any) -> bool:
    given = {"id": "1", "type": "t", "source": "/s", "subject": "A/b.jpg"} | body
    if schema == GRID:
        given = {"id": "1", "eventType": "t", "topic": "/t", "subject": "A/b.jpg"} | body
    return filter_of(Elements(filter_, "filter")).compiled(schema)(Event(schema, given))


def advanced(operator: str, key: str = "data.k", **compared: Any) -> dict[str, Any]:
    return {"advancedFilters": [{"operatorType": operator, "key": key, **compared}]}


@pytest.mark.conforms("Event Grid", "includedEventTypes: one of them, or All", source=SOURCE)
@pytest.mark.parametrize(
    ("types", "wanted"), [([], True), (["t"], True), (["u", "t"], True), (["u"], False)]
)
def test_a_filter_by_type(types: list[str], *, wanted: bool) -> None:
    assert passes({"includedEventTypes": types}) is wanted
    assert passes({"includedEventTypes": [*types, "All"]}) is True


@pytest.mark.conforms(
    "Event Grid", "subjects are compared without case unless isSubjectCaseSensitive", source=SOURCE
)
@pytest.mark.parametrize(
    ("begins", "ends", "sensitive", "wanted"),
    [
        ("a/", "", False, True),
        ("a/", "", True, False),
        ("A/", ".jpg", True, True),
        ("", ".JPG", False, True),
        ("", ".png", False, False),
        ("b", "", False, False),
    ],
)
def test_a_filter_by_subject(begins: str, ends: str, *, sensitive: bool, wanted: bool) -> None:
    rule = {
        "subjectBeginsWith": begins,
        "subjectEndsWith": ends,
        "isSubjectCaseSensitive": sensitive,
    }

    assert passes(rule) is wanted


@pytest.mark.conforms("Event Grid", "the operators of advanced filters", source=SOURCE)
@pytest.mark.parametrize(
    ("operator", "compared", "value", "wanted"),
    [
        ("NumberIn", {"values": [1, 2.5]}, 2.5, True),
        ("NumberIn", {"values": [1, 2.5]}, 2, False),
        ("NumberIn", {"values": [1]}, True, False),
        ("NumberIn", {"values": [1]}, "1", False),
        ("NumberNotIn", {"values": [1, 2]}, 3, True),
        ("NumberNotIn", {"values": [1, 2]}, 2, False),
        ("NumberLessThan", {"value": 5}, 4.9, True),
        ("NumberLessThan", {"value": 5}, 5, False),
        ("NumberLessThanOrEquals", {"value": 5}, 5, True),
        ("NumberGreaterThan", {"value": 5}, 5, False),
        ("NumberGreaterThan", {"value": 5}, 6, True),
        ("NumberGreaterThanOrEquals", {"value": 5}, 5, True),
        ("NumberInRange", {"values": [[1, 2], [4, 5]]}, 4.5, True),
        ("NumberInRange", {"values": [[1, 2], [4, 5]]}, 3, False),
        ("NumberNotInRange", {"values": [[1, 2], [4, 5]]}, 3, True),
        ("NumberNotInRange", {"values": [[1, 2]]}, 1, False),
        ("BoolEquals", {"value": True}, True, True),
        ("BoolEquals", {"value": True}, False, False),
        ("BoolEquals", {"value": True}, 1, False),
        ("StringIn", {"values": ["A", "b"]}, "a", True),
        ("StringIn", {"values": ["A", "b"]}, "c", False),
        ("StringNotIn", {"values": ["A"]}, "a", False),
        ("StringNotIn", {"values": ["A"]}, "b", True),
        ("StringBeginsWith", {"values": ["or", "x"]}, "ORder", True),
        ("StringBeginsWith", {"values": ["x"]}, "order", False),
        ("StringNotBeginsWith", {"values": ["or"]}, "order", False),
        ("StringNotBeginsWith", {"values": ["x"]}, "order", True),
        ("StringEndsWith", {"values": ["ER"]}, "order", True),
        ("StringNotEndsWith", {"values": ["er"]}, "order", False),
        ("StringNotEndsWith", {"values": ["x"]}, "order", True),
        ("StringContains", {"values": ["rDe"]}, "order", True),
        ("StringContains", {"values": ["x"]}, "order", False),
        ("StringNotContains", {"values": ["rde"]}, "order", False),
        ("StringNotContains", {"values": ["x"]}, "order", True),
        ("IsNullOrUndefined", {}, None, True),
        ("IsNullOrUndefined", {}, 0, False),
        ("IsNotNull", {}, "", True),
        ("IsNotNull", {}, None, False),
    ],
)
def test_an_advanced_filter(
    operator: str, compared: dict[str, Any], value: Any, *, wanted: bool
) -> None:
    assert passes(advanced(operator, **compared), data={"k": value}) is wanted


@pytest.mark.conforms(
    "Event Grid",
    "without the key only NumberNotIn, StringNotIn and IsNullOrUndefined match",
    source=SOURCE,
)
@pytest.mark.parametrize(
    ("operator", "compared", "wanted"),
    [
        ("NumberIn", {"values": [1]}, False),
        ("NumberNotIn", {"values": [1]}, True),
        ("NumberLessThan", {"value": 1}, False),
        ("NumberNotInRange", {"values": [[1, 2]]}, False),
        ("BoolEquals", {"value": False}, False),
        ("StringIn", {"values": ["a"]}, False),
        ("StringNotIn", {"values": ["a"]}, True),
        ("StringNotContains", {"values": ["a"]}, False),
        ("IsNullOrUndefined", {}, True),
        ("IsNotNull", {}, False),
    ],
)
@pytest.mark.parametrize("data", [{}, {"k": None}, "text", None])
def test_an_advanced_filter_on_what_is_not_there(
    operator: str, compared: dict[str, Any], data: Any, *, wanted: bool
) -> None:
    assert passes(advanced(operator, **compared), data=data) is wanted


@pytest.mark.conforms(
    "Event Grid",
    "values of an array count only with enableAdvancedFilteringOnArrays",
    source=SOURCE,
)
@pytest.mark.parametrize(
    ("operator", "values", "wanted"),
    [
        ("StringIn", ["b"], True),
        ("StringIn", ["c"], False),
        ("StringNotIn", ["b"], False),
        ("StringNotIn", ["c"], True),
        ("StringContains", ["b"], True),
    ],
)
def test_an_advanced_filter_on_an_array(operator: str, values: list[str], *, wanted: bool) -> None:
    rule = advanced(operator, values=values)

    assert passes(rule, data={"k": ["a", "b"]}) is False
    on_arrays = rule | {"enableAdvancedFilteringOnArrays": True}
    assert passes(on_arrays, data={"k": ["a", "b"]}) is wanted


@pytest.mark.parametrize(
    ("schema", "key"),
    [
        (CLOUD, "Type"),
        (CLOUD, "EventType"),
        (GRID, "EventType"),
        (CLOUD, "data.a.b.c"),
        (GRID, "Data.a.b.c"),
    ],
)
def test_a_key_names_an_attribute_or_a_place_in_the_data(schema: str, key: str) -> None:
    deep = {"a": {"b": {"c": "t"}}}

    assert passes(advanced("StringIn", key, values=["t"]), schema, data=deep) is True
    assert passes(advanced("StringIn", key, values=["u"]), schema, data=deep) is False


def test_all_filters_of_a_subscription_must_hold() -> None:
    both = [
        {"operatorType": "NumberGreaterThan", "key": "data.k", "value": 1},
        {"operatorType": "NumberLessThan", "key": "data.k", "value": 5},
    ]
    rule = {"advancedFilters": both, "includedEventTypes": ["t"]}

    assert [passes(rule, data={"k": k}) for k in (1, 3, 5)] == [False, True, False]
    assert passes(rule, data={"k": 3}, type="u") is False
    words = filter_of(Elements(rule, "filter")).words()
    assert words == "type is t and data.k > 1 and data.k < 5"


@pytest.mark.conforms(
    "Event Grid",
    "25 advanced filters and 25 values in all, 512 characters per string",
    source=SOURCE,
)
@pytest.mark.parametrize(
    ("rule", "sentence"),
    [
        (advanced("StringIs", values=["a"]), "filter.advancedFilters[0].operatorType must be one"),
        (advanced("StringIn"), "filter.advancedFilters[0].values is missing"),
        (advanced("StringIn", values=[]), "filter.advancedFilters[0].values must be an array"),
        (advanced("StringIn", values=[1]), "filter.advancedFilters[0].values must hold strings"),
        (advanced("StringIn", value="a"), "filter.advancedFilters[0].value is not for StringIn"),
        (advanced("NumberLessThan", value="1"), "filter.advancedFilters[0].value must be a number"),
        (advanced("BoolEquals", value=1), "filter.advancedFilters[0].value must be true or false"),
        (advanced("NumberInRange", values=[[2, 1]]), "holds a range from 2 down to 1"),
        (advanced("NumberInRange", values=[1]), "must hold pairs of numbers"),
        (advanced("IsNotNull", values=["a"]), "filter.advancedFilters[0].values is not for it"),
        (advanced("StringIn", values=["a" * 513]), "at most 512 characters"),
        (advanced("StringIn", values=["a"] * 26), "holds 26 values in all, 25 are allowed"),
        (
            {"advancedFilters": [{"operatorType": "IsNotNull", "key": "a"}] * 26},
            "holds 26 filters, 25 are allowed",
        ),
        (advanced("IsNotNull", extra=1), "filter.advancedFilters[0]: extra is not known"),
        ({"includedEventTypes": "t"}, "filter.includedEventTypes must be an array"),
        ({"includedTypes": []}, "filter: includedTypes is not known"),
    ],
)
def test_a_filter_that_azure_would_refuse(rule: dict[str, Any], sentence: str) -> None:
    with pytest.raises(SpecRefused) as refused:
        filter_of(Elements(rule, "filter"))
    assert sentence in str(refused.value)
