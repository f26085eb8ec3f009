"""Orders over HTTP, through the functions that the host calls."""

import json
from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

import azure.functions as func
import pytest

from blueprints.orders import routes
from blueprints.orders.delivery import Delivery
from blueprints.orders.delivery_models import CarrierRate
from shared.auth import ADMIN, CUSTOMER_SERVICE, EMPLOYEE_SCOPE, ORDER_MANAGER, Caller
from shared.http import Api
from shared.problem import TokenMissing
from tests.integration.orders.conftest import TEA, Shop
from tests.rig.accesses import Accesses

type Answer = tuple[int, dict[str, Any], Any]
type Function = Callable[[func.HttpRequest], Any]

ALICE = Caller("client", uuid4(), scopes=frozenset({"orders.readwrite"}))
BRUNO = Caller("client", uuid4(), scopes=frozenset({"orders.readwrite"}))
READER = Caller("client", uuid4(), scopes=frozenset({"products.read"}))


def employee(role: str) -> Caller:
    return Caller("employee", uuid4(), frozenset({role}), frozenset({EMPLOYEE_SCOPE}))


CARLA, OSCAR, ADA = employee(CUSTOMER_SERVICE), employee(ORDER_MANAGER), employee(ADMIN)
PEOPLE = {str(caller.id): caller for caller in (ALICE, BRUNO, READER, CARLA, OSCAR, ADA)}


class Doorman:
    """Knows people by name instead of by token."""

    async def authenticate(self, authorization: str | None) -> Caller:
        if authorization is None:
            raise TokenMissing("no token")
        return PEOPLE[authorization]


class Carrier:
    """Delivers in two days, and says that everything is on its way."""

    async def rates(self, country: str, postal_code: str, weight_g: int) -> list[CarrierRate]:
        del country, postal_code, weight_g
        return [CarrierRate("standard", 700, "EUR", 2)]

    async def status(self, provider_id: str) -> str | None:
        del provider_id
        return "in_transit"


@pytest.fixture(scope="module")
def functions(shop: Shop) -> dict[str, Function]:
    app = func.FunctionApp()
    doorman: Any = Doorman()
    app.register_functions(
        routes.blueprint(
            Api(doorman, access_log=Accesses()),
            shop.placing,
            shop.orders,
            shop.cancelling,
            shop.timeline,
            delivery=Delivery(shop.database, shop.catalogue, Carrier(), currency="EUR"),
        )
    )
    return {str(f.get_function_name()): f.get_user_function() for f in app.get_functions()}


class Http:
    """Calls functions by name."""

    def __init__(self, functions: dict[str, Function]) -> None:
        self._functions = functions

    async def __call__(
        self, name: str, caller: Caller | None, *, body: Any = None, **how: Any
    ) -> Answer:
        headers = {} if caller is None else {"authorization": str(caller.id)}
        content = b""
        if body is not None:
            headers["content-type"] = "application/json"
            content = body if isinstance(body, bytes) else json.dumps(body).encode()
        response = await self._functions[name](
            func.HttpRequest(
                how.get("method", "GET"),
                "https://platform.test/",
                headers=headers | how.get("headers", {}),
                params=how.get("params", {}),
                route_params={k: str(v) for k, v in how.get("path", {}).items()},
                body=content,
            )
        )
        return response.status_code, dict(response.headers), json.loads(response.get_body())

    async def place(self, caller: Caller = ALICE, **changes: Any) -> Answer:
        body = {
            "lines": [{"product_id": str(TEA.product_id), "quantity": 1}],
            "shipping_address": {
                "name": "Alice Example",
                "line1": "Lindenallee 5",
                "city": "Berlin",
                "postal_code": "10115",
                "country": "DE",
            },
            "shipping_service": "standard",
            "payment_method": "tok_success",
        }
        headers = {"idempotency-key": str(uuid4())}
        return await self("place_order", caller, body=body | changes, headers=headers)


@pytest.fixture(scope="module")
def http(functions: dict[str, Function]) -> Http:
    return Http(functions)


async def test_a_placed_order_is_answered_with_where_and_which_version(http: Http) -> None:
    status, headers, order = await http.place()

    assert (status, headers["ETag"]) == (201, '"1"')
    assert headers["Location"] == f"/api/v1/orders/{order['id']}"
    assert (order["status"], order["gross_total"]) == ("placed", 1_299 + 91 + 490 + 34)
    assert "payment_method" not in order
    got = await http("get_order", ALICE, path={"order_id": order["id"]})
    assert (got[0], got[1]["ETag"], got[2]) == (200, '"1"', order)


BAD: dict[str, tuple[Any, str]] = {
    "a quantity of 0": ({"lines": [{"product_id": str(TEA.product_id), "quantity": 0}]}, "lines"),
    "a quantity of a billion": (
        {"lines": [{"product_id": str(TEA.product_id), "quantity": 10**9}]},
        "lines",
    ),
    "a quantity as text": (
        {"lines": [{"product_id": str(TEA.product_id), "quantity": "3"}]},
        "lines",
    ),
    "no lines": ({"lines": []}, "lines"),
    "101 lines": ({"lines": [{"product_id": str(uuid4()), "quantity": 1}] * 101}, "lines"),
    "an unknown field": ({"discount": 5}, "discount"),
    "an unknown service": ({"shipping_service": "drone"}, "shipping_service"),
    "half an address": ({"shipping_address": {"city": "Berlin"}}, "shipping_address"),
    "a country by name": (
        {"shipping_address": {"country": "Germany"}},
        "shipping_address.country",
    ),
    "no token": ({"payment_method": "cash"}, "payment_method"),
}


@pytest.mark.parametrize("what", BAD)
async def test_a_bad_order_names_its_field_and_changes_nothing(
    what: str, http: Http, shop: Shop
) -> None:
    changes, field = BAD[what]
    before = await shop.rows()

    status, _, problem = await http.place(**changes)

    assert (status, problem["code"]) == (400, "invalid-request")
    assert any(error["field"].startswith(field) for error in problem["errors"]), problem
    assert await shop.rows() == before


async def test_a_card_number_is_refused_and_never_repeated(http: Http) -> None:
    status, _, problem = await http.place(payment_method="4111111111111111")

    assert (status, problem["code"]) == (400, "card-number-refused")
    assert "4111" not in json.dumps(problem)


@pytest.mark.parametrize("caller", [READER, OSCAR, ADA], ids=["no scope", "manager", "admin"])
async def test_only_clients_and_customer_service_place_orders(caller: Caller, http: Http) -> None:
    assert (await http.place(caller))[0] == 403


async def test_someone_elses_order_is_not_there(http: Http) -> None:
    _, _, order = await http.place()
    path = {"order_id": order["id"]}

    for name, how in (
        ("get_order", {}),
        ("get_order_timeline", {}),
        ("cancel_order_request", {"params": {"reason": "changed_mind"}}),
    ):
        status, _, problem = await http(name, BRUNO, path=path, **how)
        assert (status, problem["code"]) == (404, "not-found")


async def test_an_order_is_moved_by_those_who_may_against_the_version_they_read(
    http: Http, shop: Shop
) -> None:
    _, _, order = await http.place()
    await shop.fulfilment.confirm(order["id"])
    how: dict[str, Any] = {"path": {"order_id": order["id"]}, "body": {"status": "shipped"}}

    async def moved(caller: Caller, **headers: str) -> tuple[int, str]:
        status, _, answer = await http("move_order", caller, headers=headers, **how)
        return status, answer.get("code", answer.get("status"))

    assert await moved(ALICE, **{"if-match": '"2"'}) == (403, "forbidden")
    assert await moved(CARLA, **{"if-match": '"2"'}) == (403, "forbidden")
    assert await moved(OSCAR) == (428, "etag-required")
    assert await moved(OSCAR, **{"if-match": '"1"'}) == (412, "etag-mismatch")
    assert await moved(OSCAR, **{"if-match": '"2"'}) == (200, "shipped")
    assert await moved(ADA, **{"if-match": '"3"'}) == (409, "illegal-status-move")


async def test_a_cancellation_is_accepted_with_where_to_look(http: Http) -> None:
    _, _, order = await http.place()
    how: dict[str, Any] = {"path": {"order_id": order["id"]}}

    accepted = await http(
        "cancel_order_request", ALICE, params={"reason": "delivery_too_slow"}, **how
    )

    assert (accepted[0], accepted[1]["ETag"]) == (202, '"2"')
    assert accepted[1]["Location"] == f"/api/v1/orders/{order['id']}"
    assert (accepted[2]["status"], accepted[2]["cancel_cause"]) == (
        "cancelling",
        "delivery_too_slow",
    )


@pytest.mark.parametrize(
    ("caller", "params"),
    [
        (ALICE, {}),
        (CARLA, {"reason": ""}),
        (CARLA, {"reason": "Alice Example phoned"}),
        (ALICE, {"reason": "fraud_suspected"}),
    ],
    ids=["no reason", "an empty one", "words", "an employee's from a client"],
)
async def test_only_a_known_cause_cancels_an_order(
    caller: Caller, params: dict[str, str], http: Http, shop: Shop
) -> None:
    _, _, order = await http.place()
    before = await shop.rows()

    status, _, problem = await http(
        "cancel_order_request", caller, path={"order_id": order["id"]}, params=params
    )

    assert (status, problem["code"]) == (400, "invalid-request")
    assert [error["field"] for error in problem["errors"]] == ["reason"]
    assert "Alice" not in json.dumps(problem)
    assert await shop.rows() == before


async def cancellation(http: Http, order_id: str, key: str, reason: str) -> Answer:
    return await http(
        "request_cancellation",
        ALICE,
        path={"order_id": order_id},
        body={"reason": reason},
        headers={"idempotency-key": key},
        method="POST",
    )


async def test_a_cancellation_of_version_two_is_accepted_once_per_key(
    http: Http, shop: Shop
) -> None:
    order = (await http.place())[2]
    key = str(uuid4())

    status, headers, body = await cancellation(http, order["id"], key, "changed_mind")

    assert (status, headers["ETag"]) == (202, '"2"')
    assert headers["Location"] == f"/api/v1/orders/{order['id']}"
    assert (body["status"], body["cancel_cause"]) == ("cancelling", "changed_mind")
    again = await cancellation(http, order["id"], key, "changed_mind")
    assert (again[0], again[2]) == (202, body)
    other = await cancellation(http, order["id"], key, "other")
    assert (other[0], other[2]["code"]) == (422, "idempotency-key-reused")
    seen = await shop.orders.get(ALICE, UUID(order["id"]))
    assert (seen.version, seen.cancel_cause) == (2, "changed_mind")


async def test_a_cancellation_of_version_two_that_is_refused_leaves_its_key_free(
    http: Http,
) -> None:
    theirs = (await http.place(BRUNO))[2]
    key = str(uuid4())

    refused = await cancellation(http, theirs["id"], key, "changed_mind")
    assert (refused[0], refused[2]["code"]) == (404, "not-found")
    assert (await http("get_order", BRUNO, path={"order_id": theirs["id"]}))[2] == theirs

    mine = (await http.place())[2]
    assert (await cancellation(http, mine["id"], key, "changed_mind"))[0] == 202
    no_key = await cancellation(http, mine["id"], "", "changed_mind")
    assert (no_key[0], no_key[2]["code"]) == (400, "idempotency-key-required")


async def test_lists_are_pages_and_filters_are_checked(http: Http) -> None:
    _, _, order = await http.place()

    status, _, page = await http("list_orders", ALICE, params={"limit": "1"})
    assert (status, [o["id"] for o in page["items"]]) == (200, [order["id"]])
    assert page["next_cursor"] is not None
    path = {"customer_id": str(ALICE.id)}
    assert (await http("list_customer_orders", CARLA, path=path))[2]["items"][0] == page["items"][0]
    assert (await http("list_customer_orders", BRUNO, path=path))[0] == 404
    for bad in ({"limit": "0"}, {"status": "lost"}, {"placed_from": "yesterday"}, {"page": "2"}):
        assert (await http("list_orders", CARLA, params=bad))[0] == 400
    assert (await http("list_orders", None))[0] == 401


async def test_the_timeline_is_a_list_of_what_happened(http: Http) -> None:
    _, _, order = await http.place()

    _, _, timeline = await http("get_order_timeline", ALICE, path={"order_id": order["id"]})

    assert [(e["area"], e["what"], e["by"]) for e in timeline["items"]] == [
        ("order", "placed", "client")
    ]


RATES = {
    "lines": [{"product_id": str(TEA.product_id), "quantity": 2}],
    "country": "DE",
    "postal_code": "10115",
}


async def test_shipping_rates_are_quoted_without_a_key(http: Http) -> None:
    status, _, answer = await http("quote_shipping_rates", ALICE, body=RATES)
    assert (status, [rate["service"] for rate in answer["items"]]) == (200, ["standard"])

    assert (await http("quote_shipping_rates", READER, body=RATES))[0] == 403
    wrong = RATES | {"country": "Germany", "lines": []}
    status, _, answer = await http("quote_shipping_rates", ALICE, body=wrong)
    assert status == 400
    assert sorted(error["field"] for error in answer["errors"]) == ["country", "lines"]


async def test_a_parcel_is_shown_to_whose_it_is_and_to_employees(http: Http) -> None:
    _, _, order = await http.place()
    path = {"order_id": order["id"]}

    status, _, mine = await http("get_order_tracking", ALICE, path=path)
    assert (status, mine["status"], mine["tracking_number"]) == (200, "none", None)
    assert (await http("get_order_tracking", BRUNO, path=path))[0] == 404
    assert (await http("get_order_tracking", OSCAR, path=path))[2] == mine
