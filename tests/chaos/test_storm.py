"""A small storm: orders of every sort while every part dies; `make chaos` plays the large one."""

from tests.chaos.customers import WISHES
from tests.chaos.storm import MORTAL, rage
from tests.rig.platform import Platform

SEED = 20261124


async def test_a_storm_loses_and_doubles_nothing(platform: Platform) -> None:
    storm = await rage(platform, orders=20, clients=4, seed=SEED)

    assert sum(storm.orders.values()) == 20
    assert storm.orders.keys() == {wish.what for wish, _ in WISHES}
    assert storm.kills.keys() == set(MORTAL)
