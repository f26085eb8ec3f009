"""Tries the gateway's documents out for long: `python -m tests.contract`.

Starts a platform of its own, or tries one that is given: then with a token, and without a world.
"""

import asyncio
from pathlib import Path

import click

from tests.contract.rig import staged
from tests.contract.trying import Outcome, World, tried

DOCUMENTS = Path(__file__).resolve().parents[2] / "apim" / "openapi"
PHASES = "coverage,fuzzing,stateful"
NOBODY = World(ids={}, foreign=())


@click.command()
@click.option("--examples", default=60, show_default=True, help="Cases per operation and phase.")
@click.option("--at-least", default=10_000, show_default=True, help="Cases that there must be.")
@click.option("--document", type=click.Path(path_type=Path), help="Try this document …")
@click.option("--url", help="… at this base URL …")
@click.option("--token", envvar="CONTRACT_TOKEN", help="… as whom this access token is of.")
def main(
    examples: int, at_least: int, document: Path | None, url: str | None, token: str | None
) -> None:
    """Send what fits the documents and what does not, and hold the answers against them."""
    if document and url and token:
        one = tried(document, url, token, NOBODY, examples=examples, phases=PHASES)
        outcomes = [asyncio.run(one)]
    else:
        outcomes = asyncio.run(_own(examples))
    cases = sum(outcome.cases for outcome in outcomes)
    failed = [outcome for outcome in outcomes if outcome.code != 0]
    click.echo("\n".join(outcome.text for outcome in failed or outcomes))
    click.echo(f"{cases} cases, {len(failed)} of {len(outcomes)} runs failed")
    raise SystemExit(1 if failed or cases < at_least else 0)


async def _own(examples: int) -> list[Outcome]:
    """Every document as everybody who may use it."""
    async with staged() as stage:
        outcomes = []
        for proxy, person in (
            *(("external", "alice"), ("internal", "carla")),
            *(("internal", "oscar"), ("internal", "ada")),
        ):
            world = stage.world if proxy == "external" else World(stage.world.ids, ())
            outcomes.append(
                await tried(
                    DOCUMENTS / f"{proxy}.json",
                    stage.bases[proxy],
                    stage.tokens[person],
                    world,
                    examples=examples,
                    phases=PHASES,
                )
            )
        return outcomes


if __name__ == "__main__":
    main()
