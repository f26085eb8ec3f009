"""One operation is found for a request, or it is said why there is none."""

import pytest

from localcloud.gateway.policy.context import Api
from localcloud.gateway.policy.faults import Refusal
from localcloud.gateway.routing import Apis, Operation, Operations

OPERATIONS = Operations(
    Operation(name, method, template)
    for name, method, template in (
        ("list_orders", "GET", "/orders"),
        ("place_order", "POST", "/orders"),
        ("get_order", "GET", "/orders/{order_id}"),
        ("search", "POST", "/orders/search"),
        ("timeline", "GET", "/orders/{id}/timeline"),
        ("run", "GET", "/customers/{customer_id}/runs/{run_id}"),
    )
)


def api(name: str, prefix: str, kind: str = "http") -> Api:
    _, path, version, *_ = [*prefix.split("/"), ""]
    return Api(name, "external", path, version, prefix, kind, None)  # type: ignore[arg-type]


def found(method: str, path: str) -> tuple[str, dict[str, str]]:
    match = OPERATIONS.find(method, tuple(path[1:].split("/")))
    return match.operation.id, dict(match.values)


def refused(method: str, path: str) -> Refusal:
    with pytest.raises(Refusal) as refusal:
        found(method, path)
    return refusal.value


def test_parameters_have_the_names_of_their_own_template() -> None:
    assert found("GET", "/orders/7") == ("get_order", {"order_id": "7"})
    assert found("GET", "/orders/7/timeline") == ("timeline", {"id": "7"})
    assert found("GET", "/customers/a/runs/b") == ("run", {"customer_id": "a", "run_id": "b"})


def test_a_segment_that_is_spelled_out_wins() -> None:
    assert found("POST", "/orders/search") == ("search", {})


def test_the_spelled_out_template_leaves_other_methods_to_the_parameter() -> None:
    assert found("GET", "/orders/search") == ("get_order", {"order_id": "search"})


def test_a_method_that_no_template_has_is_told_the_others() -> None:
    refusal = refused("PATCH", "/orders/search")
    assert (refusal.status, refusal.reason) == (405, "MethodNotAllowed")
    assert dict(refusal.headers) == {"Allow": "GET, POST"}


@pytest.mark.parametrize("path", ["/", "/order", "/Orders", "/orders/", "/orders/7/", "/orders//x"])
def test_what_no_template_fits_is_not_found(path: str) -> None:
    refusal = refused("GET", path)
    assert (refusal.status, refusal.reason) == (404, "OperationNotFound")


def test_two_operations_for_the_same_requests_are_refused() -> None:
    with pytest.raises(ValueError, match=r"^b and a answer the same requests$"):
        Operations([Operation("a", "GET", "/x/{y}"), Operation("b", "GET", "/x/{z}")])


def test_the_longest_prefix_answers() -> None:
    apis = Apis(
        [
            api("v1", "/external-api/v1"),
            api("negotiate", "/external-api/v1/notifications/ws/negotiate"),
            api("socket", "/external-api/v1/notifications/ws", "websocket"),
        ]
    )

    def name(path: str) -> str | None:
        hit = apis.find(tuple(path[1:].split("/")))
        return hit[0].name if hit else None

    assert name("/external-api/v1/orders") == "v1"
    assert name("/external-api/v1/notifications/ws") == "socket"
    assert name("/external-api/v1/notifications/ws/negotiate") == "negotiate"
    assert name("/external-api/v1/notifications/ws/other") == "v1"
    assert name("/external-api/v2/orders") is None
    assert name("/external-apiv1") is None


def test_the_template_of_a_slash_is_the_prefix_itself() -> None:
    operations = Operations([Operation("read", "GET", "/")])
    assert operations.find("GET", ()).operation.id == "read"
    with pytest.raises(Refusal):
        operations.find("GET", ("",))
