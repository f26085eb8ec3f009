"""Topics and subscriptions in the store."""

import json
import sqlite3
from collections.abc import Mapping
from typing import Any, Final

from localcloud.eventgrid.elements import Elements
from localcloud.eventgrid.specs import (
    SubscriptionSpec,
    TopicSpec,
    subscription_of,
    system_topic_of,
    topic_of,
)
from localcloud.eventgrid.store import Store

SUCCEEDED: Final = "Succeeded"
CREATING: Final = "Creating"
BY_HAND: Final = "AwaitingManualAction"
FAILED: Final = "Failed"

TOPICS = """
    SELECT name, document, declared
    FROM topics
    ORDER BY name
"""
KEEP_TOPIC = """
    INSERT INTO topics (name, document, declared)
    VALUES (:name, :document, :declared)
    ON CONFLICT (name) DO UPDATE SET document = excluded.document, declared = excluded.declared
"""
DROP_TOPIC = """
    DELETE FROM topics
    WHERE name = :name
"""
SUBSCRIPTIONS = """
    SELECT id, topic, name, document, declared, state
    FROM subscriptions
    ORDER BY topic, name
"""
KEEP_SUBSCRIPTION = """
    INSERT INTO subscriptions (topic, name, document, declared, state)
    VALUES (:topic, :name, :document, :declared, :state)
    ON CONFLICT (topic, name) DO UPDATE
        SET document = excluded.document, declared = excluded.declared, state = excluded.state
"""
KEY_OF = """
    SELECT id
    FROM subscriptions
    WHERE topic = :topic AND name = :name
"""
SET_STATE = """
    UPDATE subscriptions
    SET state = :state, last_error = coalesce(:error, last_error),
        last_error_at = iif(:error IS NULL, last_error_at, :at)
    WHERE id = :id
"""
DROP_SUBSCRIPTION = """
    DELETE FROM subscriptions
    WHERE id = :id
"""
DROP_DELIVERIES = """
    DELETE FROM deliveries
    WHERE subscription = :id
"""


class Records:
    """What is declared in the topology file, and what was made through the management API."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def topics(self) -> list[tuple[TopicSpec, bool]]:
        """The topics, by name, and whether each is declared in the file."""
        found = []
        for row in self._store.rows(TOPICS, {}):
            entry = Elements({"name": row["name"], **json.loads(row["document"])}, row["name"])
            kind = system_topic_of if "topicType" in row["document"] else topic_of
            found.append((kind(entry), bool(row["declared"])))
        return found

    def keep_topic(self, topic: TopicSpec, *, declared: bool) -> None:
        properties: dict[str, Any] = {"inputSchema": topic.schema}
        if topic.topic_type is not None:
            properties = {"topicType": topic.topic_type}
        elif not topic.keys_open:
            properties["disableLocalAuth"] = True
        document = json.dumps({"properties": properties})
        row = {"name": topic.name, "document": document, "declared": declared}
        self._store.write_now(lambda tx: _run(tx, KEEP_TOPIC, row))

    def drop_topic(self, name: str) -> None:
        self._store.write_now(lambda tx: _run(tx, DROP_TOPIC, {"name": name}))

    def subscriptions(
        self, topics: Mapping[str, TopicSpec]
    ) -> list[tuple[int, SubscriptionSpec, bool, str]]:
        """Key, spec, whether it is declared in the file, and state; those of known topics."""
        return [
            (
                row["id"],
                subscription_of(topics[row["topic"]], row["name"], json.loads(row["document"])),
                bool(row["declared"]),
                row["state"],
            )
            for row in self._store.rows(SUBSCRIPTIONS, {})
            if row["topic"] in topics
        ]

    def keep(self, spec: SubscriptionSpec, state: str, *, declared: bool) -> int:
        """Make or change the subscription; its key."""
        row = {
            "topic": spec.topic,
            "name": spec.name,
            "document": json.dumps(spec.document),
            "declared": declared,
            "state": state,
        }
        self._store.write_now(lambda tx: _run(tx, KEEP_SUBSCRIPTION, row))
        key: int = self._store.row(KEY_OF, {"topic": spec.topic, "name": spec.name})["id"]
        return key

    def set_state(self, key: int, state: str, error: str | None, at: float) -> None:
        row = {"id": key, "state": state, "error": error, "at": at}
        self._store.write_now(lambda tx: _run(tx, SET_STATE, row))

    def drop(self, key: int) -> None:
        """Forget the subscription and what waits for it."""

        def work(tx: sqlite3.Connection) -> None:
            tx.execute(DROP_SUBSCRIPTION, {"id": key})
            tx.execute(DROP_DELIVERIES, {"id": key})

        self._store.write_now(work)


def _run(tx: sqlite3.Connection, statement: str, row: Mapping[str, Any]) -> None:
    tx.execute(statement, row)
