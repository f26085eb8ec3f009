"""Every step of every saga survives the death of every process: the bounded form of the matrix."""

import pytest

from tests.chaos.matrix import ROUNDS, play
from tests.chaos.scenes import STEPS, Moment
from tests.rig.platform import Platform


@pytest.mark.parametrize(("process", "moment"), ROUNDS)
async def test_every_order_ends_right_when(
    process: str, moment: Moment, platform: Platform
) -> None:
    await play(platform, process, moment, STEPS)
