"""Partners' webhooks through the gateway: no token, but an address, and an untouched body."""

import pytest

from localcloud.gateway.policy import Response
from localcloud.tests.gateway.policy.doubles import FixedBody, Signer
from tests.unit.apim.gate import Described, Gate, described, problem

FDID = "12345678-1234-4234-8234-123456789abc"
PATH = "/payments/webhooks/gateway"


@pytest.fixture(scope="module")
def direct(signer: Signer) -> Gate:
    """Without a Front Door."""
    return Gate(
        signer,
        partner_network_from="192.0.2.1",
        partner_network_to="192.0.2.9",
        calls_per_partner="2",
    )


@pytest.fixture(scope="module")
def fronted(signer: Signer) -> Gate:
    """Behind a Front Door."""
    return Gate(
        signer,
        front_door_id=FDID,
        partner_address_1="192.0.2.8",
        partner_address_2="192.0.2.9",
    )


@pytest.fixture
def gate(direct: Gate) -> Gate:
    return direct.fresh()


async def tell(gate: Gate, body: bytes = b"{}", **request: object) -> Response:
    headers = {"Webhook-Signature": "t=1,v1=ab", "Content-Type": "application/json"}
    given = {"ip": "192.0.2.5", "headers": headers, **request}
    return await gate.ask(
        "partners-v1", "notice_payment", None, method="POST", path=PATH, body=body, **given
    )


@pytest.mark.parametrize("body", [b'{ "a" : 1}\r\n', b"not json", b"\xff\x00", b"x" * 200_000])
async def test_a_partners_body_reaches_the_service_byte_for_byte_and_unread(
    gate: Gate, body: bytes
) -> None:
    context = gate.context(
        "partners-v1", "notice_payment", None, method="POST", path=PATH, body=body, ip="192.0.2.5",
        headers={"Webhook-Signature": "t=1,v1=ab", "Content-Type": "application/json"},
    )  # fmt: skip
    assert (await gate.run(context)).status == 200
    (sent,) = gate.services.upstream.sent
    assert (sent.url, sent.body) == (f"http://platform.test/api/v1{PATH}", body)
    assert sent.headers["Webhook-Signature"] == "t=1,v1=ab"
    assert sent.buffered is False
    assert isinstance(context.request.body, FixedBody)
    assert context.request.body.reads == 1


async def test_the_service_sees_the_gateways_token_and_nobodys_beside_it(gate: Gate) -> None:
    await tell(gate, headers={"Authorization": "Bearer x", "X-Forwarded-Authorization": "Bearer y"})
    (sent,) = gate.services.upstream.sent
    assert sent.headers["Authorization"] == "Bearer token-for-api://order-platform-as-None"
    assert "X-Forwarded-Authorization" not in sent.headers


@pytest.mark.parametrize("ip", ["192.0.2.0", "192.0.2.10", "10.0.0.5", "::1"])
async def test_nobody_but_partners_is_let_through(gate: Gate, ip: str) -> None:
    answer = await tell(gate, ip=ip)
    assert (answer.status, problem(answer)["code"]) == (403, "forbidden")
    assert gate.services.upstream.sent == []


async def test_partners_have_a_limit_of_their_own(gate: Gate) -> None:
    statuses = [(await tell(gate)).status for _ in range(3)]
    assert statuses == [200, 200, 429]
    assert (await tell(gate, ip="192.0.2.6")).status == 200
    assert gate.services.limits.asked[1] == ("partner:192.0.2.5", 2, 60)


async def test_a_webhook_is_never_sent_twice(gate: Gate) -> None:
    gate.services.upstream.answers = [503, 200]
    assert (await tell(gate)).status == 503
    assert len(gate.services.upstream.sent) == 1


@pytest.mark.parametrize(("address", "status"), [("192.0.2.8", 200), ("192.0.2.7", 403), ("", 403)])
async def test_behind_a_front_door_the_partners_own_address_counts(
    fronted: Gate, address: str, status: int
) -> None:
    headers = {"X-Azure-FDID": FDID, "X-Azure-ClientIP": address}
    answer = await tell(fronted.fresh(), headers=headers, ip="10.0.0.5")
    assert answer.status == status


@pytest.mark.parametrize("operation", list(described("partners")), ids=str)
async def test_every_operation_for_partners_wants_their_address_and_no_token(
    direct: Gate, operation: Described
) -> None:
    gate = direct.fresh()
    assert (await gate.call(operation, None, ip="192.0.2.5")).status == 200
    assert (await gate.call(operation, gate.employee("admin"), ip="192.0.3.5")).status == 403
    (sent,) = gate.services.upstream.sent
    assert sent.url == f"http://platform.test/api/v1{operation.path}"
