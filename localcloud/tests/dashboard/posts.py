"""A broker with messages in every state, and the addresses of a cloud around it."""

import http.server
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from azure.servicebus import ServiceBusClient, ServiceBusMessage

from localcloud.dashboard.addresses import Addresses
from localcloud.dashboard.hub import TaskHub
from localcloud.dashboard.mailboxes import Broker
from localcloud.dashboard.neighbours import Neighbour
from localcloud.dashboard.peeking import Window
from localcloud.tests.servicebus.rig import KEY, BrokerProcess, sql_rule, subscription

ORDER = "01a20da0-fd21-72ff-83e4-906da741e043"
HOSTILE = "<script>alert(1)</script>"
LOCKED_S = 300
TOPICS: dict[str, list[dict[str, Any]]] = {
    "orders": [
        subscription(
            "letters",
            [{"Properties": {"type": "placed"}}, {"Properties": {"type": "shipped"}}],
            ForwardTo="letters",
        ),
        subscription("ledger", ForwardTo="ledger"),
        {"Name": "large", "Rules": [sql_rule("large", "n > 100", "SET rank = 1")]},
    ]
}
QUEUES: dict[str, dict[str, Any]] = {
    "letters": {"RequiresSession": True},
    "ledger": {"LockDuration": "PT5M"},
    "quiet": {},
}


def event(type_: str, number: int, session: str = ORDER) -> ServiceBusMessage:
    body = {"id": f"e-{number}", "type": type_, "data": {"order_id": session}}
    return ServiceBusMessage(
        json.dumps(body),
        message_id=f"e-{number}",
        session_id=session,
        correlation_id="c-1",
        application_properties={"type": type_},
    )


def fill(broker: BrokerProcess) -> ServiceBusClient:
    """Six events: five letters in two sessions, one of them dead; one of the ledger is locked, one
    deferred, one dead and hostile. The client that holds the lock.
    """
    client = ServiceBusClient.from_connection_string(broker.connection_string())
    with client.get_topic_sender("orders") as sender:
        sender.send_messages([event("placed", n) for n in (1, 2, 3)])
        sender.send_messages([event("shipped", n, "other") for n in (4, 5)])
        sender.send_messages(event(HOSTILE, 6))
        tomorrow = datetime.now(UTC) + timedelta(days=1)
        sender.schedule_messages(event("placed", 7), tomorrow)
    with client.get_queue_receiver("letters", session_id=ORDER) as receiver:
        (first,) = receiver.receive_messages(1, max_wait_time=30)
        receiver.dead_letter_message(first, reason="unreadable", error_description="no lines")
    ledger = client.get_queue_receiver("ledger")
    taken: list[Any] = []
    while len(taken) < 6:
        taken += ledger.receive_messages(6 - len(taken), max_wait_time=30)
    for message in taken[1:4]:
        ledger.abandon_message(message)
    ledger.defer_message(taken[4])
    ledger.dead_letter_message(taken[5], reason=HOSTILE, error_description=HOSTILE)
    return client


def addresses(
    broker: BrokerProcess,
    dsn: str,
    *,
    eventgrid: str | None = None,
    communication: str | None = None,
) -> Addresses:
    """Of a cloud with that broker, and that database for the platform's."""
    return Addresses(
        Broker("127.0.0.1", broker.admin_port, KEY, broker.certificate),
        Window(broker.connection_string()),
        TaskHub(dsn),
        Neighbour("eventgrid", "Event Grid", eventgrid),
        Neighbour("communication", "Communication Services", communication),
    )


@contextmanager
def answering(answers: Mapping[str, Any]) -> Iterator[str]:
    """A server that gives these JSON answers by path, whatever the query; its address."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found = answers.get(self.path.partition("?")[0])
            self.send_response(200 if found is not None else 404)
            self.end_headers()
            self.wfile.write(json.dumps(found).encode())

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


EVENT_GRID: dict[str, Any] = {
    "/overview": {
        "topics": [
            {
                "name": "platform-events",
                "kind": "topic",
                "published": 12,
                "unmatched": 3,
                "refused": 1,
                "last_published_at": "2026-11-24T13:00:00Z",
                "subscriptions": [
                    {
                        "name": "attention",
                        "provisioning_state": "Succeeded",
                        "filter": "type is order.stuck.v1",
                        "destination": {"type": "ServiceBusQueue", "name": "attention"},
                        "delivered": 4,
                        "failed_attempts": 2,
                        "dead_lettered": 2,
                        "dropped": 1,
                        "pending": 1,
                        "last_error": "NotFound: HTTP 404",
                        "last_error_at": "2026-11-24T13:00:01Z",
                        "next_attempt_at": "2026-11-24T13:00:09Z",
                    },
                    {
                        "name": "hooks",
                        "provisioning_state": "AwaitingManualAction",
                        "filter": "every event",
                        "destination": {"type": "WebHook", "name": f"https://x.example/{HOSTILE}"},
                        "last_error": None,
                        "next_attempt_at": None,
                    },
                ],
            },
            {"name": "communication", "kind": "system_topic", "subscriptions": []},
        ],
        "totals": {"published": 12, "delivered": 4, "pending": 1, "dead_lettered": 2, "dropped": 1},
    },
    "/dead-letters": {
        "dead_letters": [
            {
                "topic": "platform-events",
                "subscription": "attention",
                "event_id": "e-1",
                "event_type": "order.stuck.v1",
                "reason": "MaxDeliveryAttemptsExceeded",
                "outcome": "NotFound",
                "attempts": 30,
                "given_up_at": "2026-11-24T12:59:00Z",
                "status": "written",
                "blob": "eventgrid-dead-letters/platform-events/attention/1.json",
            }
        ]
    },
}
MAILBOX: dict[str, Any] = {
    "/overview": {
        "email": {
            "messages": 3,
            "recipients": 4,
            "awaiting": 1,
            "by_status": {"Delivered": 2, "Bounced": 1},
        },
        "sms": {"messages": 1, "recipients": 1, "awaiting": 0, "by_status": {}},
        "suppressed": 1,
        "reports": {"waiting": 0, "last_error": "refused"},
        "latest": [
            {
                "channel": "email",
                "sent_at": "2026-11-24T13:00:00.123456Z",
                "to": ["a@x.example"],
                "title": HOSTILE,
                "status": "Bounced",
                "url": "/mail/17",
            },
            {
                "channel": "sms",
                "sent_at": "2026-11-24T12:00:00Z",
                "to": ["+4915112345678"],
                "title": "",
                "status": None,
                "url": "javascript:alert(1)",
            },
        ],
    }
}
