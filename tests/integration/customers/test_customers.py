"""Registering and keeping customers, through their HTTP functions and a real PostgreSQL."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from uuid import UUID

import azure.functions as func
import pytest
from psycopg.rows import dict_row
from uuid_utils.compat import uuid7

from blueprints.customers import routes
from blueprints.customers.models import Contact
from blueprints.customers.service import CustomerService
from shared.auth import CUSTOMER_SERVICE, Caller, StepUp
from shared.db import Database
from shared.http import Api
from tests.rig.accesses import Accesses

PROFILE: dict[str, Any] = {
    "name": "Alice Example",
    "email": "alice@clients.example",
    "phone": "+4930123456",
    "default_address": {
        "line1": "Hauptstraße 1",
        "postal_code": "10115",
        "city": "Berlin",
        "country": "DE",
    },
    "language": "de",
}

type Function = Callable[[func.HttpRequest], Awaitable[func.HttpResponse]]


class Door:
    """Lets in whoever the token names."""

    def __init__(self) -> None:
        self.callers: dict[str, Caller] = {}

    async def authenticate(self, authorization: str | None) -> Caller:
        assert authorization is not None
        return self.callers[authorization]


class Portal:
    """The functions of the slice, called as people."""

    def __init__(self, customers: CustomerService) -> None:
        self._door = Door()
        self.accesses = Accesses()
        app = func.FunctionApp()
        finding: Any = None  # employees look for customers in test_finding.py
        app.register_functions(
            routes.blueprint(Api(self._door, access_log=self.accesses), customers, finding)
        )
        self._functions: dict[str, Any] = {
            str(f.get_function_name()): f.get_user_function() for f in app.get_functions()
        }

    async def call(
        self,
        name: str,
        caller: Caller,
        *,
        customer_id: UUID | None = None,
        body: Mapping[str, Any] | None = None,
        if_match: str | None = None,
    ) -> func.HttpResponse:
        token = str(len(self._door.callers))
        self._door.callers[token] = caller
        headers = {"authorization": token, "content-type": "application/json"}
        request = func.HttpRequest(
            "POST" if body is not None else "GET",
            "https://platform.test/api/v1/customers",
            headers=headers | ({"if-match": if_match} if if_match is not None else {}),
            route_params={} if customer_id is None else {"customer_id": str(customer_id)},
            body=b"" if body is None else json.dumps(body).encode(),
        )
        function: Function = self._functions[name]
        return await function(request)


def client(person: UUID | None = None, *, signed_in_s_ago: float = 10) -> Caller:
    return Caller(
        "client",
        person or uuid7(),
        scopes=frozenset({"customers.readwrite"}),
        signed_in_at=int(time.time() - signed_in_s_ago),
    )


def employee(role: str, *, signed_in_s_ago: float = 10) -> Caller:
    return Caller(
        "employee",
        uuid7(),
        roles=frozenset({role}),
        scopes=frozenset({"employee.access"}),
        signed_in_at=int(time.time() - signed_in_s_ago),
    )


def told(response: func.HttpResponse) -> Any:
    return json.loads(response.get_body())


@pytest.fixture(scope="module")
def customers(database: Database) -> CustomerService:
    return CustomerService(database, StepUp(300))


@pytest.fixture(scope="module")
def portal(customers: CustomerService) -> Portal:
    return Portal(customers)


async def rows(database: Database, customer_id: UUID) -> list[dict[str, Any]]:
    """The customer as it is stored, preferences beside it."""
    async with database.reading() as tx, tx.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(
            """
            SELECT
                c.name, c.email, c.phone, c.default_address, c.segment, c.status, c.version,
                p.language
            FROM customers.customers AS c
            LEFT JOIN customers.customer_preferences AS p ON p.customer_id = c.id
            WHERE c.id = %s
            """,
            (customer_id,),
        )
        return await cursor.fetchall()


async def test_the_first_sign_in_registers_the_customer_under_his_object_id(
    portal: Portal, database: Database
) -> None:
    alice = client()

    response = await portal.call("register_customer", alice, body=PROFILE)

    assert (response.status_code, response.headers["ETag"]) == (201, '"1"')
    assert response.headers["Location"] == f"/api/v1/customers/{alice.id}"
    answer = told(response)
    assert answer.pop("registered_at") == answer.pop("updated_at")
    address = PROFILE["default_address"] | {"line2": None}
    assert answer == PROFILE | {
        "id": str(alice.id),
        "default_address": address,
        "segment": "standard",
        "status": "active",
        "version": 1,
    }
    assert await rows(database, alice.id) == [
        PROFILE
        | {"default_address": address, "segment": "standard", "status": "active", "version": 1}
    ]


async def test_who_is_registered_stays_as_he_is(portal: Portal, database: Database) -> None:
    alice = client()
    await portal.call("register_customer", alice, body=PROFILE)
    before = await rows(database, alice.id)

    response = await portal.call("register_customer", alice, body=PROFILE | {"name": "Alma"})

    assert (response.status_code, told(response)["name"]) == (200, "Alice Example")
    assert "Location" not in response.headers
    assert await rows(database, alice.id) == before


async def test_signing_in_twice_at_once_registers_once(portal: Portal, database: Database) -> None:
    alice = client()

    answers = await asyncio.gather(
        *(portal.call("register_customer", alice, body=PROFILE) for _ in range(6))
    )

    assert sorted(answer.status_code for answer in answers) == [200] * 5 + [201]
    assert len(await rows(database, alice.id)) == 1


async def test_little_is_enough_to_register(portal: Portal) -> None:
    response = await portal.call(
        "register_customer", client(), body={"name": " Bo ", "email": "bo@clients.example"}
    )

    answer = told(response)
    assert (response.status_code, answer["name"], answer["language"]) == (201, "Bo", "en")
    assert (answer["phone"], answer["default_address"]) == (None, None)


async def test_a_customer_reads_himself(portal: Portal) -> None:
    alice = client()
    registered = told(await portal.call("register_customer", alice, body=PROFILE))

    mine = await portal.call("get_own_customer", alice)
    by_id = await portal.call("get_customer", alice, customer_id=alice.id)

    assert (mine.status_code, mine.headers["ETag"], told(mine)) == (200, '"1"', registered)
    assert (by_id.status_code, told(by_id)) == (200, registered)


async def test_who_is_not_registered_finds_nothing(portal: Portal) -> None:
    response = await portal.call("get_own_customer", client())

    assert (response.status_code, told(response)["code"]) == (404, "not-found")


@pytest.mark.parametrize("name", ["get_customer", "update_customer"])
async def test_someone_elses_customer_looks_like_none(
    portal: Portal, database: Database, name: str
) -> None:
    alice, bruno = client(), client()
    await portal.call("register_customer", alice, body=PROFILE)
    before = await rows(database, alice.id)
    body = PROFILE | {"name": "Mine now"} if name == "update_customer" else None

    existing, missing = [
        await portal.call(name, bruno, customer_id=customer_id, body=body, if_match='"1"')
        for customer_id in (alice.id, uuid7())
    ]

    assert (existing.status_code, missing.status_code) == (404, 404)
    assert told(existing)["detail"] == told(missing)["detail"]
    assert await rows(database, alice.id) == before


@pytest.mark.parametrize(
    ("role", "email", "phone", "seen"),
    [
        ("customer-service", PROFILE["email"], PROFILE["phone"], ("email", "name", "phone")),
        ("order-manager", "a***@c***.example", "***56", ("email:masked", "name", "phone:masked")),
        ("admin", "a***@c***.example", "***56", ("email:masked", "name", "phone:masked")),
    ],
)
async def test_employees_read_any_customer_and_only_customer_service_how_to_reach_one(
    portal: Portal, role: str, email: str, phone: str, seen: tuple[str, ...]
) -> None:
    alice = client()
    await portal.call("register_customer", alice, body=PROFILE)

    response = await portal.call("get_customer", employee(role), customer_id=alice.id)

    shown = told(response)
    assert response.status_code == 200
    assert (shown["name"], shown["email"], shown["phone"]) == ("Alice Example", email, phone)
    assert shown["default_address"]["city"] == PROFILE["default_address"]["city"]
    assert portal.accesses.shown()[-1:] == [("get_customer", 1, ("default_address", *seen))]


@pytest.mark.parametrize("role", [None, CUSTOMER_SERVICE])
async def test_another_email_needs_a_sign_in_of_a_moment_ago(
    portal: Portal, database: Database, role: str | None
) -> None:
    alice = client()
    await portal.call("register_customer", alice, body=PROFILE)
    before = await rows(database, alice.id)
    who = (
        client(alice.id, signed_in_s_ago=400)
        if role is None
        else employee(role, signed_in_s_ago=400)
    )

    refused = await portal.call(
        "update_customer",
        who,
        customer_id=alice.id,
        body=PROFILE | {"email": "other@clients.example"},
        if_match='"1"',
    )
    same = await portal.call(
        "update_customer",
        who,
        customer_id=alice.id,
        body=PROFILE | {"name": "Alice Married"},
        if_match='"1"',
    )

    assert (refused.status_code, told(refused)["code"]) == (401, "recent-sign-in-required")
    assert refused.headers["WWW-Authenticate"] == (
        'Bearer error="insufficient_user_authentication", error_description="this needs a recent '
        'sign-in: sign in again, then repeat the request", max_age="300"'
    )
    assert (same.status_code, same.headers["ETag"]) == (200, '"2"')
    (after,) = await rows(database, alice.id)
    assert after == before[0] | {"name": "Alice Married", "version": 2}


async def test_a_customer_replaces_the_whole_profile(portal: Portal, database: Database) -> None:
    alice = client()
    await portal.call("register_customer", alice, body=PROFILE)

    response = await portal.call(
        "update_customer",
        alice,
        customer_id=alice.id,
        body={"name": "Alice Other", "email": "other@clients.example", "language": "fr"},
        if_match='"1"',
    )

    assert (response.status_code, response.headers["ETag"]) == (200, '"2"')
    assert told(response)["name"] == "Alice Other"
    assert await rows(database, alice.id) == [
        {
            "name": "Alice Other",
            "email": "other@clients.example",
            "phone": None,
            "default_address": None,
            "segment": "standard",
            "status": "active",
            "version": 2,
            "language": "fr",
        }
    ]


@pytest.mark.parametrize(
    ("if_match", "status", "code"),
    [
        (None, 428, "etag-required"),
        ('"2"', 412, "etag-mismatch"),
        ('"0"', 412, "etag-mismatch"),
        ('"999999999999999999"', 412, "etag-mismatch"),
        ("nonsense", 412, "etag-mismatch"),
    ],
)
async def test_a_change_names_the_version_it_was_made_against(
    portal: Portal, database: Database, if_match: str | None, status: int, code: str
) -> None:
    alice = client()
    await portal.call("register_customer", alice, body=PROFILE)
    before = await rows(database, alice.id)

    response = await portal.call(
        "update_customer",
        alice,
        customer_id=alice.id,
        body=PROFILE | {"name": "Alma"},
        if_match=if_match,
    )

    assert (response.status_code, told(response)["code"]) == (status, code)
    assert await rows(database, alice.id) == before


async def test_of_two_changes_of_one_version_one_wins(portal: Portal, database: Database) -> None:
    alice = client()
    await portal.call("register_customer", alice, body=PROFILE)

    answers = await asyncio.gather(
        *(
            portal.call(
                "update_customer",
                alice,
                customer_id=alice.id,
                body=PROFILE | {"name": f"Alice {number}"},
                if_match='"1"',
            )
            for number in range(5)
        )
    )

    assert sorted(answer.status_code for answer in answers) == [200] + [412] * 4
    (row,) = await rows(database, alice.id)
    winner = next(answer for answer in answers if answer.status_code == 200)
    assert (row["name"], row["version"]) == (told(winner)["name"], 2)


async def test_customer_service_sets_status_and_segment(
    portal: Portal, customers: CustomerService
) -> None:
    alice = client()
    await portal.call("register_customer", alice, body=PROFILE)

    response = await portal.call(
        "update_customer",
        employee("customer-service"),
        customer_id=alice.id,
        body=PROFILE | {"status": "inactive", "segment": "vip"},
        if_match='"1"',
    )

    assert response.status_code == 200
    assert (told(response)["status"], told(response)["segment"]) == ("inactive", "vip")
    assert await customers.standing(alice.id) == "inactive"
    kept = await portal.call(
        "update_customer", alice, customer_id=alice.id, body=PROFILE, if_match='"2"'
    )
    assert (told(kept)["status"], told(kept)["segment"]) == ("inactive", "vip")


@pytest.mark.parametrize("change", [{"status": "active"}, {"segment": "vip"}])
async def test_a_customer_sets_neither_status_nor_segment(
    portal: Portal, database: Database, change: dict[str, str]
) -> None:
    alice = client()
    await portal.call("register_customer", alice, body=PROFILE)
    before = await rows(database, alice.id)

    response = await portal.call(
        "update_customer", alice, customer_id=alice.id, body=PROFILE | change, if_match='"1"'
    )

    assert (response.status_code, told(response)["code"]) == (403, "forbidden")
    assert await rows(database, alice.id) == before


@pytest.mark.parametrize("role", ["order-manager", "admin"])
async def test_other_employees_change_no_profile(portal: Portal, role: str) -> None:
    alice = client()
    await portal.call("register_customer", alice, body=PROFILE)

    response = await portal.call(
        "update_customer", employee(role), customer_id=alice.id, body=PROFILE, if_match='"1"'
    )

    assert (response.status_code, told(response)["code"]) == (403, "forbidden")


async def test_an_employee_is_no_customer(portal: Portal) -> None:
    carla = employee("customer-service")

    for name, body in (("register_customer", PROFILE), ("get_own_customer", None)):
        response = await portal.call(name, carla, body=body)
        assert (response.status_code, told(response)["code"]) == (403, "forbidden")


async def test_an_erased_customer_is_gone_for_good(
    portal: Portal, customers: CustomerService, database: Database
) -> None:
    alice = client()
    await portal.call("register_customer", alice, body=PROFILE)
    async with database.transaction() as tx:
        await tx.execute(
            """
            UPDATE customers.customers
            SET status = 'erased', name = NULL, email = NULL, phone = NULL, default_address = NULL
            WHERE id = %s
            """,
            (alice.id,),
        )
    before = await rows(database, alice.id)

    again = await portal.call("register_customer", alice, body=PROFILE)
    read = await portal.call("get_customer", employee("admin"), customer_id=alice.id)
    changed = await portal.call(
        "update_customer", alice, customer_id=alice.id, body=PROFILE, if_match='"1"'
    )

    assert (again.status_code, told(again)["code"]) == (409, "customer-erased")
    assert (read.status_code, changed.status_code) == (404, 404)
    assert await rows(database, alice.id) == before
    assert await customers.standing(alice.id) == "inactive"
    assert await customers.contact(alice.id) is None
    async with database.reading() as tx:
        assert await (await customers.ask_contacts(tx, [alice.id]))() == {}


async def test_standing_tells_who_may_order(portal: Portal, customers: CustomerService) -> None:
    alice = client()
    await portal.call("register_customer", alice, body=PROFILE)

    assert await customers.standing(alice.id) == "active"
    assert await customers.standing(uuid7()) == "unknown"


async def test_who_writes_to_a_customer_learns_where_and_in_which_language(
    portal: Portal, customers: CustomerService, database: Database
) -> None:
    alice = client()
    assert await customers.contact(alice.id) is None

    await portal.call("register_customer", alice, body=PROFILE)

    contact = Contact(
        name="Alice Example", email="alice@clients.example", phone="+4930123456", language="de"
    )
    assert await customers.contact(alice.id) == contact
    async with database.reading() as tx:
        told = await (await customers.ask_contacts(tx, [uuid7(), alice.id]))()
    assert told == {alice.id: contact}


async def test_a_refused_profile_is_not_kept_and_not_repeated(
    portal: Portal, database: Database
) -> None:
    alice = client()

    response = await portal.call(
        "register_customer", alice, body=PROFILE | {"email": "secret-not-a-mailbox", "vip": True}
    )

    answer = told(response)
    assert (response.status_code, answer["code"]) == (400, "invalid-request")
    assert {error["field"] for error in answer["errors"]} == {"email", "vip"}
    assert b"secret-not-a-mailbox" not in response.get_body()
    assert await rows(database, alice.id) == []
