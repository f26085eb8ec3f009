"""The rule operations of a subscription's `$management`, and rules in AMQP's form.

https://learn.microsoft.com/azure/service-bus-messaging/service-bus-amqp-request-response#rule-operations
"""

from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Final

from localcloud.servicebus import encoding as enc
from localcloud.servicebus.background import run
from localcloud.servicebus.decoding import Value
from localcloud.servicebus.errors import ARGUMENT_ERROR, AmqpError
from localcloud.servicebus.namespace import Namespace
from localcloud.servicebus.operations import Call
from localcloud.servicebus.outcomes import text_keys
from localcloud.servicebus.rule_entries import correlation_filter
from localcloud.servicebus.rules import (
    SYSTEM_PROPERTIES,
    CorrelationFilter,
    Filter,
    Rule,
    Scalar,
    SqlAction,
    SqlFilter,
    TrueFilter,
)
from localcloud.servicebus.specs import InvalidSetting, check_part_name
from localcloud.servicebus.sql import SqlError

_RULE: Final = 0x13700000004
_EMPTY_ACTION: Final = 0x13700000005
_ACTION: Final = 0x13700000006
_SQL_FILTER: Final = 0x1370000006
_TRUE_FILTER: Final = 0x1370000007
_FALSE_FILTER: Final = 0x1370000008
_CORRELATION_FILTER: Final = 0x1370000009
_COMPATIBILITY_LEVEL: Final = 20
_CONDITIONS: Final = {
    "correlation-id": "CorrelationId",
    "message-id": "MessageId",
    "to": "To",
    "reply-to": "ReplyTo",
    "label": "Label",
    "session-id": "SessionId",
    "reply-to-session-id": "ReplyToSessionId",
    "content-type": "ContentType",
}
"""What a request calls the conditions of a correlation filter, and what the file calls them."""


def _add(namespace: Namespace, path: str, call: Call) -> None:
    name = call.required_text("rule-name")
    description = text_keys(call.arguments.get("rule-description"))
    try:
        check_part_name(name)
        action = text_keys(description.get("sql-rule-action")).get("expression")
        rule = Rule(name, _filter_of(description), SqlAction(str(action)) if action else None)
    except (InvalidSetting, SqlError) as error:
        raise AmqpError(ARGUMENT_ERROR, f"Rule {name}: {error}.") from error
    _answer_after(call, namespace.put_rule(path, rule))


def _remove(namespace: Namespace, path: str, call: Call) -> None:
    _answer_after(call, namespace.delete_rule(path, call.required_text("rule-name")))


def _enumerate(namespace: Namespace, path: str, call: Call) -> None:
    skip, top = call.whole("skip"), call.whole("top")
    rules = namespace.rules(path)[max(skip, 0) :][: max(top, 0)]
    entries = [enc.string_map({"rule-description": _encoded(rule)}) for rule in rules]
    call.answer(enc.string_map({"rules": enc.list_of(entries)}) if entries else None)


def _answer_after(call: Call, change: Coroutine[Any, Any, object]) -> None:
    async def answer() -> None:
        try:
            await change
        except AmqpError as error:
            call.answer(enc.NULL, error)
        else:
            call.answer(enc.map_of(()))

    run(answer())


def _filter_of(description: Mapping[str, Value]) -> Filter:
    sql = text_keys(description.get("sql-filter"))
    if sql:
        return SqlFilter(str(sql.get("expression")))
    if "correlation-filter" not in description:
        raise InvalidSetting("it has neither a sql-filter nor a correlation-filter")
    given = text_keys(description["correlation-filter"])
    properties = text_keys(given.pop("properties", None))
    conditions: dict[str, Any] = {
        _CONDITIONS.get(name, name): value for name, value in given.items() if value is not None
    }
    return correlation_filter(conditions | ({"Properties": properties} if properties else {}))


def _encoded(rule: Rule) -> bytes:
    action = enc.described_by(_EMPTY_ACTION, enc.list_of(()))
    if rule.action is not None:
        action = enc.described_by(_ACTION, _sql(rule.action.expression))
    fields = (_encoded_filter(rule.filter), action, enc.string(rule.name))
    return enc.described_by(_RULE, enc.list_of(fields))


def _encoded_filter(chosen: Filter) -> bytes:
    if isinstance(chosen, SqlFilter):
        return enc.described_by(_SQL_FILTER, _sql(chosen.expression))
    if isinstance(chosen, CorrelationFilter):
        named = [chosen.system.get(name) for name in SYSTEM_PROPERTIES.values()]
        fields = [*map(enc.scalar, named), _map(chosen.application)]
        return enc.described_by(_CORRELATION_FILTER, enc.list_of(fields))
    code = _TRUE_FILTER if isinstance(chosen, TrueFilter) else _FALSE_FILTER
    return enc.described_by(code, enc.list_of(()))


def _sql(expression: str) -> bytes:
    return enc.list_of((enc.string(expression), enc.int32(_COMPATIBILITY_LEVEL)))


def _map(values: Mapping[str, Scalar]) -> bytes:
    return enc.string_map({name: enc.scalar(value) for name, value in values.items()})


OF_RULES: Final[Mapping[str, Callable[[Namespace, str, Call], None]]] = {
    "add-rule": _add,
    "remove-rule": _remove,
    "enumerate-rules": _enumerate,
}
