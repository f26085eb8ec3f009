"""The SQL of filters and actions: which messages match, what changes, what cannot be read."""

import pytest

from localcloud.servicebus import encoding as enc
from localcloud.servicebus import message as wire
from localcloud.servicebus.message import Content
from localcloud.servicebus.rules import Rule, SqlAction, SqlFilter, TrueFilter, copies
from localcloud.servicebus.sql import SqlError

MESSAGE = Content.parse(
    enc.composite(wire.PROPERTIES, (enc.string("m-1"), enc.NULL, enc.NULL, enc.string("order")))
    + enc.described(
        wire.APPLICATION_PROPERTIES,
        enc.string_map(
            {
                "n": enc.int32(7),
                "price": b"\x82" + b"\x40\x04" + bytes(6),
                "colour": enc.string("red"),
                "rebate": enc.string("10%_off"),
                "it's": enc.string("quoted"),
                "new": enc.TRUE,
            }
        ),
    )
)


@pytest.mark.parametrize(
    ("condition", "matches"),
    [
        ("TRUE", True),
        ("false", False),
        ("NULL", False),
        ("1=1", True),
        ("n = 7", True),
        ("n <> 7", False),
        ("n != 8", True),
        ("n > 6 AND n < 8", True),
        ("n >= 7 and n <= 6", False),
        ("n = 7.0", True),
        ("n = 70e-1", True),
        ("price = 2.5", True),
        ("n = '7'", False),
        ("NOT n = '7'", False),
        ("n + 1 * 2 = 9", True),
        ("(n + 1) * 2 = 16", True),
        ("-n = -7 AND +n = 7 AND n - 8 = -1", True),
        ("n % 4 = 3 AND n / 2 = 3", True),
        ("n / 0 = 1", False),
        ("colour = 'red'", True),
        ("colour = 'Red'", False),
        ("colour < 'rfd'", True),
        ("user.colour = 'red'", True),
        ("[colour] = 'red'", True),
        ("\"it's\" = 'quoted'", True),
        ("colour = 'it''s'", False),
        ("sys.Label = 'order' AND SYS.messageid = 'm-1'", True),
        ("colour LIKE 'r%'", True),
        ("colour LIKE '_e_'", True),
        ("colour NOT LIKE 'b%'", True),
        ("missing NOT LIKE 'b%'", False),
        ("rebate LIKE '10\\%\\_off' ESCAPE '\\'", True),
        ("colour LIKE 'r\\%' ESCAPE '\\'", False),
        ("n LIKE '7'", False),
        ("colour IN ('blue', 'red')", True),
        ("n NOT IN (1, 2)", True),
        ("missing IN ('a')", False),
        ("missing NOT IN ('a')", False),
        ("missing IS NULL", True),
        ("colour IS NOT NULL", True),
        ("EXISTS(colour)", True),
        ("EXISTS (missing)", False),
        ("NOT EXISTS(missing)", True),
        ("missing = 1 OR n = 7", True),
        ("missing = 1 AND n = 7", False),
        ("NOT (missing = 1)", False),
        ("NOT (missing = 1 AND n = 8)", True),
        ("new", True),
        ("new = TRUE AND NOT NOT new", True),
        ("new = 1", False),
        ("new > FALSE", False),
        ("property('colour') = p('colour')", True),
        ("newid() IS NOT NULL", True),
    ],
)
def test_a_condition_matches(condition: str, *, matches: bool) -> None:
    assert SqlFilter(condition).matches(MESSAGE) is matches


@pytest.mark.parametrize(
    ("condition", "complaint"),
    [
        ("", "a property was expected before the end"),
        ("n = #", "'#' cannot be read"),
        ("n = 'open", "cannot be read"),
        ("(n = 7", "\\) was expected before the end"),
        ("n = 7 n", "something follows the end"),
        ("n IS 7", "NULL was expected before 7"),
        ("n NOT 7", "IN or LIKE was expected before 7"),
        ("sys.Colour = 1", "sys.Colour is not a property that rules know"),
        ("upper(n) = 1", "upper is not a function that rules know"),
        ("(" * 40 + "n" + ")" * 40, "more than 32 expressions are inside each other"),
        ("n = " + "1" * 1_024, "longer than 1024 characters"),
    ],
)
def test_a_condition_that_cannot_be_read_is_refused(condition: str, complaint: str) -> None:
    with pytest.raises(SqlError, match=complaint):
        SqlFilter(condition)


def test_an_action_sets_and_removes_properties_in_order() -> None:
    action = SqlAction(
        "SET colour = 'blue'; SET sum = n + 1; SET sum = sum * 2; SET half = n / 2.0;"
        "REMOVE new; REMOVE missing; SET sys.SessionId = colour; SET sys.Label = NULL;"
    )
    changed = action.apply(MESSAGE)
    assert changed.application_properties() == {
        "n": 7,
        "price": 2.5,
        "colour": "blue",
        "rebate": "10%_off",
        "it's": "quoted",
        "sum": 16,
        "half": 3.5,
    }
    assert changed.properties() == {"message-id": "m-1", "group-id": "blue"}
    assert changed.session == "blue"
    assert Content.parse(changed.stored()).properties() == changed.properties()
    assert MESSAGE.application_properties()["colour"] == "red"


@pytest.mark.parametrize(
    "statements", ["SET", "SET a", "SET a = ", "REMOVE", "DROP a", "SET a=1 b"]
)
def test_an_action_that_cannot_be_read_is_refused(statements: str) -> None:
    with pytest.raises(SqlError):
        SqlAction(statements)


def test_each_rule_with_an_action_makes_a_copy_and_all_others_make_one() -> None:
    rules = [
        Rule("r", TrueFilter()),
        Rule("r", SqlFilter("n = 7")),
        Rule("r", SqlFilter("n = 7"), SqlAction("SET colour = 'a'")),
        Rule("r", SqlFilter("n = 8"), SqlAction("SET colour = 'b'")),
        Rule("r", TrueFilter(), SqlAction("SET colour = 'c'")),
    ]
    colours = [copy.application_properties()["colour"] for copy in copies(rules, MESSAGE)]
    assert colours == ["red", "a", "c"]
    assert list(copies([Rule("r", SqlFilter("FALSE"))], MESSAGE)) == []
