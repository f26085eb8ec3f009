"""The three orders of the demo, and how each must end."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Script:
    """One order: who buys what with which card, and the status and reason it must end with.

    `told` are the notifications that must arrive live, in this order; `mails` is how many emails.
    """

    title: str
    who: str
    sku: str
    quantity: int
    payment_method: str
    status: str
    reason: str | None
    told: tuple[str, ...]
    mails: int


SCRIPTS = (
    Script(
        title="an order that goes through",
        who="alice",
        sku="TEA-ASSAM-250",
        quantity=2,
        payment_method="tok_success",
        status="confirmed",
        reason=None,
        told=("order_placed", "order_confirmed"),
        mails=1,
    ),
    Script(
        title="a card that is declined",
        who="bruno",
        sku="TEA-ASSAM-250",
        quantity=1,
        payment_method="tok_declined",
        status="cancelled",
        reason="card_declined",
        told=("order_placed", "payment_declined", "order_cancelled"),
        mails=3,
    ),
    Script(
        title="a product out of stock",
        who="chloe",
        sku="TEA-DRAGONWELL-100",
        quantity=1,
        payment_method="tok_success",
        status="cancelled",
        reason="out_of_stock",
        told=("order_placed", "order_cancelled"),
        mails=2,
    ),
)
