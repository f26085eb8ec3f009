"""A secret that was rotated is used without a restart, and nothing is lost or done twice."""

import asyncio
import hashlib
import hmac
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from blueprints.orders.fulfilment_models import Booking, Parcel
from blueprints.orders.gateway import ShippingGateway
from blueprints.orders.models import Address, ShippingFault
from blueprints.payments.gateway import TokenSource
from blueprints.payments.models import GatewayFault
from shared.credentials import Identity
from shared.problem import SignatureInvalid
from shared.resilience import Breaker
from shared.secrets import Secrets
from shared.secrets.keyvault import KeyVault
from shared.webhooks import Signatures
from tests.integration.payments.standins import Standin
from tests.integration.secrets.conftest import KeyVaultPart, Process

pytestmark = pytest.mark.usefixtures("as_platform")

SHIPPING, PAYMENT = "shipping-api-key", "payment-gateway-client-secret"
WEBHOOK = "shipping-webhook-key"
BODY = b'{"event": "shipment.delivered"}'


class Directory:
    """A token endpoint that knows one client secret."""

    def __init__(self, secret: str) -> None:
        self.secret, self.asked = secret, list[str]()

    async def token(self, request: web.Request) -> web.Response:
        form = await request.post()
        given = str(form["client_secret"])
        self.asked.append(given)
        if given != self.secret:
            refusal = {"error": "invalid_client", "error_codes": [7000215]}
            return web.json_response(refusal, status=401)
        return web.json_response({"access_token": f"token-by-{given}", "expires_in": 3599})


@pytest.fixture
async def secrets(vault_part: KeyVaultPart) -> AsyncIterator[Secrets]:
    """As the function app has them: nothing here looks at the clock before the five minutes."""
    identity = Identity()
    store = KeyVault(vault_part.url, identity, ca_file=vault_part.ca_file)
    yield Secrets(store)
    await store.close()
    await identity.close()


@pytest.fixture
def carrier(tmp_path: Path) -> Iterator[Process]:
    """A shipping provider, to be started with a key."""
    process = Process("partners.shipping", tmp_path)
    yield process
    process.kill()


@pytest.fixture
def directory() -> Directory:
    return Directory("first-secret")


@pytest.fixture
async def tokens(secrets: Secrets, directory: Directory) -> AsyncIterator[TokenSource]:
    app = web.Application()
    app.router.add_post("/token", directory.token)
    server = TestServer(app, host="127.0.0.1")
    await server.start_server()
    source = TokenSource(
        str(server.make_url("/token")),
        client_id="payment-client",
        client_secret=secrets.named(PAYMENT),
        scope="api://payment-gateway/.default",
    )
    yield source
    await source.close()
    await server.close()


def parcel(order_id: UUID) -> Parcel:
    address = Address(
        name="Alice Moreau", line1="Rue 1", postal_code="1000", city="Bruxelles", country="BE"
    )
    return Parcel(order_id, "standard", address, 500)


def gateway_at(carrier: Process, secrets: Secrets) -> ShippingGateway:
    return ShippingGateway(
        f"http://127.0.0.1:{carrier.port}",
        secrets.named(SHIPPING),
        timeout_s=5,
        breaker=Breaker("the carrier", fault=ShippingFault),
    )


async def booked(gateway: ShippingGateway, order_id: UUID) -> Booking:
    """The booking, tried again under its key while old connections break, as the saga does."""
    for _ in range(3):
        try:
            return await gateway.book(parcel(order_id), key=f"{order_id}:book")
        except ShippingFault as fault:
            if "Disconnected" not in str(fault):
                raise
    raise AssertionError("the provider breaks off every time")


async def test_a_new_api_key_is_used_when_the_provider_refuses_the_old(
    vault_part: KeyVaultPart, secrets: Secrets, carrier: Process
) -> None:
    vault_part.tend("set", SHIPPING, "--value", "first-key")
    carrier.start("--api-key", "first-key")
    gateway = gateway_at(carrier, secrets)
    before, after = uuid4(), uuid4()
    first = await booked(gateway, before)

    vault_part.tend("set", SHIPPING, "--value", "second-key")
    carrier.kill()
    carrier.start("--api-key", "second-key")

    orders = [after, *(uuid4() for _ in range(5))]
    later = await asyncio.gather(*(booked(gateway, order) for order in orders))
    assert await booked(gateway, before) == first
    assert len({booking.provider_id for booking in later}) == 6
    ledger = Standin(f"http://127.0.0.1:{carrier.port}")
    assert [ledger.operations(order) for order in (before, *orders)] == [["book"]] * 7
    ledger.close()
    await gateway.close()


async def test_a_key_that_the_provider_does_not_know_yet_is_a_fault_until_it_does(
    vault_part: KeyVaultPart, secrets: Secrets, carrier: Process
) -> None:
    vault_part.tend("set", SHIPPING, "--value", "too-early")
    carrier.start("--api-key", "first-key")
    gateway, order = gateway_at(carrier, secrets), uuid4()
    with pytest.raises(ShippingFault, match="status 401 on POST /v1/shipments"):
        await gateway.book(parcel(order), key=f"{order}:book")

    carrier.kill()
    carrier.start("--api-key", "too-early")
    await booked(gateway, order)
    await gateway.close()


async def test_without_any_value_no_call_is_made(
    vault_part: KeyVaultPart, secrets: Secrets, carrier: Process
) -> None:
    vault_part.tend("set", SHIPPING, "--value", "any")
    vault_part.tend("disable", SHIPPING)
    carrier.start("--api-key", "first-key")
    gateway, order = gateway_at(carrier, secrets), uuid4()
    with pytest.raises(ShippingFault, match=f"no value of the secret {SHIPPING} is at hand"):
        await gateway.book(parcel(order), key=f"{order}:book")
    ledger = Standin(f"http://127.0.0.1:{carrier.port}")
    assert ledger.operations(order) == []
    ledger.close()
    await gateway.close()


async def test_a_new_client_secret_is_used_when_the_directory_refuses_the_old(
    vault_part: KeyVaultPart, directory: Directory, tokens: TokenSource
) -> None:
    vault_part.tend("set", PAYMENT, "--value", "first-secret")
    first = await tokens.token()
    assert first == "token-by-first-secret"

    vault_part.tend("set", PAYMENT, "--value", "second-secret")
    directory.secret = "second-secret"
    assert await tokens.token(other_than=first) == "token-by-second-secret"
    assert directory.asked == ["first-secret", "first-secret", "second-secret"]


async def test_a_client_secret_without_a_newer_one_is_tried_once(
    vault_part: KeyVaultPart, directory: Directory, tokens: TokenSource
) -> None:
    vault_part.tend("set", PAYMENT, "--value", "wrong")
    with pytest.raises(GatewayFault, match="status 401 on the token endpoint"):
        await tokens.token()
    assert directory.asked == ["wrong"]


def signed(key: str) -> str:
    """The header of a partner that signs BODY with this key now."""
    at = str(int(time.time()))
    digest = hmac.new(key.encode(), at.encode() + b"." + BODY, hashlib.sha256).hexdigest()
    return f"t={at},v1={digest}"


async def test_a_webhook_s_new_key_counts_as_soon_as_the_partner_signs_with_it(
    vault_part: KeyVaultPart, secrets: Secrets
) -> None:
    old, new = "the-old-webhook-key", "the-new-webhook-key"
    signatures = Signatures(secrets.named(WEBHOOK))
    vault_part.tend("set", WEBHOOK, "--value", old)
    await signatures.check(signed(old), BODY)

    vault_part.tend("set", WEBHOOK, "--value", f"{new},{old}")
    await signatures.check(signed(new), BODY)
    await signatures.check(signed(old), BODY)

    vault_part.tend("set", WEBHOOK, "--value", new)
    await signatures.check(signed(new), BODY)
    for forged in (signed("nobody-s-webhook-key"), signed(old).replace("v1=", "v1=0")):
        with pytest.raises(SignatureInvalid):
            await signatures.check(forged, BODY)
    # The forgery made us look, so the old key is gone at once and not after five minutes.
    with pytest.raises(SignatureInvalid):
        await signatures.check(signed(old), BODY)
