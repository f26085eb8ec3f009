"""What the dashboard shows: topics, subscriptions, and the events that were given up."""

from typing import Any

from localcloud.eventgrid.events import iso
from localcloud.eventgrid.grid import Grid, Topic
from localcloud.eventgrid.store import Store
from localcloud.eventgrid.subscribers import Subscriber

COUNTED = ("matched", "delivered", "failed_attempts", "dead_lettered", "dropped", "pending")

OF_TOPIC = """
    SELECT published, unmatched, last_published_at
    FROM topics
    WHERE name = :topic
"""
OF_SUBSCRIPTION = """
    SELECT matched, delivered, failed AS failed_attempts, dead_lettered, dropped, last_error,
        last_error_at, last_delivered_at,
        (SELECT count(*) FROM deliveries WHERE subscription = :key) AS pending,
        (SELECT min(due_at) FROM deliveries WHERE subscription = :key) AS next_attempt_at,
        (
            SELECT count(*)
            FROM dead_letters
            WHERE subscription = :key AND status = 'waiting'
        ) AS dead_lettering
    FROM subscriptions
    WHERE id = :key
"""
LATEST_DEAD = """
    SELECT topic, name, event_id, event_type, subject, reason, outcome, attempts, published_at,
        attempted_at, given_up_at, status, blob
    FROM dead_letters
    WHERE (:topic IS NULL OR topic = :topic COLLATE NOCASE)
      AND (:name IS NULL OR name = :name COLLATE NOCASE)
    ORDER BY seq DESC
    LIMIT :limit
"""


def overview(grid: Grid, base: str) -> dict[str, Any]:
    """Topics by name with their subscriptions by name, and totals."""
    topics = [_topic(grid.around.store, topic, base) for topic in grid.topics()]
    subscriptions = [entry for topic in topics for entry in topic["subscriptions"]]
    totals = {
        name: sum(entry[name] for entry in subscriptions) for name in (*COUNTED, "dead_lettering")
    }
    published = sum(topic["published"] for topic in topics)
    return {"topics": topics, "totals": {"published": published} | totals}


def dead_letters(
    store: Store, limit: int, topic: str | None, subscription: str | None
) -> dict[str, Any]:
    """The latest events that were given up, newest first."""
    rows = store.rows(LATEST_DEAD, {"limit": limit, "topic": topic, "name": subscription})
    return {
        "dead_letters": [
            {
                "topic": row["topic"],
                "subscription": row["name"],
                "event_id": row["event_id"],
                "event_type": row["event_type"],
                "subject": row["subject"] or None,
                "reason": row["reason"],
                "outcome": row["outcome"],
                "attempts": row["attempts"],
                "published_at": iso(row["published_at"]),
                "last_attempt_at": iso(row["attempted_at"]),
                "given_up_at": iso(row["given_up_at"]),
                "status": row["status"],
                "blob": row["blob"],
            }
            for row in rows
        ]
    }


def _topic(store: Store, topic: Topic, base: str) -> dict[str, Any]:
    spec = topic.spec
    counts = store.row(OF_TOPIC, {"topic": spec.name})
    return {
        "name": spec.name,
        "kind": "system_topic" if spec.topic_type else "topic",
        "topic_type": spec.topic_type,
        "schema": spec.schema,
        "endpoint": f"{base}/{spec.name}/api/events",
        "published": counts["published"],
        "unmatched": counts["unmatched"],
        "refused": topic.refused,
        "last_published_at": iso(counts["last_published_at"]),
        "subscriptions": [
            _subscription(store, topic.subscribers[name]) for name in sorted(topic.subscribers)
        ],
    }


def _subscription(store: Store, subscriber: Subscriber) -> dict[str, Any]:
    spec = subscriber.spec
    row = store.row(OF_SUBSCRIPTION, {"key": subscriber.key})
    return {
        "name": spec.name,
        "provisioning_state": subscriber.state,
        "filter": spec.filter.words(),
        "destination": {"type": spec.destination.kind, "name": spec.destination.name},
        "schema": spec.schema,
        "dead_letter_container": spec.container,
        "expires_at": iso(spec.expires_at),
        **{name: row[name] for name in COUNTED},
        "dead_lettering": row["dead_lettering"],
        "last_error": row["last_error"],
        "last_error_at": iso(row["last_error_at"]),
        "last_delivered_at": iso(row["last_delivered_at"]),
        "next_attempt_at": iso(row["next_attempt_at"]),
    }
