"""Descriptions of entities as the store keeps them, and how they meet the topology file.

The topology file creates entities. From then on an entity is what the store says it is, until the
file says something else of it than before: then the file wins, for that entity alone.
"""

import json
import logging
from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

from localcloud.servicebus.broker import path_of_spec
from localcloud.servicebus.changes import Change, ForgetEntity, PutEntity
from localcloud.servicebus.entities import now_ms
from localcloud.servicebus.rule_entries import entry_of, rule_of
from localcloud.servicebus.specs import QueueSpec, Spec, SubscriptionSpec, TopicSpec
from localcloud.servicebus.topology import Topology

log = logging.getLogger(__name__)

_KINDS: Final[dict[str, type[Spec]]] = {
    "queue": QueueSpec,
    "topic": TopicSpec,
    "subscription": SubscriptionSpec,
}


class Described(NamedTuple):
    """An entity: its description, and since when it is so."""

    spec: Spec
    created_at_ms: int
    updated_at_ms: int
    declared: str | None = None

    def record(self) -> PutEntity:
        """What is stored of it."""
        kind = next(kind for kind, spec in _KINDS.items() if isinstance(self.spec, spec))
        return PutEntity(
            path_of_spec(self.spec),
            kind,
            self.declared,
            _text(self.spec, self.spec.settings()),
            self.created_at_ms,
            self.updated_at_ms,
        )


def declaration(spec: Spec) -> str:
    """What distinguishes an entity from one without any settings; the same for the same ones.

    Settings that a later version adds do not change it.
    """
    return _text(spec, spec.settings(with_defaults=False))


def _text(spec: Spec, settings: Mapping[str, Any]) -> str:
    entry: dict[str, Any] = {"Name": spec.name, "Properties": settings}
    if isinstance(spec, SubscriptionSpec):
        entry |= {"Topic": spec.topic, "Rules": [entry_of(rule) for rule in spec.rules]}
    return json.dumps(entry, sort_keys=True)


def _described(record: PutEntity) -> Described:
    entry = json.loads(record.entry or "")
    more: dict[str, Any] = {}
    if record.kind == "subscription":
        more = {"topic": entry["Topic"], "rules": tuple(map(rule_of, entry["Rules"]))}
    spec = _KINDS[record.kind].of(entry["Name"], entry["Properties"], **more)
    return Described(spec, record.created_at_ms, record.updated_at_ms, record.declared)


def merge(
    topology: Topology, stored: Iterable[PutEntity]
) -> tuple[dict[str, Described], list[PutEntity], list[Change]]:
    """The entities by path, those that were deleted, and what has to be stored at the start."""
    now = now_ms()
    known = {record.path: record for record in stored}
    entities: dict[str, Described] = {}
    deleted: list[PutEntity] = []
    changes: list[Change] = []
    for spec in (*topology.queues, *topology.topics, *topology.subscriptions):
        path, declared = path_of_spec(spec), declaration(spec)
        record = known.pop(path, None)
        if record is not None and record.declared == declared:
            if record.entry is None:
                deleted.append(record)
                log.info("%s was deleted and stays so, though the topology has it", path)
            else:
                entities[path] = _described(record)
            continue
        created = now if record is None or record.entry is None else record.created_at_ms
        entities[path] = Described(spec, created, now, declared)
        changes.append(entities[path].record())
    for record in known.values():
        if record.declared is None and record.entry is not None:
            entities[record.path] = _described(record)
        else:
            changes.append(ForgetEntity(record.path))
    return _with_parents(entities, changes), deleted, changes


def _with_parents(entities: dict[str, Described], changes: list[Change]) -> dict[str, Described]:
    """Without the subscriptions whose topic is gone."""
    for path, found in tuple(entities.items()):
        if isinstance(found.spec, SubscriptionSpec) and not isinstance(
            entities.get(found.spec.topic.lower(), found).spec, TopicSpec
        ):
            del entities[path]
            changes.append(ForgetEntity(path))
    return entities
