"""How the demo tells an order's timeline on the terminal."""

from datetime import datetime
from typing import Any

from rich.console import Console

from demo.scripts import Script
from demo.shop import Person

COLOURS = {
    "order": "cyan",
    "payment": "magenta",
    "stock": "yellow",
    "shipment": "blue",
    "message": "white",
}
ENDINGS = {"confirmed": "[bold green]confirmed[/]", "cancelled": "[bold yellow]cancelled[/]"}


def money(minor: int, currency: str) -> str:
    """`1299`, `EUR` as `12.99 EUR`."""
    return f"{minor // 100}.{minor % 100:02d} {currency}"


class Story:
    """Prints one order after the other, a line per event, as the events arrive."""

    def __init__(self, out: Console) -> None:
        self._out = out
        self._start: datetime | None = None
        self._currency = ""
        self._early: list[tuple[datetime, dict[str, Any]]] = []

    def begin(
        self, script: Script, person: Person, product: dict[str, Any], order: dict[str, Any]
    ) -> None:
        self._start = datetime.fromisoformat(order["placed_at"])
        self._currency = order["currency"]
        self._out.print(f"[bold]{order['number']}[/]  {script.title}")
        self._out.print(
            f"  {person.name} orders {script.quantity} × {product['name']}"
            f" for {money(order['gross_total'], order['currency'])}, paying with"
            f" {script.payment_method}",
            soft_wrap=True,
        )
        early, self._early = self._early, []
        for at, told in early:
            self.hear(at, told)

    def tell(self, entry: dict[str, Any]) -> None:
        assert self._start is not None, "the story has not begun"
        after_ms = (datetime.fromisoformat(entry["at"]) - self._start).total_seconds() * 1000
        colour = COLOURS[entry["area"]]
        told = [f"  {after_ms:+8.0f} ms  [{colour}]{entry['area']:<9}[/]{entry['what']:<11}"]
        if entry.get("amount") is not None:
            told.append(money(entry["amount"], self._currency))
        if entry.get("detail"):
            told.append(f"[dim]{entry['detail']}[/]")
        self._out.print(" ".join(told).rstrip(), soft_wrap=True)

    def hear(self, at: datetime, told: dict[str, Any]) -> None:
        """A notification that has just reached the client, maybe before the answer to the order."""
        if self._start is None:
            self._early.append((at, told))
            return
        self._line(at, "live", "green", f"[bold]{told['title']}[/]: {told['text']}")

    def show(self, mail: dict[str, Any]) -> None:
        """A mail that has left."""
        sent_at = datetime.fromisoformat(mail["sent_at"])
        self._line(
            sent_at, "mail", "bright_blue", f"to {mail['to'][0]}: [bold]{mail['subject']}[/]"
        )

    def _line(self, at: datetime, area: str, colour: str, told: str) -> None:
        assert self._start is not None, "the story has not begun"
        after_ms = (at - self._start).total_seconds() * 1000
        self._out.print(f"  {after_ms:+8.0f} ms  [{colour}]{area:<9}[/]{told}", soft_wrap=True)

    def end(self, order: dict[str, Any]) -> None:
        ending = ENDINGS.get(order["status"], f"[bold red]{order['status']}[/]")
        reason = f" because of {order['cancel_reason']}" if order["cancel_reason"] else ""
        self._out.print(f"  → {ending}{reason}\n")
        self._start = None
