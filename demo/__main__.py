"""`make demo`: three real orders on the local cloud, told live, the books compared."""

import asyncio
import contextlib
import json
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
import httpx
from rich.console import Console

from demo.ledgers import differences
from demo.live import Live
from demo.mailbox import Mailbox
from demo.scripts import SCRIPTS, Script
from demo.shop import Person, Shop, Unexpected
from demo.timeline import Story
from localcloud.cloud import DEFAULT_STATE, LocalCloud
from localcloud.console import StepLines
from localcloud.state import StateError, StateFolder
from localcloud.supervisor import StartError


@contextlib.contextmanager
def running_cloud(state: Path, port_base: int, progress: Console) -> Iterator[dict[str, str]]:
    """The addresses of the local cloud; one that is started for the demo is also stopped."""
    if record := StateFolder(state).running():
        progress.print(f"Using the local cloud that runs (pid {record.supervisor.pid})")
        yield dict(record.urls)
        return
    lines = StepLines(progress)
    cloud = LocalCloud(state, port_base=port_base, progress=lines)
    progress.print("Starting the local cloud")
    try:
        with cloud:
            lines.close()
            yield dict(cloud.record().urls)
            progress.print("Stopping the local cloud that the demo started")
    finally:
        lines.close()


@dataclass
class Stage:
    """Where the demo is played: the shop, the live line, the mailbox, and who tells it all."""

    shop: Shop
    live: Live
    mailbox: Mailbox
    story: Story
    wrong: list[str] = field(default_factory=list)

    async def play(self, script: Script) -> tuple[Person, dict[str, Any]]:
        """Sign in, order, and tell what happens as it happens; the settled order.

        What reached the customer in another way than scripted is added to `wrong`.
        """
        shop, story = self.shop, self.story
        person = await shop.sign_in(script.who)
        customer = await shop.register(person)
        product = await shop.product_with_sku(person, script.sku)
        since = await self.mailbox.newest()
        async with self.live.listening(person):
            order = await shop.place(
                person, {product["id"]: script.quantity}, payment_method=script.payment_method
            )
            story.begin(script, person, product, order)
            async for entry in shop.follow(person, order["id"]):
                story.tell(entry)
            told = await self.live.heard(order["id"], *script.told)
        mails = await self.mailbox.sent_to(customer["email"], since=since, at_least=script.mails)
        for mail in mails:
            story.show(mail)
        settled = await shop.order(person, order["id"])
        story.end(settled)
        if tuple(told) != script.told:
            self.wrong.append(f"{order['number']}: told live {told}, not {list(script.told)}")
        if len(mails) != script.mails:
            self.wrong.append(f"{order['number']}: {len(mails)} mails, not {script.mails}")
        return person, settled


async def run(urls: dict[str, str], story: Story) -> tuple[dict[str, Any], list[str]]:
    """What the API says of the three orders in the end, and everything that is not as scripted."""
    async with demo_shop(urls) as shop, Mailbox(urls["communication"]) as mailbox:
        stage = Stage(shop, Live(shop.api, story.hear), mailbox, story)
        played = [await stage.play(script) for script in SCRIPTS]
        wrong = stage.wrong
        orders = [await shop.order(person, order["id"]) for person, order in played]
        async with httpx.AsyncClient(timeout=30, trust_env=False) as partners:
            for script, order in zip(SCRIPTS, orders, strict=True):
                if order["status"] != script.status or order["cancel_reason"] != script.reason:
                    wrong.append(
                        f"{order['number']} ended {order['status']} ({order['cancel_reason']}),"
                        f" not {script.status} ({script.reason})"
                    )
                wrong += await differences(order, urls, partners)
    statuses = [order["status"] for order in orders]
    result = {
        "demo": "failed" if wrong else "ok",
        "placed": len(orders),
        "confirmed": statuses.count("confirmed"),
        "cancelled": statuses.count("cancelled"),
        "orders": [
            {key: order[key] for key in ("number", "status", "cancel_reason", "gross_total")}
            for order in orders
        ],
    }
    return result, wrong


@contextlib.asynccontextmanager
async def demo_shop(urls: dict[str, str]) -> AsyncIterator[Shop]:
    async with Shop(api=urls["clients"], identity=urls["identity"]) as shop:
        yield shop


@click.command()
@click.option(
    "--state",
    type=click.Path(file_okay=False, path_type=Path),
    default=DEFAULT_STATE,
    envvar="LOCALCLOUD_STATE",
    show_default=".localcloud in the project",
    help="State folder of the local cloud to use, or to start.",
)
@click.option(
    "--port-base",
    type=int,
    default=5000,
    show_default=True,
    help="Ports of a local cloud that the demo has to start; see `python -m localcloud up --help`.",
)
def main(state: Path, port_base: int) -> None:
    """Place three orders through the gateway, as signed-in clients, and show what happens, live.

    One succeeds, one has its card declined, one is out of stock. Each timeline also shows what the
    client is told live and which mails leave. Timelines and, as the last line, one JSON object go
    to standard output, progress to standard error. Exits with 0 only if every order ended as
    scripted, every customer was told of it, and the books of the platform and of its partners
    agree.
    """
    progress = Console(stderr=True, highlight=False)
    try:
        with running_cloud(state, port_base, progress) as urls:
            result, wrong = asyncio.run(run(urls, Story(Console(highlight=False))))
    except (Unexpected, TimeoutError, httpx.HTTPError, StateError, StartError) as error:
        progress.print(f"[red]The demo stopped:[/] {error}")
        progress.print("`python -m localcloud logs functions` may say why")
        result, wrong = {"demo": "failed", "placed": 0, "confirmed": 0, "cancelled": 0}, []
    for difference in wrong:
        progress.print(f"[red]Not as it should be:[/] {difference}")
    click.echo(json.dumps(result))
    sys.exit(0 if result["demo"] == "ok" else 1)


if __name__ == "__main__":
    main()
