"""The audit trail over HTTP, from the queue and from the command line."""

import asyncio
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import azure.functions as func
import psycopg
import pytest
from click.testing import CliRunner, Result
from uuid_utils.compat import uuid7

from blueprints.audit import routes, triggers
from blueprints.audit.__main__ import main
from blueprints.audit.anchoring import Anchoring
from blueprints.audit.forgetting import Forgetting
from blueprints.audit.seals import Signer
from blueprints.audit.service import AuditService
from blueprints.audit.trail import AccessTrail, Trail
from blueprints.audit.verifying import Verifying
from shared.auth import ADMIN, CUSTOMER_SERVICE, EMPLOYEE_SCOPE, ORDER_MANAGER, Caller
from shared.db import Database
from shared.http import Api
from shared.inbox import Inbox, Rejected
from tests.integration.audit.conftest import (
    KEY,
    Shelf,
    about,
    as_application,
    entry,
    tampering,
)
from tests.integration.shared.deliveries import envelope, message

ALICE = UUID("0195a0a0-0000-7000-8000-00000000a11c")
ORDER = UUID("0195a0a0-0000-7000-8000-0000000000a1")
ROLES = {"ada": ADMIN, "carla": CUSTOMER_SERVICE, "oscar": ORDER_MANAGER}
ADA = UUID(int=1)
NOTE: dict[str, Any] = {
    "action": "parcel.lost",
    "subject": {"kind": "customer", "id": str(ALICE)},
    "order_id": str(ORDER),
    "reason": "Alice Example called",
    "details": {"phone": "+49301234"},
}


class Door:
    """Lets in employees by name."""

    async def authenticate(self, authorization: str | None) -> Caller:
        name = str(authorization)
        scopes = frozenset({EMPLOYEE_SCOPE})
        return Caller(
            "employee", ADA if name == "ada" else uuid4(), frozenset({ROLES[name]}), scopes
        )


class Desk:
    """The slice's functions, called as employees."""

    def __init__(self, database: Database, shelf: Shelf) -> None:
        trail = Trail(database)
        signer = Signer(KEY)
        verifying = Verifying(database, shelf, [signer.public_key])
        app = func.FunctionApp()
        api = Api(Door(), access_log=AccessTrail(trail))
        app.register_functions(routes.blueprint(api, AuditService(database, trail), verifying))
        inbox = Inbox(database, first_pause_s=0)
        app.register_functions(triggers.blueprint(trail, Anchoring(database, shelf, signer), inbox))
        self.functions: dict[str, Any] = {
            str(f.get_function_name()): f.get_user_function() for f in app.get_functions()
        }

    async def ask(
        self,
        name: str,
        params: Mapping[str, str] | None = None,
        *,
        who: str = "ada",
        body: Mapping[str, Any] | None = None,
        key: str = "k-1",
    ) -> tuple[int, Any]:
        response = await self.functions[name](
            func.HttpRequest(
                "GET" if body is None else "POST",
                "https://platform.test/",
                headers={
                    "authorization": who,
                    "content-type": "application/json",
                    "idempotency-key": key,
                    "x-correlation-id": "c-1",
                },
                params=params or {},
                route_params={"customer_id": str(ALICE)},
                body=b"" if body is None else json.dumps(body).encode(),
            )
        )
        return response.status_code, json.loads(response.get_body())

    async def actions(self, params: Mapping[str, str] | None = None) -> list[str]:
        status, page = await self.ask("list_audit_entries", params)
        assert status == 200, page
        return [item["action"] for item in page["items"]]


@pytest.fixture
def desk(app: Database, shelf: Shelf, fresh_url: str) -> Desk:
    with psycopg.connect(fresh_url) as owner:
        owner.execute("DELETE FROM messaging.idempotency_keys")
    return Desk(app, shelf)


async def test_what_an_admin_puts_on_record_is_there_once(desk: Desk) -> None:
    first = await desk.ask("record_audit_entry", body=NOTE)
    again = await desk.ask("record_audit_entry", body=NOTE)
    other = await desk.ask("record_audit_entry", body=NOTE | {"action": "parcel.found"})

    assert (first[0], again, other[0]) == (201, first, 422)
    told = first[1]
    assert {
        name: told[name] for name in ("seq", "origin", "actor_id", "customer_id", "details")
    } == {
        "seq": 1,
        "origin": "manual",
        "actor_id": str(ADA),
        "customer_id": str(ALICE),
        "details": {"reason": "Alice Example called", "details": {"phone": "+49301234"}},
    }
    assert await desk.actions() == ["parcel.lost"]


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"action": "No Action"}, 400),
        ({"reason": " "}, 400),
        ({"customer_id": str(ORDER)}, 400),
        ({"details": {"text": "x" * 9000}}, 413),
        ({"extra": 1}, 400),
    ],
)
async def test_what_cannot_be_on_record_leaves_nothing(
    change: dict[str, Any], status: int, desk: Desk
) -> None:
    assert (await desk.ask("record_audit_entry", body=NOTE | change))[0] == status
    assert await desk.actions() == []


async def test_customer_service_reads_and_only_admins_write_and_verify(desk: Desk) -> None:
    told = {
        who: (
            (await desk.ask("list_audit_entries", who=who))[0],
            (await desk.ask("list_gdpr_trail", who=who))[0],
            (await desk.ask("record_audit_entry", body=NOTE, who=who))[0],
            (await desk.ask("verify_audit_trail", who=who))[0],
        )
        for who in ROLES
    }

    assert told == {
        "ada": (200, 200, 201, 200),
        "carla": (200, 200, 403, 403),
        "oscar": (403, 403, 403, 403),
    }


async def test_entries_are_filtered_and_paged_newest_first(desk: Desk, trail: Trail) -> None:
    actor, subject = uuid4(), uuid4()
    await trail.record(
        [
            entry("one.v1", subject_id=subject),
            entry("two.v1", actor_kind="employee", actor_id=actor),
            entry("three.v1", order_id=ORDER),
            entry("one.v1"),
        ]
    )

    assert await desk.actions() == ["one.v1", "three.v1", "two.v1", "one.v1"]
    assert await desk.actions({"subject": str(subject)}) == ["one.v1"]
    assert await desk.actions({"actor": str(actor)}) == ["two.v1"]
    assert await desk.actions({"order": str(ORDER)}) == ["three.v1"]
    assert await desk.actions({"action": "one.v1"}) == ["one.v1", "one.v1"]
    assert await desk.actions({"to": "2026-01-01T00:00:00Z"}) == []
    _, page = await desk.ask("list_audit_entries", {"limit": "3"})
    assert await desk.actions({"cursor": page["next_cursor"]}) == ["one.v1"]
    assert (await desk.ask("list_audit_entries", {"cursor": "bm9uZQ"}))[0] == 400


async def test_a_query_over_more_than_a_year_is_refused(desk: Desk) -> None:
    year = {"from": "2024-01-01T00:00:00Z", "to": "2025-01-01T00:00:00Z"}  # a leap year's 366 days
    longer = year | {"to": "2025-01-01T00:00:00.001Z"}
    backwards = {"from": year["to"], "to": year["from"]}

    assert (await desk.ask("list_audit_entries", year))[0] == 200
    status, problem = await desk.ask("list_audit_entries", longer)
    assert (status, problem["code"], problem["limit"]) == (400, "audit-range-too-long", 366)
    assert (await desk.ask("list_audit_entries", backwards))[1]["code"] == "invalid-request"


async def test_a_customer_s_trail_tells_who_read_and_reading_it_is_read_too(
    desk: Desk, trail: Trail
) -> None:
    await trail.record([about(ALICE, "asked for the parcel"), about(uuid4())])

    _, before = await desk.ask("list_gdpr_trail")
    _, after = await desk.ask("list_gdpr_trail", {"limit": "1"})

    assert [(i["operation"], i["fields"], i["details"]) for i in before["items"]] == [
        ("get_customer", ["email", "name"], {"reason": "asked for the parcel"})
    ]
    assert [(i["operation"], i["actor_id"], i["details"]) for i in after["items"]] == [
        ("list_gdpr_trail", str(ADA), None)
    ]
    assert after["next_cursor"] is not None


async def test_erased_details_are_said_to_be_erased(desk: Desk, app: Database) -> None:
    await desk.ask("record_audit_entry", body=NOTE)
    await Forgetting(app).erase(ALICE)

    _, page = await desk.ask("list_audit_entries")
    _, outcome = await desk.ask("verify_audit_trail", {"from": "1"})

    (item,) = page["items"]
    assert (item["details"], item["erased"]) == (None, True)
    assert (outcome["ok"], outcome["erased"]) == (True, 1)
    status, again = await desk.ask("record_audit_entry", body=NOTE)
    assert (status, again["details"]) == (201, None)


async def test_a_part_is_verified_and_what_is_wrong_is_named(
    desk: Desk, trail: Trail, fresh_url: str
) -> None:
    await trail.record([entry(), entry(), entry()])
    with tampering(fresh_url) as owner:
        owner.execute("DELETE FROM audit.audit_logs WHERE seq = 2")

    status, outcome = await desk.ask("verify_audit_trail", {"from": "1", "to": "3"})

    assert (status, outcome["ok"], outcome["verified"]) == (200, False, 2)
    assert outcome["findings"] == [
        {"kind": "missing", "seq": 2, "through": 2, "day": None, "detail": "the entry is gone"}
    ]
    assert (await desk.ask("verify_audit_trail", {"from": "0"}))[0] == 400


async def test_every_event_of_the_queue_becomes_an_entry_once(desk: Desk, app: Database) -> None:
    event_id = str(uuid7())
    placed = envelope(id=event_id)
    unknown = envelope(type="moon.landed.v9", id=str(uuid7()))
    consume = desk.functions["on_audited_event"]

    for body in (placed, unknown, placed):
        await consume(message(body))
    with pytest.raises(Rejected, match="malformed"):
        await consume(message(b"{}"))

    since = {"from": (datetime.now(UTC) - timedelta(hours=1)).isoformat()}
    assert await desk.actions(since) == ["moon.landed.v9", "order.placed.v1"]
    async with app.reading() as tx:
        refused = await tx.execute(
            "SELECT count(*) FROM messaging.rejections WHERE consumer = 'audit'"
        )
        assert await refused.fetchone() == (1,)


async def test_the_timers_make_room_and_sign(desk: Desk, shelf: Shelf) -> None:
    timer: Any = None
    await desk.functions["make_audit_partitions"](timer)
    await desk.functions["anchor_audit_trail"](timer)

    assert shelf.kept == {}


NOWHERE = (
    "DefaultEndpointsProtocol=http;AccountName=a;AccountKey=Yg==;BlobEndpoint=http://127.0.0.1:1/a;"
)


def run(url: str, *options: str) -> Result:
    return CliRunner().invoke(main, ["verify", "--url", url, *options])


async def test_the_command_verifies_and_its_exit_code_tells(
    trail: Trail, fresh_url: str, tmp_path: Path
) -> None:
    await trail.record([entry(), entry()])
    url = as_application(fresh_url)
    options = ("--anchors", str(tmp_path), "--anchor-key", KEY)

    good = await _in_thread(url, *options)
    with tampering(fresh_url) as owner:
        owner.execute("UPDATE audit.details SET payload = '{}' WHERE seq = 2")
    bad = await _in_thread(url, *options)
    away = await _in_thread(url, "--storage", NOWHERE, "--anchor-key", KEY)
    unasked = await _in_thread(url)

    assert (good.exit_code, good.stdout) == (
        0,
        "OK: entries 1 to 2, 2 verified (0 with erased details), 0 anchors\n",
    )
    assert bad.exit_code == 1
    assert bad.stdout.splitlines() == [
        "details-altered: seq 2: they are not those written with it",
        "NOT OK: entries 1 to 2, 2 verified (0 with erased details), 0 anchors",
    ]
    assert (away.exit_code, unasked.exit_code) == (3, 2)


async def _in_thread(url: str, *options: str) -> Result:
    """The command runs an event loop of its own."""
    return await asyncio.to_thread(run, url, *options)
