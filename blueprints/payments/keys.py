"""Idempotency keys at the gateway: the same step of the same order has the same key for ever."""

from uuid import UUID


def authorise(order_id: UUID) -> str:
    """The key under which an order's payment is authorised."""
    return f"{order_id}:authorise_payment"


def capture(order_id: UUID) -> str:
    """The key under which it is captured."""
    return f"{order_id}:capture_payment"


def void(order_id: UUID) -> str:
    """The key under which it is voided."""
    return f"{order_id}:void_payment"


def confirm(order_id: UUID, attempt: UUID) -> str:
    """The key of one answer of the customer's: a second answer is another attempt."""
    return f"{order_id}:confirm:{attempt}"


def refund(order_id: UUID, refund_id: UUID) -> str:
    """The key of one refund."""
    return f"{order_id}:refund:{refund_id}"
