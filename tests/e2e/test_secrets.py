"""A partner's key is replaced while the platform runs, and orders go on."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator

import httpx
import pytest

from localcloud.identity.directory import PAYMENT_CLIENT_SECRET
from tests.rig.books import assert_sold
from tests.rig.platform import Platform

FIRST, SECOND = "local-shipping-key", "another-shipping-key"
API_KEY, CLIENT_SECRET = "shipping-api-key", "payment-gateway-client-secret"


@pytest.fixture
async def rotating(platform: Platform) -> AsyncIterator[Platform]:
    """The platform, with the first secrets in force again afterwards."""
    yield platform
    await in_force(platform, FIRST)
    await in_the_vault(platform, API_KEY, FIRST)
    await proves_us(platform, PAYMENT_CLIENT_SECRET)
    await in_the_vault(platform, CLIENT_SECRET, PAYMENT_CLIENT_SECRET)


async def in_force(platform: Platform, *keys: str) -> None:
    """What the provider's portal is told."""
    answer = await platform.shipping.http.put("/control/keys", json={"keys": list(keys)})
    assert answer.status_code == 204


async def proves_us(platform: Platform, *secrets: str) -> None:
    """What Entra's page of the application is told: our client secrets."""
    async with httpx.AsyncClient(base_url=platform.cloud.url("identity")) as http:
        order = {"client_id": "payment-client", "secrets": list(secrets)}
        answer = await http.put("/control/client-secrets", json=order)
    assert answer.status_code == 204


async def in_the_vault(platform: Platform, name: str, value: str) -> None:
    """What a person does with the vault's command."""
    state = platform.cloud.state.folder("keyvault")
    command = [sys.executable, "-m", "localcloud.keyvault", "--state", str(state)]
    await asyncio.to_thread(
        subprocess.run,
        [*command, "set", name],
        input=value,
        text=True,
        check=True,
        stdout=subprocess.DEVNULL,
    )


async def sold(platform: Platform) -> None:
    """An order goes all its way, shipment included."""
    placed = await platform.shop.place(platform.alice, {platform.product(): 1})
    await assert_sold(platform, await platform.shop.settled(platform.alice, placed["id"]))


def process_of_the_app(platform: Platform) -> object:
    """Which process runs the functions; another one after a restart."""
    return next(part.process for part in platform.cloud.record().parts if part.name == "functions")


def noticed(platform: Platform, name: str) -> bool:
    """Whether the app has said that it has a new value."""
    log = platform.cloud.state.log_file("functions").read_text()
    return f"secret {name} has a new value" in log


async def test_a_key_of_a_partner_is_replaced_without_a_restart(rotating: Platform) -> None:
    running = process_of_the_app(rotating)
    await sold(rotating)

    await in_force(rotating, FIRST, SECOND)
    await in_the_vault(rotating, API_KEY, SECOND)
    await sold(rotating)
    await in_force(rotating, SECOND)
    await sold(rotating)

    assert process_of_the_app(rotating) == running
    assert noticed(rotating, API_KEY)


async def test_our_client_secret_is_replaced_without_a_restart(rotating: Platform) -> None:
    running = process_of_the_app(rotating)
    await sold(rotating)

    await proves_us(rotating, "another-client-secret")
    await in_the_vault(rotating, CLIENT_SECRET, "another-client-secret")
    # A token outlives the secret; when the gateway refuses it, the app asks for another.
    await rotating.payment.fault("authorize", "status", status=401)
    await sold(rotating)

    assert process_of_the_app(rotating) == running
    assert noticed(rotating, CLIENT_SECRET)


async def test_orders_go_on_while_the_vault_is_down(platform: Platform) -> None:
    await sold(platform)
    await platform.kill("keyvault")
    try:
        await sold(platform)
    finally:
        await platform.start("keyvault")
