"""Rules as JSON: the form of the topology file, which is also the one of the store."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from localcloud.servicebus.decoding import Timestamp
from localcloud.servicebus.rules import (
    SYSTEM_PROPERTIES,
    CorrelationFilter,
    FalseFilter,
    Filter,
    Rule,
    Scalar,
    SqlAction,
    SqlFilter,
    TrueFilter,
)
from localcloud.servicebus.specs import InvalidSetting, check_part_name
from localcloud.servicebus.sql import SqlError

_DATE_TIME: Final = "dateTime"
_AMQP_TO_SETTING: Final = {amqp: name for name, amqp in SYSTEM_PROPERTIES.items()}


def rule_of(entry: Any) -> Rule:
    """The rule of an entry. Raises InvalidSetting."""
    name = _part(entry, "Name", str)
    check_part_name(name)
    properties = _part(entry, "Properties", dict)
    try:
        return Rule(name, _filter_of(properties), _action_of(properties.get("Action") or {}))
    except SqlError as error:
        raise InvalidSetting(str(error)) from error


def entry_of(rule: Rule) -> dict[str, Any]:
    """What `rule_of` reads."""
    properties = _filter_entry(rule.filter)
    if rule.action is not None:
        properties["Action"] = _sql_entry(rule.action)
    return {"Name": rule.name, "Properties": properties}


def _filter_entry(chosen: Filter) -> dict[str, Any]:
    if isinstance(chosen, SqlFilter):
        return {"FilterType": "Sql", "SqlFilter": _sql_entry(chosen)}
    if isinstance(chosen, CorrelationFilter):
        conditions: dict[str, Any] = {
            _AMQP_TO_SETTING[name]: value for name, value in chosen.system.items()
        }
        if chosen.application:
            conditions["Properties"] = _written(chosen.application)
        return {"FilterType": "Correlation", "CorrelationFilter": conditions}
    return {"FilterType": "True" if isinstance(chosen, TrueFilter) else "False"}


def _sql_entry(sql: SqlFilter | SqlAction) -> dict[str, Any]:
    entry: dict[str, Any] = {"SqlExpression": sql.expression}
    if sql.parameters:
        entry["Parameters"] = _written(sql.parameters)
    return entry


def _filter_of(properties: Mapping[str, Any]) -> Filter:
    kind = _part(properties, "FilterType", str)
    if kind == "True":
        return TrueFilter()
    if kind == "False":
        return FalseFilter()
    if kind == "Sql":
        sql = _part(properties, "SqlFilter", dict)
        return SqlFilter(_part(sql, "SqlExpression", str), _scalars(sql.get("Parameters")))
    if kind != "Correlation":
        raise InvalidSetting(f"FilterType {kind} is unknown")
    return correlation_filter(_part(properties, "CorrelationFilter", dict))


def correlation_filter(conditions: Mapping[str, Any]) -> CorrelationFilter:
    """The filter of these conditions, by Azure's names. Raises InvalidSetting."""
    named = dict(conditions)
    application = _scalars(named.pop("Properties", None))
    system = {}
    for name, value in named.items():
        known = "Label" if name == "Subject" else name
        if known not in SYSTEM_PROPERTIES:
            raise InvalidSetting(f"CorrelationFilter has no property {name}")
        if not isinstance(value, str):
            raise InvalidSetting(f"{name} must be text")
        system[SYSTEM_PROPERTIES[known]] = value
    if not system and not application:
        raise InvalidSetting("CorrelationFilter is empty")
    return CorrelationFilter(system, application)


def _action_of(entry: Mapping[str, Any]) -> SqlAction | None:
    expression = entry.get("SqlExpression")
    return SqlAction(str(expression), _scalars(entry.get("Parameters"))) if expression else None


def _scalars(entries: Any) -> dict[str, Scalar]:
    if entries is None:
        return {}
    if not isinstance(entries, dict):
        raise InvalidSetting("properties and parameters must be objects")
    return {name: _scalar(name, value) for name, value in entries.items()}


def _scalar(name: str, value: Any) -> Scalar:
    if isinstance(value, dict) and value.keys() == {_DATE_TIME}:
        try:
            return moment(str(value[_DATE_TIME]))
        except ValueError as error:
            raise InvalidSetting(f"property {name}: {error}") from error
    if isinstance(value, str | int | float | bool):
        return value
    raise InvalidSetting(f"property {name} must be text, a number or a boolean")


def _written(values: Mapping[str, Scalar]) -> dict[str, Any]:
    return {
        name: {_DATE_TIME: moment_text(value)} if isinstance(value, Timestamp) else value
        for name, value in values.items()
    }


def moment(text: str) -> Timestamp:
    """A point in time of its ISO 8601 form; without a zone it is UTC. ValueError."""
    parsed = datetime.fromisoformat(text)
    zoned = parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)
    return Timestamp(round(zoned.timestamp() * 1000))


def moment_text(ms: int) -> str:
    """The ISO 8601 form of a point in time, with milliseconds, in UTC."""
    text = datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds")
    return text.removesuffix("+00:00") + "Z"


def _part(parent: Any, name: str, kind: type) -> Any:
    value = parent.get(name) if isinstance(parent, dict) else None
    if value is None:
        raise InvalidSetting(f"{name} is missing")
    if not isinstance(value, kind):
        raise InvalidSetting(f"{name} must be of type {kind.__name__}")
    return value
