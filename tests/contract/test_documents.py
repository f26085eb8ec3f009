"""What the gateway answers is what its documents say, whatever is sent: a short try.

`python -m tests.contract` tries for longer.
"""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.contract.rig import Stage, staged
from tests.contract.trying import World, tried

DOCUMENTS = Path(__file__).resolve().parents[2] / "apim" / "openapi"


@pytest.fixture(scope="module")
async def stage() -> AsyncIterator[Stage]:
    async with staged() as running:
        yield running


async def test_customers_get_what_is_documented_and_nothing_of_others(stage: Stage) -> None:
    outcome = await tried(
        DOCUMENTS / "external.json",
        stage.bases["external"],
        stage.tokens["alice"],
        stage.world,
        examples=5,
        phases="fuzzing,stateful",
    )

    assert outcome.code == 0, outcome.text
    assert outcome.cases >= 100


@pytest.mark.parametrize("person", ["oscar"])
async def test_employees_get_what_is_documented(person: str, stage: Stage) -> None:
    outcome = await tried(
        DOCUMENTS / "internal.json",
        stage.bases["internal"],
        stage.tokens[person],
        World(stage.world.ids, foreign=()),
        examples=3,
        phases="fuzzing",
    )

    assert outcome.code == 0, outcome.text
    assert outcome.cases >= 100
