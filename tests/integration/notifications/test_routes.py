"""Notifications over HTTP, through the functions that the host calls."""

import json
from collections.abc import Mapping
from typing import Any
from uuid import UUID

import azure.functions as func
import pytest
from uuid_utils.compat import uuid7

from blueprints.notifications import routes
from shared.auth import ADMIN, CUSTOMER_SERVICE, EMPLOYEE_SCOPE, ORDER_MANAGER, Caller
from shared.db import Database
from shared.http import Api
from shared.problem import TokenMissing
from tests.integration.notifications.told import Told, happened, registered

type Answer = tuple[int, Any, Mapping[str, str]]

SCOPES = frozenset({"notifications.readwrite"})
ALICE, BRUNO = (Caller("client", UUID(int=n), scopes=SCOPES) for n in (1, 2))
SCOPELESS = Caller("client", UUID(int=3), scopes=frozenset({"orders.readwrite"}))


CARLA, OSCAR, ADA = (
    Caller("employee", UUID(int=n), frozenset({role}), frozenset({EMPLOYEE_SCOPE}))
    for n, role in enumerate((CUSTOMER_SERVICE, ORDER_MANAGER, ADMIN), 4)
)
STAFF_ONLY = (
    "write_notification",
    "get_notification_deliveries",
    "list_notification_templates",
    "preview_notification_template",
)
PEOPLE = {str(p.id): p for p in (ALICE, BRUNO, SCOPELESS, CARLA, OSCAR, ADA)}


class Doorman:
    """Knows people by name instead of by token."""

    async def authenticate(self, authorization: str | None) -> Caller:
        if authorization is None:
            raise TokenMissing("no token")
        return PEOPLE[authorization]


class Http:
    """Calls functions by name."""

    def __init__(self, told: Told) -> None:
        api = Api(Doorman())
        self.told = told
        self.functions = registered(
            routes.blueprint(api, told.service, told.messages, told.preferring)
        )

    async def __call__(
        self,
        name: str,
        caller: Caller | None,
        *,
        body: Any = None,
        path: Mapping[str, str] | None = None,
        query: Mapping[str, str] | None = None,
        **headers: str,
    ) -> Answer:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if caller is not None:
            sent["authorization"] = str(caller.id)
        if body is not None:
            sent["content-type"] = "application/json"
        answer = await self.functions[name](
            func.HttpRequest(
                method="GET" if name.startswith(("get", "list")) else "POST",
                url="/api/v1/notifications",
                headers=sent,
                params=dict(query or {}),
                route_params=dict(path or {}),
                body=b"" if body is None else json.dumps(body).encode(),
            )
        )
        return answer.status_code, json.loads(answer.get_body()), answer.headers


@pytest.fixture
def http(database: Database) -> Http:
    told = Told(database)
    told.neighbours.contacts[ALICE.id] = told.neighbours.contacts[told.customer("de")]
    return Http(told)


def letter(**to: Any) -> dict[str, Any]:
    return {"subject": "About your delivery", "text": "Which door code?\n\nCarla"} | to


async def test_notifications_are_for_who_is_signed_in_and_may(http: Http) -> None:
    for name in http.functions:
        assert (await http(name, None))[0] == 401
        assert (await http(name, SCOPELESS))[0] == 403
    for name in STAFF_ONLY:
        assert (await http(name, ALICE))[0] == 403


async def test_a_client_reads_what_happened_and_marks_it_as_read(http: Http) -> None:
    order_id = http.told.neighbours.order(ALICE.id)
    await http.told.hear(happened("order.placed.v1", order_id))

    status, page, _ = await http("list_notifications", ALICE, query={"unread": "true"})

    assert status == 200
    assert page.keys() == {
        *("items", "next_cursor", "latest", "more", "unread_count", "unread_more"),
    }
    newest = page["items"][0]
    assert (newest["title"], newest["order_id"]) == ("Bestellung eingegangen", str(order_id))
    one = {"notification_id": newest["id"]}
    status, read, _ = await http("mark_notification_read", ALICE, path=one)
    assert (status, read["id"]) == (200, newest["id"])
    assert read["read_at"] is not None
    assert (await http("mark_notification_read", BRUNO, path=one))[:2][0] == 404
    status, missed, _ = await http("list_notifications", ALICE, query={"since": page["latest"]})
    assert (status, missed["items"], missed["more"]) == (200, [], False)
    body = {"latest": missed["latest"]}
    status, all_read, _ = await http("mark_notifications_read", ALICE, body=body)
    assert (status, all_read) == (200, {"read": 0})


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ({"since": "x"}, "invalid-cursor"),
        ({"cursor": "x"}, "invalid-cursor"),
        ({"since": "x", "unread": "true"}, "invalid-request"),
        ({"limit": "101"}, "invalid-request"),
        ({"language": "xx"}, "invalid-request"),
        ({"customer": str(BRUNO.id)}, "invalid-request"),
    ],
    ids=str,
)
async def test_what_is_no_list_is_refused(query: dict[str, str], code: str, http: Http) -> None:
    status, problem, _ = await http("list_notifications", ALICE, query=query)

    assert (status, problem["code"]) == (400, code)


async def test_preferences_are_read_and_replaced_under_their_etag(http: Http) -> None:
    status, before, headers = await http("get_notification_preferences", BRUNO)
    assert (status, headers["ETag"]) == (200, '"0"')
    assert before["types"][0]["channels"]["email"] == {
        "wanted": True,
        "default": True,
        "mandatory": True,
    }
    body = {
        "time_zone": "Pacific/Apia",
        "quiet_hours": {"from": "21:30", "until": "06:00"},
        "wanted": {"order_shipped": {"sms": True}},
    }
    name = "update_notification_preferences"

    assert (await http(name, BRUNO, body=body))[0] == 428
    status, after, headers = await http(name, BRUNO, body=body, if_match='"0"')
    assert (status, headers["ETag"]) == (200, '"1"')
    assert after["quiet_hours"] == {"from": "21:30", "until": "06:00"}
    assert (await http(name, BRUNO, body=body, if_match='"0"'))[0] == 412
    assert (await http("get_notification_preferences", BRUNO))[1] == after


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"wanted": {"order_placed": {"email": False}}}, 409, "mandatory-notification"),
        ({"wanted": {"order_exploded": {"email": False}}}, 400, "invalid-request"),
        ({"wanted": {"order_shipped": {"fax": True}}}, 400, "invalid-request"),
        ({"wanted": {"order_shipped": {"sms": "yes"}}}, 400, "invalid-request"),
        ({"quiet_hours": {"from": "22:00", "until": "22:00"}}, 400, "invalid-request"),
        ({"quiet_hours": {"from": "24:00", "until": "07:00"}}, 400, "invalid-request"),
        ({"quiet_hours": {"from": "22:00"}}, 400, "invalid-request"),
        ({"time_zone": "Europe"}, 400, "invalid-request"),
        ({"time_zone": 7}, 400, "invalid-request"),
        ({"digest": "hourly"}, 400, "invalid-request"),
        ({"digest_at": "8"}, 400, "invalid-request"),
        ({"person_id": str(ALICE.id)}, 400, "invalid-request"),
    ],
    ids=str,
)
async def test_preferences_that_cannot_be_are_refused(
    changes: dict[str, Any], status: int, code: str, http: Http
) -> None:
    _, before, headers = await http("get_notification_preferences", ALICE)
    body = {"time_zone": "Europe/Berlin"} | changes

    refused, problem, _ = await http(
        "update_notification_preferences", ALICE, body=body, if_match=headers["ETag"]
    )

    assert (refused, problem["code"]) == (status, code)
    assert (await http("get_notification_preferences", ALICE))[1] == before


async def test_an_employee_writes_to_a_customer_once(http: Http) -> None:
    body = letter(recipient_id=str(ALICE.id))

    status, written, headers = await http(
        "write_notification", CARLA, body=body, idempotency_key="k"
    )
    again = await http("write_notification", CARLA, body=body, idempotency_key="k")

    assert (status, written["channels"]) == (201, ["in_app"])
    assert headers["Location"] == f"/api/v1/notifications/{written['id']}/deliveries"
    assert again[:2] == (201, written)
    other = letter(recipient_id=str(ALICE.id), subject="Else")
    reused = await http("write_notification", CARLA, body=other, idempotency_key="k")
    assert (reused[0], reused[1]["code"]) == (422, "idempotency-key-reused")
    assert http.told.around.dispatched == [UUID(written["id"])]
    assert http.told.around.kicks == 1
    found = (await http("list_notifications", ALICE, query={"limit": "1"}))[1]["items"][0]
    assert (found["id"], found["title"], found["text"]) == (
        written["id"],
        "About your delivery",
        "Which door code?\n\nCarla",
    )


async def test_what_was_written_stands_in_no_event(http: Http) -> None:
    body = letter(recipient_id=str(ALICE.id))
    _, written, _ = await http("write_notification", CARLA, body=body, idempotency_key="e")

    ((topic, envelope),) = await http.told.rows(
        "SELECT topic, envelope FROM messaging.outbox WHERE aggregate_id = %(id)s",
        id=UUID(written["id"]),
    )

    event = json.loads(envelope)
    assert (topic, event["type"]) == ("notification-events", "notification.written.v1")
    assert event["data"] == {
        "notification_id": written["id"],
        "recipient_id": str(ALICE.id),
        "audience": None,
        "order_id": None,
        "written_by": str(CARLA.id),
    }
    assert "door" not in envelope


async def test_only_admins_write_to_an_audience(http: Http) -> None:
    body = letter(audience="clients")

    for caller in (CARLA, OSCAR):
        refused = await http("write_notification", caller, body=body, idempotency_key="a")
        assert (refused[0], refused[1]["code"]) == (403, "forbidden")
    before = await http.told.count()
    status, written, _ = await http("write_notification", ADA, body=body, idempotency_key="a")

    assert (status, await http.told.count()) == (201, before + 1)
    for reader in (ALICE, BRUNO):
        page = (await http("list_notifications", reader, query={"limit": "1"}))[1]
        assert (page["items"][0]["id"], page["items"][0]["audience"]) == (written["id"], "clients")


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (letter(recipient_id=str(uuid7())), 409, "recipient-unknown"),
        (letter(), 400, "invalid-request"),
        (letter(recipient_id=str(ALICE.id), audience="clients"), 400, "invalid-request"),
        (letter(audience="everyone"), 400, "invalid-request"),
        (letter(recipient_id=str(ALICE.id), subject="a\r\nBcc: x@y.z"), 400, "invalid-request"),
        (letter(recipient_id=str(ALICE.id), text="  "), 400, "invalid-request"),
        (letter(recipient_id=str(ALICE.id), text="x" * 4_001), 400, "invalid-request"),
        (letter(recipient_id=str(ALICE.id), text="\u0000"), 400, "invalid-request"),
        (letter(recipient_id=str(ALICE.id), type="order_placed"), 400, "invalid-request"),
    ],
    ids=range(9),
)
async def test_a_message_that_cannot_be_is_refused_and_nobody_is_told(
    body: dict[str, Any], status: int, code: str, http: Http
) -> None:
    before = await http.told.count()

    refused = await http("write_notification", ADA, body=body, idempotency_key="bad")

    assert (refused[0], refused[1]["code"]) == (status, code)
    assert await http.told.count() == before
    assert (http.told.around.kicks, http.told.around.dispatched) == (0, [])


async def test_a_message_needs_an_idempotency_key(http: Http) -> None:
    answer = await http("write_notification", ADA, body=letter(audience="clients"))

    assert (answer[0], answer[1]["code"]) == (400, "idempotency-key-required")


async def test_employees_see_what_became_of_a_notification(http: Http) -> None:
    body = letter(recipient_id=str(ALICE.id))
    written = (await http("write_notification", CARLA, body=body, idempotency_key="d"))[1]
    one = {"notification_id": written["id"]}
    async with http.told.database.transaction() as tx:
        await tx.execute(
            """
            INSERT INTO notifications.attempts (delivery_id, outcome, reason)
            SELECT id, outcome, why
            FROM notifications.deliveries
            CROSS JOIN (VALUES ('fault', '503'), ('accepted', NULL)) AS a (outcome, why)
            WHERE notification_id = %s
            """,
            [UUID(written["id"])],
        )

    status, log, _ = await http("get_notification_deliveries", OSCAR, path=one)

    assert (status, log["type"], log["recipient_id"]) == (200, "message", str(ALICE.id))
    (delivery,) = log["deliveries"]
    assert (delivery["channel"], delivery["status"]) == ("in_app", "pending")
    assert [attempt["outcome"] for attempt in delivery["attempts"]] == ["fault", "accepted"]
    unknown = {"notification_id": str(uuid7())}
    assert (await http("get_notification_deliveries", OSCAR, path=unknown))[0] == 404


async def test_employees_see_every_template_in_words(http: Http) -> None:
    status, page, _ = await http("list_notification_templates", CARLA)

    assert (status, len(page["items"])) == (200, 12)
    for template in page["items"]:
        assert template["languages"] == ["en", "de", "fr"]
        for language in template["languages"]:
            body = {"type": template["type"], "language": language}
            status, preview, _ = await http("preview_notification_template", CARLA, body=body)
            assert status == 200
            assert all(preview.values())
            assert f'<html lang="{language}">' in preview["html"]


@pytest.mark.parametrize(
    ("body", "status", "told"),
    [
        (
            {"type": "order_shipped", "facts": {}},
            409,
            "order_shipped v1: the facts lack number, tracking_number",
        ),
        (
            {"type": "order_shipped", "version": 2},
            409,
            "order_shipped v2: there is no such template",
        ),
        ({"type": "order_exploded"}, 400, "the body is not valid"),
        ({"type": "order_shipped", "language": "nl"}, 400, "the body is not valid"),
    ],
    ids=range(4),
)
async def test_a_template_that_has_no_words_for_these_facts_says_why(
    body: dict[str, Any], status: int, told: str, http: Http
) -> None:
    answer = await http("preview_notification_template", CARLA, body=body)

    assert (answer[0], answer[1]["detail"]) == (status, told)
