"""Who may call which operation through the gateway: what the OpenAPI documents say of it."""

import time

import pytest

from localcloud.gateway.policy import Response
from tests.unit.apim.gate import (
    ADMIN_ADDRESS,
    ROLES,
    SCOPES,
    Described,
    Gate,
    described,
    problem,
)

EXTERNAL = list(described("external"))
INTERNAL = list(described("internal"))


@pytest.mark.parametrize("operation", EXTERNAL, ids=str)
async def test_a_customer_needs_the_scope_of_the_operation_and_no_other(
    gate: Gate, operation: Described
) -> None:
    assert (await gate.call(operation, gate.client(operation.scope))).status == 200
    assert len(gate.services.upstream.sent) == 1
    others = " ".join(scope for scope in SCOPES.split() if scope != operation.scope)
    answer = await gate.call(operation, gate.client(others))
    assert (answer.status, problem(answer)["code"]) == (403, "forbidden")
    assert len(gate.services.upstream.sent) == 1


@pytest.mark.parametrize("operation", INTERNAL, ids=str)
async def test_an_employee_needs_one_of_the_roles_of_the_operation(
    gate: Gate, operation: Described
) -> None:
    allowed = set()
    for role in ROLES:
        answer = await gate.call(operation, gate.employee(role), ip=ADMIN_ADDRESS)
        if answer.status == 200:
            allowed.add(role)
        else:
            assert (answer.status, problem(answer)["code"]) == (403, "forbidden")
    assert allowed == operation.roles
    assert len(gate.services.upstream.sent) == len(allowed)


@pytest.mark.parametrize("operation", INTERNAL, ids=str)
async def test_what_only_administrators_may_do_they_do_from_their_network(
    gate: Gate, operation: Described
) -> None:
    statuses = [
        (await gate.call(operation, gate.employee(*ROLES), ip=ip)).status
        for ip in ("10.1.0.0", "10.1.0.10", "::1", "10.1.0.1", "10.1.0.9")
    ]
    outside = 403 if operation.roles == {"admin"} else 200
    assert statuses == [outside, outside, outside, 200, 200]


@pytest.mark.parametrize("operation", [*EXTERNAL, *INTERNAL], ids=str)
async def test_nobody_comes_in_without_a_token(gate: Gate, operation: Described) -> None:
    answer = await gate.call(operation, None)
    assert (answer.status, problem(answer)["code"]) == (401, "token-missing")
    assert answer.headers.values("WWW-Authenticate") == ["Bearer"]
    assert gate.services.upstream.sent == []


async def _refused(gate: Gate, api: str, authorization: str) -> tuple[int, str]:
    answer: Response = await gate.ask(api, "list_orders", authorization)
    assert gate.services.upstream.sent == []
    challenge = answer.headers.get("WWW-Authenticate") or ""
    assert challenge.startswith('Bearer error="invalid_token"') is (answer.status == 401)
    return answer.status, problem(answer)["code"]


async def test_tokens_of_the_other_proxy_open_nothing(gate: Gate) -> None:
    employee = gate.employee("admin", scp=SCOPES)
    assert await _refused(gate, "external-v1", employee) == (401, "token-invalid")
    client = gate.client(roles=["admin"])
    assert await _refused(gate, "internal-v1", client) == (401, "token-invalid")


async def test_expired_and_foreign_tokens_open_nothing(gate: Gate) -> None:
    now = int(time.time())
    for api, authorization in (
        ("external-v1", gate.client(exp=now - 61)),
        ("internal-v1", gate.employee("admin", exp=now - 1)),
    ):
        assert await _refused(gate, api, authorization) == (401, "token-expired")
    for api, authorization in (
        ("external-v1", gate.client(iss="https://elsewhere.test/v2.0")),
        ("internal-v1", gate.employee("admin", iss="https://elsewhere.test/v2.0")),
        ("external-v1", gate.client(nbf=now + 600)),
        ("external-v1", "Bearer x.y.z"),
    ):
        assert await _refused(gate, api, authorization) == (401, "token-invalid")


async def test_an_employee_without_a_role_or_with_another_application_is_nobody(gate: Gate) -> None:
    for authorization in (
        gate.employee(),
        gate.employee("guest"),
        gate.employee("admin", azp="another-application"),
    ):
        assert await _refused(gate, "internal-v1", authorization) == (403, "forbidden")


async def test_two_authorization_headers_are_no_token(gate: Gate) -> None:
    good = gate.client()
    answer = await gate.ask("external-v1", "list_orders", good, headers={"authorization": good})
    assert (answer.status, problem(answer)["code"]) == (401, "token-invalid")
    assert gate.services.upstream.sent == []
