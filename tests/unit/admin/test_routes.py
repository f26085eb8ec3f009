"""Health endpoints and unmatched paths, through the functions that the host calls."""

import json
from collections.abc import Callable
from typing import Any

import azure.functions as func
import pytest

from blueprints.admin import routes
from blueprints.admin.gateway import listens
from blueprints.admin.models import Readiness
from shared.auth import ANYONE, Caller
from shared.http import Api, Call
from shared.http.openapi_security import SignIn


class Nobody:
    async def authenticate(self, authorization: str | None) -> Caller:
        raise AssertionError(authorization)


class Health:
    def __init__(self, readiness: Readiness) -> None:
        self._readiness = readiness

    async def readiness(self) -> Readiness:
        return self._readiness


UP = Readiness(status="ready", dependencies={"database": "up", "broker": "down"})
DOWN = Readiness(status="unready", dependencies={"database": "down", "broker": "up"})

SIGN_IN = SignIn.of_issuers("https://id.test/c/v2.0", "https://id.test/e/v2.0")

type Function = Callable[[func.HttpRequest], Any]


def functions(readiness: Readiness = UP) -> dict[str, Function]:
    """The functions of an app with this slice and two order routes, by name."""
    api = Api(Nobody())
    health: Any = Health(readiness)
    orders = func.Blueprint()

    @orders.route(route="v1/orders/{order_id:guid}", methods=["GET"])
    @api.operation(access=ANYONE)
    async def get_order(_call: Call[None, None]) -> None: ...

    @orders.route(route="v1/orders/{order_id:guid}/", methods=["DELETE"])
    @api.operation(access=ANYONE)
    async def cancel_order(_call: Call[None, None]) -> None: ...

    @orders.route(route="v1/orders/search", methods=["POST"])
    @api.operation(access=ANYONE)
    async def search_orders(_call: Call[None, None]) -> None: ...

    app = func.FunctionApp()
    app.register_functions(orders)
    app.register_functions(routes.blueprint(api, health, SIGN_IN))
    api.serves(app)
    assert [route.name for route in api.routes()] == [
        "cancel_order",
        "get_api_docs",
        "get_named_api_docs",
        "get_order",
        "health_live",
        "health_ready",
        "search_orders",
    ]
    return {str(f.get_function_name()): f.get_user_function() for f in app.get_functions()}


def get(path: str = "", method: str = "GET", **parameters: str) -> func.HttpRequest:
    return func.HttpRequest(
        method,
        f"https://platform.test/api/{path}",
        route_params={"path": path, **parameters},
        body=b"",
    )


async def test_a_process_that_answers_is_live() -> None:
    response = await functions()["health_live"](get("health/live"))
    assert (response.status_code, response.get_body()) == (200, b'{"status":"live"}')


@pytest.mark.parametrize(("readiness", "status"), [(UP, 200), (DOWN, 503)])
async def test_readiness_is_the_status_and_each_dependency_a_word(
    readiness: Readiness, status: int
) -> None:
    response = await functions(readiness)["health_ready"](get("health/ready"))
    assert response.status_code == status
    assert json.loads(response.get_body()) == readiness.model_dump()


ORDER = "v1/orders/0195a0a0-0000-7000-8000-000000000001"


@pytest.mark.parametrize(
    "path", ["", "nothing", "v1/orders", "v1/orders/7", f"{ORDER}/lines", "V1/ORDERS/search/x"]
)
async def test_a_path_that_does_not_exist_is_not_found(path: str) -> None:
    response = await functions()["zz_unmatched_path"](get(path))
    document = json.loads(response.get_body())
    assert (response.status_code, document["code"]) == (404, "not-found")
    assert response.mimetype == "application/problem+json"


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("PUT", ORDER, "DELETE, GET"),
        ("POST", ORDER.upper(), "DELETE, GET"),
        ("GET", "v1/orders/search", "POST"),
        ("POST", "health/live/", "GET"),
    ],
)
async def test_a_path_with_other_methods_names_them(method: str, path: str, allow: str) -> None:
    response = await functions()["zz_unmatched_path"](get(path, method))
    document = json.loads(response.get_body())
    assert (response.status_code, document["code"]) == (405, "method-not-allowed")
    assert response.headers["Allow"] == allow


async def test_the_documents_are_of_everything_served_or_of_one_part() -> None:
    served = functions()

    whole = json.loads((await served["get_api_docs"](get())).get_body())
    part = json.loads((await served["get_named_api_docs"](get(name="Orders"))).get_body())

    assert whole["openapi"] == "3.0.3"
    assert [*whole["paths"]] == [
        *("/v3/api-docs", "/v3/api-docs/{name}", "/health/live", "/health/ready"),
        *("/v1/orders/search", "/v1/orders/{order_id}"),
    ]
    assert [*part["paths"]] == ["/v1/orders/search", "/v1/orders/{order_id}"]
    assert {tag["name"] for tag in part["tags"]} == {"orders"}
    flow = whole["components"]["securitySchemes"]["clients"]["flows"]["authorizationCode"]
    assert flow["authorizationUrl"] == "https://id.test/c/oauth2/v2.0/authorize"


async def test_the_gateways_documents_are_served_by_name() -> None:
    document = json.loads(
        (await functions()["get_named_api_docs"](get(name="external-v2"))).get_body()
    )

    assert document["servers"] == [{"url": "/external-api/v2"}]
    assert document["paths"] == {}


async def test_what_has_no_document_is_told_what_has() -> None:
    response = await functions()["get_named_api_docs"](get(name="cakes"))
    document = json.loads(response.get_body())
    assert (response.status_code, document["code"]) == (404, "not-found")
    assert document["detail"] == (
        "there is no such document; these are: api-docs, health, orders, "
        "external, external-v2, internal, internal-v2, partners"
    )


def test_the_unmatched_path_is_tried_last() -> None:
    assert max(functions()) == "zz_unmatched_path"


async def test_a_probe_of_a_port_where_nothing_listens_fails() -> None:
    with pytest.raises(OSError, match="Connect call failed"):
        await listens("http://127.0.0.1:1/path")()
