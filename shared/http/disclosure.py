"""Reads of personal data by employees: what is known of one, and who has to know about it."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Protocol
from uuid import UUID

from shared.problem import InvalidRequest

REASON_HEADER = "X-Access-Reason"
REASON_MAX_LENGTH = 200


@dataclass(frozen=True, slots=True)
class Discloses:
    """Says of an operation whose personal data its answer holds, and which fields of it.

    `people` gets what the handler answered (the body of a Reply) and names each person at least
    once.
    """

    fields: tuple[str, ...]
    people: Callable[[Any], Iterable[UUID]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Disclosure:
    """An employee is about to be shown data of people: who, whom, by what, which fields, and why.

    `order_id` is the order whose data it is, if the path names one; `reason` what the employee
    gave for one.
    """

    reader_id: UUID
    people: tuple[UUID, ...]
    operation: str
    fields: tuple[str, ...]
    reason: str | None
    order_id: UUID | None
    correlation_id: str


class AccessLog(Protocol):
    """Keeps disclosures for good; the audit trail does."""

    async def record(self, disclosure: Disclosure) -> None:
        """Returns when the disclosure is durable; whatever it raises keeps the data in."""
        ...


def access_reason(header: str | None) -> str | None:
    """What the caller gave as a reason. Raises InvalidRequest unless 1 to 200 printable characters.

    Spaces around it do not count.
    """
    if header is None:
        return None
    reason = header.strip()
    if not 1 <= len(reason) <= REASON_MAX_LENGTH or not reason.isprintable():
        rule = f"must be 1 to {REASON_MAX_LENGTH} printable characters"
        raise InvalidRequest(
            "the reason for the access is not valid", [{"field": REASON_HEADER, "message": rule}]
        )
    return reason
