"""Every step of every saga survives the death of every process: the bounded form of the matrix."""

import pytest

from tests.chaos.matrix import BOUNDED, PROCESSES, ROUNDS, play
from tests.chaos.scenes import MOMENTS, STEPS, Moment
from tests.rig.platform import Platform


def test_the_bounded_form_has_every_process_and_every_moment() -> None:
    assert set(BOUNDED) <= set(ROUNDS)
    assert {process for process, _ in BOUNDED} == PROCESSES.keys()
    assert {moment for _, moment in BOUNDED} == set(MOMENTS)


@pytest.mark.parametrize(("process", "moment"), BOUNDED)
async def test_an_order_at_each_step_ends_right_when_a_process_is_killed(
    process: str, moment: Moment, platform: Platform
) -> None:
    await play(platform, process, moment, STEPS)
