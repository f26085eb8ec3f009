"""Payments over HTTP, through the functions that the host calls."""

import json
from typing import Any
from uuid import UUID, uuid4

import azure.functions as func
import pytest

from blueprints.payments import routes
from shared.auth import ADMIN, CUSTOMER_SERVICE, EMPLOYEE_SCOPE, ORDER_MANAGER, Caller
from shared.http import Api
from tests.integration.payments.conftest import Order, Till

type Answer = tuple[int, dict[str, Any], Any]

SCOPES = frozenset({"payments.readwrite"})
ALICE, BRUNO = Caller("client", uuid4(), scopes=SCOPES), Caller("client", uuid4(), scopes=SCOPES)


def employee(role: str) -> Caller:
    return Caller("employee", uuid4(), frozenset({role}), frozenset({EMPLOYEE_SCOPE}))


CARLA, OSCAR, ADA = employee(CUSTOMER_SERVICE), employee(ORDER_MANAGER), employee(ADMIN)
PEOPLE = {str(caller.id): caller for caller in (ALICE, BRUNO, CARLA, OSCAR, ADA)}


class Doorman:
    """Knows people by name instead of by token."""

    async def authenticate(self, authorization: str) -> Caller:
        return PEOPLE[authorization]


class Http:
    """Calls functions by name."""

    def __init__(self, till: Till) -> None:
        app = func.FunctionApp()
        doorman: Any = Doorman()
        app.register_functions(
            routes.blueprint(Api(doorman), till.payments, till.answering, till.refunding)
        )
        self._functions = {
            f.get_function_name(): f.get_user_function() for f in app.get_functions()
        }

    async def __call__(self, name: str, caller: Caller, **how: Any) -> Answer:
        headers = {"authorization": str(caller.id), "idempotency-key": str(uuid4())}
        body = how.get("body")
        response = await self._functions[name](
            func.HttpRequest(
                "GET",
                "https://platform.test/",
                headers=headers | ({"content-type": "application/json"} if body else {}),
                params=how.get("params", {}),
                route_params={k: str(v) for k, v in how.get("path", {}).items()},
                body=json.dumps(body).encode() if body else b"",
            )
        )
        return response.status_code, dict(response.headers), json.loads(response.get_body())


@pytest.fixture(scope="module")
def http(till: Till) -> Http:
    return Http(till)


async def captured(till: Till, http: Http, customer: Caller = ALICE) -> tuple[Order, UUID]:
    order = till.book.placed()
    order.customer_id = customer.id
    await till.authorising.authorise(order.id)
    await till.capturing.capture(order.id)
    _, _, page = await http("list_payments", customer, params={"order_id": str(order.id)})
    return order, UUID(page["items"][0]["id"])


async def test_clients_see_their_own_payments_and_employees_all(till: Till, http: Http) -> None:
    order, payment_id = await captured(till, http)
    path = {"payment_id": payment_id}

    status, headers, payment = await http("get_payment", ALICE, path=path)

    assert (status, headers["ETag"]) == (200, f'"{payment["version"]}"')
    assert (payment["order_id"], payment["status"]) == (str(order.id), "captured")
    assert "payment_method" not in payment
    assert (await http("get_payment", BRUNO, path=path))[0] == 404
    assert (await http("get_payment", CARLA, path=path))[2] == payment
    mine = await http("list_payments", BRUNO, params={"order_id": str(order.id)})
    assert mine[2] == {"items": [], "next_cursor": None}


async def test_payments_are_listed_newest_first_page_by_page(till: Till, http: Http) -> None:
    customer = ALICE
    ids = [str((await captured(till, http, customer))[1]) for _ in range(3)]

    first = (await http("list_payments", customer, params={"limit": "2"}))[2]
    cursor = first["next_cursor"]
    second = (await http("list_payments", customer, params={"limit": "2", "cursor": cursor}))[2]

    assert [p["id"] for p in first["items"]] == [ids[2], ids[1]]
    assert second["items"][0]["id"] == ids[0]
    assert (await http("list_payments", customer, params={"cursor": "x"}))[2]["code"] == (
        "invalid-cursor"
    )
    none = await http("list_payments", customer, params={"status": "voided"})
    assert none[2]["items"] == []


@pytest.mark.parametrize("caller", [ALICE, CARLA], ids=["client", "customer service"])
async def test_only_managers_and_admins_refund(caller: Caller, till: Till, http: Http) -> None:
    _, payment_id = await captured(till, http)
    how = {"path": {"payment_id": payment_id}, "body": {"amount": 100, "reason": "broken"}}

    assert (await http("refund_payment_request", caller, **how))[0] == 403
    assert (await http("refund_payment_request", OSCAR, **how))[0] == 201
    assert (await http("refund_payment_request", ADA, **how))[2]["status"] == "succeeded"


@pytest.mark.parametrize(
    "body",
    [
        {"amount": 0, "reason": "broken"},
        {"amount": "1", "reason": "broken"},
        {"amount": 1},
        {"amount": 1, "reason": "broken", "currency": "USD"},
    ],
)
async def test_a_bad_refund_is_refused_and_moves_nothing(
    body: dict[str, Any], till: Till, http: Http
) -> None:
    order, payment_id = await captured(till, http)

    answer = await http("refund_payment_request", OSCAR, path={"payment_id": payment_id}, body=body)

    assert (answer[0], answer[2]["code"]) == (400, "invalid-request")
    assert (await till.row(order))["refunded_amount"] == 0


async def test_too_large_a_refund_says_what_is_left(till: Till, http: Http) -> None:
    _, payment_id = await captured(till, http)

    status, _, problem = await http(
        "refund_payment_request",
        OSCAR,
        path={"payment_id": payment_id},
        body={"amount": 9_999, "reason": "broken"},
    )

    assert (status, problem["code"], problem["refundable"]) == (
        409,
        "refund-exceeds-captured",
        2_500,
    )


async def test_the_customer_confirms_over_http(till: Till, http: Http) -> None:
    order = till.book.placed("tok_confirmation_required")
    order.customer_id = ALICE.id
    await till.authorising.authorise(order.id)
    body = {"order_id": str(order.id), "code": "123456"}

    assert (await http("answer_confirmation", CARLA, body=body))[0] == 403
    assert (await http("answer_confirmation", BRUNO, body=body))[0] == 404
    status, _, payment = await http("answer_confirmation", ALICE, body=body)

    assert (status, payment["status"]) == (200, "authorized")
    again = await http("answer_confirmation", ALICE, body=body)
    assert (again[0], again[2]["code"]) == (409, "confirmation-not-pending")
