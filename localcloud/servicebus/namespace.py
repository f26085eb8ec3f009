"""What the entities of the namespace are, as described: kept in the store, changed at run time."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from localcloud.servicebus.broker import Broker, disabled, path_of_spec
from localcloud.servicebus.changes import Change, Empty, ForgetEntity
from localcloud.servicebus.entities import DEAD_LETTER_SUFFIX, now_ms
from localcloud.servicebus.errors import (
    ALREADY_EXISTS,
    ARGUMENT_ERROR,
    NOT_ALLOWED,
    NOT_FOUND,
    RESOURCE_LIMIT,
    AmqpError,
)
from localcloud.servicebus.records import Described, merge
from localcloud.servicebus.rules import Rule
from localcloud.servicebus.specs import QueueSpec, Spec, SubscriptionSpec, TopicSpec
from localcloud.servicebus.store import Store
from localcloud.servicebus.topology import Topology

log = logging.getLogger(__name__)

MAX_ENTITIES: Final = 10_000
"""Queues and topics of one namespace, as in Azure."""
MAX_SUBSCRIPTIONS: Final = 2_000
"""Subscriptions of one topic, as in Azure."""
MAX_RULES: Final = 2_000
"""Rules of one subscription."""


class Namespace:
    """The descriptions of all entities. Changes are stored, then take effect, one after the other.

    They raise AmqpError: not found, exists already, not allowed, and what the store has to say.
    """

    def __init__(self, store: Store, topology: Topology) -> None:
        stored = store.load()
        self._entities, deleted, self._first_changes = merge(topology, stored.entities)
        self._tombstones = {record.path: record for record in deleted}
        self._changing = asyncio.Lock()
        self.disconnect: Callable[[str, AmqpError], None] = lambda _path, _error: None
        """Told which entity's links must end, and why."""
        self.broker = Broker(store, stored.messages[-1].id if stored.messages else 0)
        for kind in (QueueSpec, TopicSpec, SubscriptionSpec):
            for found in self.all(kind):
                self.broker.add(found.spec)
        for found in (*self.all(QueueSpec), *self.all(SubscriptionSpec)):
            self.broker.change(found.spec)
        self.broker.restore(stored)

    async def start(self) -> None:
        """Store what the topology file changed. If that fails, the next start does it again."""
        try:
            if self._first_changes:
                await self.broker.store.write(self._first_changes)
        except AmqpError as error:
            # A store that is full must still let its messages out.
            log.warning("the topology could not be stored: %s", error.description)

    def all(self, kind: type[Spec], topic: str | None = None) -> list[Described]:
        """Everything of a kind by name; with a topic, its subscriptions only."""
        found = [
            described
            for described in self._entities.values()
            if isinstance(described.spec, kind)
            and (topic is None or getattr(described.spec, "topic", "").lower() == topic)
        ]
        return sorted(found, key=lambda described: path_of_spec(described.spec))

    def get(self, path: str) -> Described | None:
        """The entity at a path in lower case."""
        return self._entities.get(path)

    async def create(self, spec: Spec) -> Described:
        """Add an entity."""
        async with self._changing:
            path = path_of_spec(spec)
            if path in self._entities:
                raise AmqpError(ALREADY_EXISTS, f"The entity '{path}' exists already.")
            self._check_room(spec)
            self._check_targets(spec)
            buried = self._tombstones.get(path)
            now = now_ms()
            described = Described(spec, now, now, buried.declared if buried else None)
            # Messages may be left from the time when the topology file had this entity.
            left = (Empty(path), Empty(path + DEAD_LETTER_SUFFIX.lower()))
            await self.broker.store.write([*left, described.record()])
            self.broker.add(spec)
            self._tombstones.pop(path, None)
            self._entities[path] = described
            return described

    async def update(self, spec: Spec) -> Described:
        """Change the settings of an entity; the rules of a subscription stay as they are."""
        async with self._changing:
            old = self._existing(path_of_spec(spec))
            for setting in old.spec.SETTINGS:
                before, after = (getattr(s, setting.attribute) for s in (old.spec, spec))
                if setting.fixed and before != after:
                    raise AmqpError(ARGUMENT_ERROR, f"{setting.name} of an entity cannot change.")
            self._check_targets(spec)
            if isinstance(spec, SubscriptionSpec) and isinstance(old.spec, SubscriptionSpec):
                spec = replace(spec, rules=old.spec.rules)
            changed = await self._change(old, replace(spec, name=old.spec.name))
            if spec.status != old.spec.status:
                self.disconnect(path_of_spec(spec), disabled(spec.name))
            return changed

    async def _change(self, old: Described, spec: Spec) -> Described:
        described = old._replace(spec=spec, updated_at_ms=now_ms())
        await self.broker.store.write([described.record()])
        self.broker.change(spec)
        self._entities[path_of_spec(spec)] = described
        return described

    async def delete(self, path: str) -> None:
        """Remove an entity with its messages, a topic with its subscriptions."""
        async with self._changing:
            self._check_unwanted(path, self._existing(path).spec)
            gone = [path_of_spec(sub.spec) for sub in self.all(SubscriptionSpec, path)] + [path]
            changes: list[Change] = []
            for key in gone:
                described = self._entities.pop(key)
                self.broker.remove(key)
                changes += (Empty(key), Empty(key + DEAD_LETTER_SUFFIX.lower()))
                if described.declared is None:
                    changes.append(ForgetEntity(key))
                else:  # the topology file still has it
                    record = described.record()._replace(entry=None, updated_at_ms=now_ms())
                    self._tombstones[key] = record
                    changes.append(record)
            await self.broker.store.write(changes)
            self.disconnect(path, AmqpError(NOT_FOUND, f"The entity '{path}' was deleted."))

    async def put_rule(self, path: str, rule: Rule, *, replaces: bool = False) -> Rule:
        """Add a rule to a subscription, or replace the one of its name."""
        async with self._changing:
            old, spec = self._subscription(path)
            others = tuple(known for known in spec.rules if not _same_name(known, rule.name))
            if replaces and len(others) == len(spec.rules):
                raise _missing(f"{path}/rules/{rule.name}")
            if not replaces and len(others) < len(spec.rules):
                raise AmqpError(ALREADY_EXISTS, f"The rule '{rule.name}' exists already.")
            if len(others) >= MAX_RULES:
                raise AmqpError(RESOURCE_LIMIT, f"A subscription has at most {MAX_RULES} rules.")
            await self._change(old, replace(spec, rules=(*others, rule)))
            return rule

    async def delete_rule(self, path: str, name: str) -> None:
        """Remove a rule of a subscription. Without any, the subscription gets no messages."""
        async with self._changing:
            old, spec = self._subscription(path)
            others = tuple(rule for rule in spec.rules if not _same_name(rule, name))
            if len(others) == len(spec.rules):
                raise _missing(f"{path}/rules/{name}")
            await self._change(old, replace(spec, rules=others))

    def rules(self, path: str) -> list[Rule]:
        """The rules of a subscription, by name."""
        return sorted(self._subscription(path)[1].rules, key=lambda rule: rule.name.lower())

    def _existing(self, path: str) -> Described:
        found = self._entities.get(path)
        if found is None:
            raise _missing(path)
        return found

    def _subscription(self, path: str) -> tuple[Described, SubscriptionSpec]:
        found = self._existing(path)
        if not isinstance(found.spec, SubscriptionSpec):
            raise AmqpError(NOT_ALLOWED, f"'{path}' is no subscription: it has no rules.")
        return found, found.spec

    def _check_room(self, spec: Spec) -> None:
        if isinstance(spec, SubscriptionSpec):
            topic = self._existing(spec.topic.lower()).spec
            if not isinstance(topic, TopicSpec):
                raise _missing(spec.topic)
            most, siblings = MAX_SUBSCRIPTIONS, self.all(SubscriptionSpec, spec.topic.lower())
        else:
            most, siblings = MAX_ENTITIES, [*self.all(QueueSpec), *self.all(TopicSpec)]
        if len(siblings) >= most:
            raise AmqpError(RESOURCE_LIMIT, f"No more than {most} such entities are possible.")

    def _check_targets(self, spec: Spec) -> None:
        """What is forwarded must arrive somewhere else."""
        for target in _targets(spec):
            found = self._entities.get(target)
            if found is None or isinstance(found.spec, SubscriptionSpec):
                raise AmqpError(ARGUMENT_ERROR, f"'{target}', to forward to, does not exist.")
            if target == path_of_spec(spec):
                raise AmqpError(ARGUMENT_ERROR, f"'{target}' cannot forward to itself.")

    def _check_unwanted(self, path: str, spec: Spec) -> None:
        for other in self._entities.values():
            if path in _targets(other.spec) and other.spec != spec:
                raise AmqpError(NOT_ALLOWED, f"'{other.spec.name}' forwards to '{path}'.")


def _missing(path: str) -> AmqpError:
    return AmqpError(NOT_FOUND, f"The messaging entity '{path}' could not be found.")


def _targets(spec: Spec) -> list[str]:
    if not isinstance(spec, QueueSpec | SubscriptionSpec):
        return []
    return [to.lower() for to in (spec.forward_to, spec.forward_dead_letters_to) if to]


def _same_name(rule: Rule, name: str) -> bool:
    return rule.name.lower() == name.lower()
