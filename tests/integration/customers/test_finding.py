"""Listing and finding customers, through the HTTP functions and a real PostgreSQL."""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast
from uuid import UUID

import azure.functions as func
import pytest
from uuid_utils.compat import uuid7

from blueprints.customers import finding as counting
from blueprints.customers import routes
from blueprints.customers.finding import Finding
from shared.auth import Caller
from shared.db import Database
from shared.http import Api, encode_cursor
from shared.replica import ReadSide
from tests.rig.accesses import Accesses

CLIENT = Caller("client", UUID(int=1), scopes=frozenset({"customers.readwrite"}))


def employee(role: str) -> Caller:
    return Caller(
        "employee", UUID(int=2), roles=frozenset({role}), scopes=frozenset({"employee.access"})
    )


CARLA = employee("customer-service")


@dataclass
class Door:
    """Lets in whoever stands before it."""

    caller: Caller = CARLA

    async def authenticate(self, authorization: str | None) -> Caller:  # noqa: ARG002
        return self.caller


class Desk:
    """The functions with which employees look for customers."""

    def __init__(self, database: Database) -> None:
        self.database, self._door = database, Door()
        self.accesses = Accesses()
        app = func.FunctionApp()
        finding = Finding(ReadSide(database))
        app.register_functions(
            routes.blueprint(Api(self._door, access_log=self.accesses), cast("Any", None), finding),
        )
        self._functions: dict[str, Any] = {
            str(f.get_function_name()): f.get_user_function() for f in app.get_functions()
        }

    async def ask(
        self,
        name: str,
        params: Mapping[str, str] | None = None,
        *,
        body: Mapping[str, Any] | None = None,
        caller: Caller = CARLA,
    ) -> tuple[int, Any]:
        self._door.caller = caller
        response = await self._functions[name](
            func.HttpRequest(
                "GET" if body is None else "POST",
                "https://platform.test/",
                headers={"content-type": "application/json"},
                params=params or {},
                body=b"" if body is None else json.dumps(body).encode(),
            )
        )
        return response.status_code, json.loads(response.get_body())

    async def names(self, name: str, params: Mapping[str, str] | None = None, **how: Any) -> Any:
        status, answer = await self.ask(name, params, **how)
        assert status == 200, answer
        return [customer["name"] for customer in answer["items"]]

    async def customer(self, name: str | None, **facts: object) -> UUID:
        """A customer who registered later than all before; without a name, an erased one."""
        customer_id = uuid7()
        row = {
            "id": customer_id,
            "name": name,
            "email": None if name is None else f"{name.split()[0].lower()}@clients.example",
            "phone": None,
            "segment": "standard",
            "status": "active" if name is not None else "erased",
        } | facts
        async with self.database.transaction() as tx:
            await tx.execute(
                """
                INSERT INTO customers.customers (
                    id, name, email, phone, segment, status, registered_at
                )
                VALUES (
                    %(id)s, %(name)s, %(email)s, %(phone)s, %(segment)s, %(status)s,
                    clock_timestamp()
                )
                """,
                row,
            )
        return customer_id


@pytest.fixture
async def desk(database: Database) -> Desk:
    """Over no customers."""
    async with database.transaction() as tx:
        await tx.execute("TRUNCATE customers.customers CASCADE")
    return Desk(database)


@pytest.fixture
async def people(desk: Desk) -> None:
    await desk.customer("Anna Schmidt", phone="+4930111111")
    await desk.customer("Bernd Schmitt", segment="vip", phone="+4930222222")
    await desk.customer("Chloé Martin", segment="business", email="Chloe_M@firm.example")
    await desk.customer("Dora Keller", status="inactive", phone="+33140000000")
    await desk.customer(None)


@pytest.mark.parametrize(
    ("params", "names"),
    [
        ({}, ["Dora Keller", "Chloé Martin", "Bernd Schmitt", "Anna Schmidt"]),
        ({"status": "active"}, ["Chloé Martin", "Bernd Schmitt", "Anna Schmidt"]),
        ({"status": "inactive"}, ["Dora Keller"]),
        ({"segment": "vip"}, ["Bernd Schmitt"]),
        ({"segment": "vip", "status": "inactive"}, []),
    ],
)
async def test_customers_are_listed_by_segment_and_status(
    desk: Desk, people: None, params: dict[str, str], names: list[str]
) -> None:
    del people
    assert await desk.names("list_customers", params) == names


async def test_pages_of_the_list_visit_everybody_once(desk: Desk) -> None:
    made = [str(await desk.customer(f"Customer {number}")) for number in range(5)]

    seen: list[str] = []
    sizes: list[int] = []
    params = {"limit": "2"}
    while True:
        _, page = await desk.ask("list_customers", params)
        seen += [customer["id"] for customer in page["items"]]
        sizes.append(len(page["items"]))
        if page["next_cursor"] is None:
            break
        params["cursor"] = page["next_cursor"]

    assert (seen, sizes) == (made[::-1], [2, 2, 1])


@pytest.mark.usefixtures("people")
async def test_whom_an_employee_is_shown_is_recorded(desk: Desk) -> None:
    names = await desk.names("list_customers", {"limit": "2"})
    assert await desk.names("search_customers", body={"name": "nobody at all"}) == []

    assert (len(names), desk.accesses.shown()[-1:]) == (
        2,
        [("list_customers", 2, ("email", "name", "phone"))],
    )


async def test_a_summary_says_how_to_tell_people_apart(desk: Desk, people: None) -> None:
    del people
    _, page = await desk.ask("list_customers", {"segment": "vip"})

    (bernd,) = page["items"]
    assert {name: bernd[name] for name in ("name", "email", "phone", "segment", "status")} == {
        "name": "Bernd Schmitt",
        "email": "bernd@clients.example",
        "phone": "+4930222222",
        "segment": "vip",
        "status": "active",
    }
    assert set(bernd) == {"id", "name", "email", "phone", "segment", "status", "registered_at"}


@pytest.mark.parametrize(
    ("body", "names"),
    [
        ({"name": "Keller"}, ["Dora Keller"]),
        ({"name": "keler"}, ["Dora Keller"]),
        ({"name": "Chloe Martin"}, ["Chloé Martin"]),
        ({"name": "Schmidt"}, ["Anna Schmidt", "Bernd Schmitt"]),
        ({"email": "ANNA@clients.example"}, ["Anna Schmidt"]),
        ({"email": "chloe_m@"}, ["Chloé Martin"]),
        ({"email": "chloe%"}, []),
        ({"email": "_____"}, []),
        ({"phone": "+33140000000"}, ["Dora Keller"]),
        ({"phone": "+4930"}, ["Bernd Schmitt", "Anna Schmidt"]),
        ({"phone": "+4930", "name": "Anna"}, ["Anna Schmidt"]),
        ({"phone": "+33140000000", "name": "Anna"}, []),
        ({"name": "Zacharias"}, []),
    ],
)
async def test_customers_are_found_by_what_they_say_of_themselves(
    desk: Desk, people: None, body: dict[str, str], names: list[str]
) -> None:
    del people
    assert await desk.names("search_customers", body=body) == names


@pytest.mark.parametrize("role", ["order-manager", "admin"])
async def test_who_sees_a_mask_cannot_find_out_letter_by_letter_what_it_hides(
    desk: Desk, people: None, role: str
) -> None:
    del people
    found = [
        await desk.names("search_customers", body=body, caller=employee(role))
        for body in (
            {"email": "anna@clients.exampl"},
            {"phone": "+3314000000"},
            {"email": "ANNA@clients.example"},
            {"phone": "+33140000000"},
        )
    ]

    assert found == [[], [], ["Anna Schmidt"], ["Dora Keller"]]


async def test_pages_of_a_search_visit_every_match_once_and_hold_no_personal_data(
    desk: Desk,
) -> None:
    made = {str(await desk.customer(f"Keller {number}")) for number in range(3)}
    made |= {str(await desk.customer(f"Kellner {number}")) for number in range(3)}

    seen: list[str] = []
    body: dict[str, Any] = {"name": "keller", "limit": 2}
    while True:
        _, page = await desk.ask("search_customers", body=body)
        seen += [customer["id"] for customer in page["items"]]
        if page["next_cursor"] is None:
            break
        assert page["next_cursor"] == encode_cursor(
            likeness=_held(page["next_cursor"])["likeness"], id=page["items"][-1]["id"]
        )
        body["cursor"] = page["next_cursor"]

    assert (len(seen), set(seen)) == (6, made)


def _held(cursor: str) -> Any:

    return json.loads(base64.urlsafe_b64decode(cursor + "=="))


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, ""),
        ({"limit": 5}, ""),
        ({"name": "ab"}, "name"),
        ({"email": "a@"}, "email"),
        ({"phone": "030 111111"}, "phone"),
        ({"phone": "+49"}, "phone"),
        ({"name": "Anna", "street": "x"}, "street"),
        ({"name": "Anna", "limit": 101}, "limit"),
    ],
)
async def test_a_search_that_asks_nothing_is_refused(
    desk: Desk, body: dict[str, Any], field: str
) -> None:
    status, answer = await desk.ask("search_customers", body=body)

    assert (status, answer["code"]) == (400, "invalid-request")
    assert [error["field"] for error in answer["errors"]] == [field]


@pytest.mark.parametrize("likeness", ["x", "-1", "1000001"])
async def test_a_cursor_that_no_search_gave_out_is_refused(desk: Desk, likeness: str) -> None:
    cursor = encode_cursor(likeness=likeness, id=uuid7())

    status, answer = await desk.ask("search_customers", body={"name": "Anna", "cursor": cursor})

    assert (status, answer["code"]) == (400, "invalid-cursor")


@pytest.mark.parametrize("at", ["x", "2026-11-24T03:00:00"])
async def test_a_cursor_that_no_list_gave_out_is_refused(desk: Desk, at: str) -> None:
    status, answer = await desk.ask("list_customers", {"cursor": encode_cursor(at=at, id=uuid7())})

    assert (status, answer["code"]) == (400, "invalid-cursor")


async def test_segments_tell_their_meaning_and_size(
    desk: Desk, people: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    del people
    monkeypatch.setattr(counting, "COUNTED", 1)

    _, page = await desk.ask("list_customer_segments")

    assert [(s["code"], s["customers"], s["more"]) for s in page["items"]] == [
        ("standard", 1, True),
        ("business", 1, False),
        ("vip", 1, False),
    ]
    assert page["items"][2]["meaning"] == "is served first"


@pytest.mark.parametrize("name", ["list_customers", "search_customers", "list_customer_segments"])
@pytest.mark.parametrize(
    ("caller", "status"),
    [
        (CLIENT, 403),
        (employee("intern"), 403),
        (CARLA, 200),
        (employee("order-manager"), 200),
        (employee("admin"), 200),
    ],
)
async def test_only_employees_look_for_customers(
    desk: Desk, name: str, caller: Caller, status: int
) -> None:
    body = {"name": "Anna"} if name == "search_customers" else None

    assert (await desk.ask(name, body=body, caller=caller))[0] == status
