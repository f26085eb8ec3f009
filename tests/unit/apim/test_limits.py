"""How often one may call through the gateway."""

import pytest

from localcloud.tests.gateway.policy.doubles import Signer
from tests.unit.apim.gate import Gate, problem


@pytest.fixture(scope="module")
def narrow(signer: Signer) -> Gate:
    return Gate(signer, calls_per_client="2", calls_per_employee="3", calls_per_address="5")


@pytest.fixture
def strict(narrow: Gate) -> Gate:
    """Limits that a test can reach."""
    return narrow.fresh()


async def test_the_limits_are_those_of_the_contract(gate: Gate) -> None:
    await gate.ask("external-v1", "list_orders", gate.client(oid="ann"))
    await gate.ask("internal-v1", "list_orders", gate.employee("admin", oid="eve"))
    assert gate.services.limits.asked == [
        ("address:10.0.0.5", 30000, 60),
        ("client:ann", 1000, 60),
        ("address:10.0.0.5", 30000, 60),
        ("employee:eve", 5000, 60),
    ]


async def test_a_customer_is_counted_as_one_person_in_both_versions_and_applications(
    strict: Gate,
) -> None:
    first = await strict.ask("external-v1", "list_orders", strict.client(sub="portal"))
    assert first.headers.values("RateLimit-Limit") == ["2"]
    assert first.headers.values("RateLimit-Remaining") == ["1"]
    assert (await strict.ask("external-v2", "list_orders", strict.client(sub="app"))).status == 200
    answer = await strict.ask("external-v1", "list_orders", strict.client())
    assert (answer.status, problem(answer)["code"]) == (429, "too-many-requests")
    assert answer.headers.values("Retry-After") == ["17"]
    assert answer.headers.values("RateLimit-Remaining") == ["0"]
    assert len(strict.services.upstream.sent) == 2
    other = await strict.ask("external-v1", "list_orders", strict.client(oid="another"))
    assert other.status == 200


async def test_an_employee_has_a_limit_of_her_own(strict: Gate) -> None:
    statuses = [
        (await strict.ask("internal-v1", "list_orders", strict.employee("admin"))).status
        for _ in range(4)
    ]
    assert statuses == [200, 200, 200, 429]


async def test_an_address_is_limited_before_any_token_is_looked_at(strict: Gate) -> None:
    statuses = [(await strict.ask("external-v1", "list_orders", None)).status for _ in range(6)]
    assert statuses == [401, 401, 401, 401, 401, 429]
    elsewhere = await strict.ask("external-v1", "list_orders", None, ip="10.0.0.6")
    assert elsewhere.status == 401
