"""Queues, topics, subscriptions and rules as XML descriptions, in both directions."""

from typing import Any, Final
from urllib.parse import urlsplit

from lxml import etree

from localcloud.servicebus.administration.atom import (
    INSTANCE,
    SCHEMA,
    SERVICE_BUS,
    Malformed,
    add,
    add_counts,
    children,
    description,
    local_name,
)
from localcloud.servicebus.broker import Broker, path_of_spec
from localcloud.servicebus.decoding import Timestamp
from localcloud.servicebus.records import Described
from localcloud.servicebus.rule_entries import entry_of, moment_text, rule_of
from localcloud.servicebus.rules import DEFAULT_RULE, Rule
from localcloud.servicebus.specs import Setting, Spec, SubscriptionSpec, TopicSpec

_READ_ONLY: Final = frozenset(
    {
        "AccessedAt",
        "CountDetails",
        "CreatedAt",
        "EntityAvailabilityStatus",
        "IsAnonymousAccessible",
        "MessageCount",
        "SizeInBytes",
        "SubscriptionCount",
        "UpdatedAt",
    }
)
"""What clients send back as they got it."""
_ELSEWHERE: Final = ("DefaultRuleDescription",)
_TARGETS: Final = ("ForwardTo", "ForwardDeadLetteredMessagesTo")
_WHOLE: Final = ("int", "long", "short", "byte")
_MAX_INT: Final = 2**31 - 1


def settings_of(kind: type[Spec], given: etree._Element) -> dict[str, Any]:
    """The settings that a description has, by Azure's names. Raises Malformed."""
    known = {setting.name: setting for setting in kind.SETTINGS}
    settings = {}
    for name, element in children(given).items():
        if name in _READ_ONLY or name in _ELSEWHERE:
            continue
        if name not in known:
            if len(element) or (element.text or "").strip():
                raise Malformed(f"{name} is not supported.")
            continue
        settings[name] = _value(known[name], (element.text or "").strip())
    return settings


def _value(setting: Setting, text: str) -> Any:
    if not text:
        return None
    if setting.name in _TARGETS:
        return urlsplit(text).path.strip("/") if "://" in text else text
    if setting.kind is bool and text.lower() in ("true", "false"):
        return text.lower() == "true"
    if setting.kind is int and text.isdecimal():
        return int(text)
    if setting.kind is not str:
        raise Malformed(f"{setting.name} cannot be {text!r}.")
    return text


def described_entity(broker: Broker, found: Described, host: str) -> etree._Element:
    """The description of an entity, with how it is at the moment."""
    spec = found.spec
    path = path_of_spec(spec)
    entity = broker.entity(path)
    assert entity is not None
    kinds = {"TopicSpec": "Topic", "QueueSpec": "Queue", "SubscriptionSpec": "Subscription"}
    element = description(f"{kinds[type(spec).__name__]}Description")
    for name, value in spec.settings().items():
        add(element, name, f"sb://{host}/{value}" if name in _TARGETS else value)
    add(element, "EntityAvailabilityStatus", "Available")
    for name, at_ms in (
        ("CreatedAt", found.created_at_ms),
        ("UpdatedAt", found.updated_at_ms),
        ("AccessedAt", entity.used_at_ms),
    ):
        add(element, name, moment_text(at_ms))
    queue = broker.queue(path)
    active = scheduled = dead = size = 0
    if queue is not None:
        active, scheduled, dead, size = queue.counts()
    if isinstance(spec, TopicSpec):
        topic = broker.topic(path)
        assert topic is not None
        scheduled = broker.scheduled(path)
        add(element, "SubscriptionCount", len(topic.subscriptions))
    else:
        add(element, "MessageCount", active + scheduled + dead)
    if not isinstance(spec, SubscriptionSpec):
        add(element, "SizeInBytes", size)
    counts = {
        "ActiveMessageCount": active,
        "DeadLetterMessageCount": dead,
        "ScheduledMessageCount": scheduled,
        "TransferMessageCount": 0,
        "TransferDeadLetterMessageCount": 0,
    }
    add_counts(element, counts)
    return element


def default_rule(given: etree._Element) -> dict[str, Any]:
    """The rules with which a subscription begins, when its description names one."""
    chosen = children(given).get("DefaultRuleDescription")
    if chosen is None or not len(chosen):
        return {}
    name = children(chosen).get("Name")
    return {"rules": (read_rule(chosen, DEFAULT_RULE if name is None else str(name.text)),)}


def read_rule(given: etree._Element, name: str) -> Rule:
    """The rule of a description. Raises Malformed and InvalidSetting."""
    parts = children(given)
    if "Filter" not in parts:
        raise Malformed("A rule needs a Filter.")
    properties = _read_filter(parts["Filter"])
    if "Action" in parts and _type_of(parts["Action"]) == "SqlRuleAction":
        properties["Action"] = _read_sql(parts["Action"])
    return rule_of({"Name": name, "Properties": properties})


def _read_filter(element: etree._Element) -> dict[str, Any]:
    kind = _type_of(element)
    if kind in ("TrueFilter", "FalseFilter"):
        return {"FilterType": kind.removesuffix("Filter")}
    if kind == "SqlFilter":
        return {"FilterType": "Sql", "SqlFilter": _read_sql(element)}
    if kind != "CorrelationFilter":
        raise Malformed(f"{kind} is not a kind of filter.")
    conditions: dict[str, Any] = {}
    for name, child in children(element).items():
        if name == "Properties":
            conditions[name] = _read_pairs(child)
        elif child.text:
            conditions[name] = child.text
    return {"FilterType": "Correlation", "CorrelationFilter": conditions}


def _read_sql(element: etree._Element) -> dict[str, Any]:
    parts = children(element)
    expression = parts["SqlExpression"].text if "SqlExpression" in parts else None
    entry: dict[str, Any] = {"SqlExpression": expression or ""}
    if "Parameters" in parts and len(parts["Parameters"]):
        entry["Parameters"] = _read_pairs(parts["Parameters"])
    return entry


def _type_of(element: etree._Element) -> str:
    return (element.get(f"{{{INSTANCE}}}type") or "").rpartition(":")[2]


def _read_pairs(element: etree._Element) -> dict[str, Any]:
    """The values of `KeyValueOfstringanyType` elements, as the topology file has them."""
    pairs = {}
    for pair in element:
        parts = children(pair)
        if local_name(pair) != "KeyValueOfstringanyType" or {*parts} != {"Key", "Value"}:
            raise Malformed("Properties and parameters are pairs of a Key and a Value.")
        name, value = parts["Key"].text or "", parts["Value"]
        try:
            pairs[name] = _read_value(_type_of(value), value.text or "")
        except ValueError as error:
            raise Malformed(f"The value of {name} cannot be read: {error}.") from error
    return pairs


def _read_value(kind: str, text: str) -> Any:
    if kind in _WHOLE:
        return int(text)
    if kind in ("double", "float", "decimal"):
        return float(text)
    if kind == "boolean":
        return text.strip().lower() in ("true", "1")
    if kind == "dateTime":
        return {"dateTime": text}
    if kind in ("string", ""):
        return text
    raise ValueError(f"values of type {kind} are not supported")


def described_rule(rule: Rule, created_at_ms: int) -> etree._Element:
    """The description of a rule."""
    entry = entry_of(rule)["Properties"]
    element = description("RuleDescription")
    chosen = add(element, "Filter", "")
    if entry["FilterType"] == "Correlation":
        chosen.set(f"{{{INSTANCE}}}type", "CorrelationFilter")
        conditions = entry["CorrelationFilter"]
        for name, value in conditions.items():
            if name != "Properties":
                add(chosen, name, value)
        _add_pairs(chosen, "Properties", getattr(rule.filter, "application", {}))
    else:
        constant = {"True": "1=1", "False": "1=0"}.get(entry["FilterType"])
        sql = entry.get("SqlFilter", {"SqlExpression": constant})
        chosen.set(f"{{{INSTANCE}}}type", f"{entry['FilterType']}Filter")
        _add_sql(chosen, sql["SqlExpression"], getattr(rule.filter, "parameters", {}))
    action = add(element, "Action", "")
    if rule.action is None:
        action.set(f"{{{INSTANCE}}}type", "EmptyRuleAction")
    else:
        action.set(f"{{{INSTANCE}}}type", "SqlRuleAction")
        _add_sql(action, rule.action.expression, rule.action.parameters)
    add(element, "CreatedAt", moment_text(created_at_ms))
    add(element, "Name", rule.name)
    return element


def _add_sql(parent: etree._Element, expression: str, parameters: Any) -> None:
    add(parent, "SqlExpression", expression)
    add(parent, "CompatibilityLevel", 20)
    _add_pairs(parent, "Parameters", parameters)


def _add_pairs(parent: etree._Element, name: str, values: Any) -> None:
    if not values:
        return
    pairs = add(parent, name, "")
    for key, value in values.items():
        pair = add(pairs, "KeyValueOfstringanyType", "")
        add(pair, "Key", key)
        element = etree.SubElement(pair, f"{{{SERVICE_BUS}}}Value", nsmap={"d6p1": SCHEMA})
        kind, element.text = _typed(value)
        element.set(f"{{{INSTANCE}}}type", f"d6p1:{kind}")


def _typed(value: Any) -> tuple[str, str]:
    if isinstance(value, bool):
        return "boolean", str(value).lower()
    if isinstance(value, Timestamp):
        return "dateTime", moment_text(value)
    if isinstance(value, int):
        return ("int" if abs(value) <= _MAX_INT else "long"), str(value)
    return ("double" if isinstance(value, float) else "string"), str(value)
