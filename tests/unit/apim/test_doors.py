"""Pages of other origins, Front Door, and partners: who is let through to be asked at all."""

from collections.abc import Mapping

import pytest

from localcloud.gateway.policy import Response
from localcloud.tests.gateway.policy.doubles import Signer
from tests.unit.apim.gate import Gate, problem

PORTALS = {"external": "http://localhost:3000", "internal": "http://localhost:3001"}
FDID = "12345678-1234-4234-8234-123456789abc"


async def _preflight(gate: Gate, api: str, operation: str, origin: str) -> Response:
    context = gate.context(
        api,
        operation,
        method="OPTIONS",
        headers={
            "Origin": origin,
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "authorization,content-type,idempotency-key",
        },
    )
    return await gate.policies.pipeline(api, operation).preflight(context)


@pytest.mark.parametrize("proxy", ["external", "internal"])
@pytest.mark.parametrize("operation", ["place_order", "negotiate_hub", "issue_stream_ticket"])
async def test_only_the_portal_of_the_proxy_may_ask_from_a_browser(
    gate: Gate, proxy: str, operation: str
) -> None:
    for portal, origin in PORTALS.items():
        answer = await _preflight(gate, f"{proxy}-v1", operation, origin)
        allowed = origin if portal == proxy else None
        assert answer.headers.get("Access-Control-Allow-Origin") == allowed
        assert answer.headers.get("Access-Control-Allow-Credentials") is None
    assert gate.services.upstream.sent == []
    assert gate.services.limits.asked == []


async def test_a_page_can_read_why_it_was_refused(gate: Gate) -> None:
    answer = await gate.ask(
        "external-v1", "list_orders", None, headers={"Origin": PORTALS["external"]}
    )
    assert answer.status == 401
    assert answer.headers.get("Access-Control-Allow-Origin") == PORTALS["external"]
    exposed = (answer.headers.get("Access-Control-Expose-Headers") or "").split(",")
    assert {"ETag", "Location", "Retry-After", "WWW-Authenticate", "X-Correlation-Id"} <= {*exposed}


@pytest.fixture(scope="module")
def behind(signer: Signer) -> Gate:
    return Gate(signer, front_door_id=FDID)


@pytest.fixture
def fronted(behind: Gate) -> Gate:
    """Behind a Front Door."""
    return behind.fresh()


@pytest.mark.parametrize("headers", [{}, {"X-Azure-FDID": "another"}, {"X-Azure-FDID": ""}])
async def test_behind_a_front_door_nobody_comes_another_way(
    fronted: Gate, headers: Mapping[str, str]
) -> None:
    answer = await fronted.ask("external-v1", "list_orders", fronted.client(), headers=headers)
    assert (answer.status, problem(answer)["code"]) == (403, "forbidden")
    assert fronted.services.upstream.sent == []


async def test_behind_a_front_door_the_callers_own_address_is_counted(fronted: Gate) -> None:
    headers = {"X-Azure-FDID": FDID.upper(), "X-Azure-ClientIP": "203.0.113.9"}
    answer = await fronted.ask("external-v1", "list_orders", fronted.client(), headers=headers)
    assert answer.status == 200
    assert fronted.services.limits.asked[0] == ("address:203.0.113.9", 30000, 60)


async def test_without_a_front_door_a_claimed_address_counts_for_nothing(gate: Gate) -> None:
    headers = {"X-Azure-ClientIP": "203.0.113.9", "X-Forwarded-For": "203.0.113.9"}
    await gate.ask("external-v1", "list_orders", gate.client(), headers=headers)
    assert gate.services.limits.asked[0] == ("address:10.0.0.5", 30000, 60)
