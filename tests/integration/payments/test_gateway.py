"""The gateway client's tokens: fetched once, renewed before they end and when they are refused."""

import asyncio
from uuid import uuid4

import pytest

from blueprints.payments.gateway import PaymentGateway, TokenSource
from blueprints.payments.models import GatewayFault, GatewayPayment, GatewayRefusal
from shared.resilience import Breaker
from tests.integration.payments.conftest import tokens
from tests.integration.payments.standins import Standin


async def authorise(gateway: PaymentGateway) -> GatewayPayment:
    return await gateway.authorise(
        reference=str(uuid4()),
        amount=100,
        currency="EUR",
        payment_method="tok_success",
        key=str(uuid4()),
    )


async def test_a_token_is_fetched_once_and_kept(identity: Standin) -> None:
    source = tokens(identity)

    kept = await asyncio.gather(*(source.token() for _ in range(5)))

    assert len(set(kept)) == 1
    assert await source.token() == kept[0]
    await source.close()


async def test_a_token_is_renewed_a_minute_before_its_end(identity: Standin) -> None:
    now = 1_000.0
    source = tokens(identity)
    source._clock = lambda: now
    first = await source.token()
    lifetime_s = source._good_until + 60 - now

    now += lifetime_s - 61
    assert await source.token() == first
    now += 1
    assert await source.token() != first
    await source.close()


async def test_a_token_that_the_gateway_refuses_is_replaced(
    identity: Standin, bank: Standin
) -> None:
    source = tokens(identity)
    gateway = PaymentGateway(
        bank.url, source, timeout_s=2, breaker=Breaker("the bank", fault=GatewayFault)
    )
    source._token, source._good_until = "forged", float("inf")
    # The forged token is kept as long as nobody refuses it.
    payment = await authorise(gateway)

    assert payment.status == "authorized"
    assert source._token != "forged"
    await gateway.close()


async def test_a_wrong_secret_is_a_fault(identity: Standin, bank: Standin) -> None:
    gateway = PaymentGateway(
        bank.url,
        tokens(identity, secret="wrong"),
        timeout_s=2,
        breaker=Breaker("the bank", fault=GatewayFault),
    )

    with pytest.raises(GatewayFault, match="status 401 on the token endpoint"):
        await authorise(gateway)
    await gateway.close()


async def test_a_gateway_that_is_not_there_is_a_fault(identity: Standin) -> None:
    gateway = PaymentGateway(
        "http://127.0.0.1:9",
        tokens(identity),
        timeout_s=2,
        breaker=Breaker("the bank", fault=GatewayFault),
    )

    with pytest.raises(GatewayFault, match="ClientConnectorError on POST /v1/payments"):
        await authorise(gateway)
    await gateway.close()


def test_the_secret_is_not_printed(identity: Standin) -> None:
    source: TokenSource = tokens(identity, secret="hunter2")

    assert "hunter2" not in repr(vars(source))


@pytest.mark.parametrize("status", [401, 403, 408, 425, 429, 500, 502, 503, 504])
async def test_an_answer_that_says_nothing_about_the_request_is_a_fault(
    status: int, gateway: PaymentGateway, bank: Standin
) -> None:
    bank.fault("authorize", "status", status=status, times=2)

    with pytest.raises(GatewayFault, match=f"status {status} on POST /v1/payments"):
        await authorise(gateway)


@pytest.mark.parametrize("status", [400, 404, 409, 422])
async def test_an_answer_that_refuses_the_request_is_a_refusal(
    status: int, gateway: PaymentGateway, bank: Standin
) -> None:
    bank.fault("authorize", "status", status=status)

    with pytest.raises(GatewayRefusal):
        await authorise(gateway)


async def test_a_payment_that_the_gateway_does_not_show_is_a_fault(
    gateway: PaymentGateway,
) -> None:
    with pytest.raises(GatewayFault, match="not_found"):
        await gateway.get("pay_nobody")


async def test_a_gateway_that_does_not_answer_is_left_alone(
    identity: Standin, bank: Standin
) -> None:
    breaker = Breaker("the bank", fault=GatewayFault, faults=2)
    nowhere = PaymentGateway("http://127.0.0.1:9", tokens(identity), timeout_s=2, breaker=breaker)
    there = PaymentGateway(bank.url, tokens(identity), timeout_s=2, breaker=breaker)

    for match in ("ClientConnectorError", "ClientConnectorError", "left alone"):
        with pytest.raises(GatewayFault, match=match):
            await nowhere.void("p1", key="k1")
    with pytest.raises(GatewayFault, match="left alone"):
        await there.void("p1", key="k1")

    await nowhere.close()
    await there.close()
