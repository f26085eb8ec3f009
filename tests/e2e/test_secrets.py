"""A partner's key is replaced while the platform runs, and orders go on."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator

import pytest

from tests.rig.books import assert_sold
from tests.rig.platform import Platform

FIRST, SECOND = "local-shipping-key", "another-shipping-key"


@pytest.fixture
async def rotating(platform: Platform) -> AsyncIterator[Platform]:
    """The platform, with the provider's first key in force again afterwards."""
    yield platform
    await in_force(platform, FIRST)
    await in_the_vault(platform, FIRST)


async def in_force(platform: Platform, *keys: str) -> None:
    """What the provider's portal is told."""
    answer = await platform.shipping.http.put("/control/keys", json={"keys": list(keys)})
    assert answer.status_code == 204


async def in_the_vault(platform: Platform, key: str) -> None:
    """What a person does with the vault's command."""
    state = platform.cloud.state.folder("keyvault")
    command = [sys.executable, "-m", "localcloud.keyvault", "--state", str(state)]
    await asyncio.to_thread(
        subprocess.run,
        [*command, "set", "shipping-api-key"],
        input=key,
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


async def test_a_key_of_a_partner_is_replaced_without_a_restart(rotating: Platform) -> None:
    running = process_of_the_app(rotating)
    await sold(rotating)

    await in_force(rotating, FIRST, SECOND)
    await in_the_vault(rotating, SECOND)
    await sold(rotating)
    await in_force(rotating, SECOND)
    await sold(rotating)

    assert process_of_the_app(rotating) == running


async def test_orders_go_on_while_the_vault_is_down(platform: Platform) -> None:
    await sold(platform)
    await platform.kill("keyvault")
    try:
        await sold(platform)
    finally:
        await platform.start("keyvault")
