"""Versions of the API: how an operation is announced to go, and what takes its place."""

from dataclasses import dataclass
from datetime import date


@dataclass(frozen=True, slots=True)
class Deprecated:
    """An operation works until `sunset`; callers move on to the operation named `successor`.

    The gateway says so on its answers (RFC 9745, RFC 8594); the next version is without it.
    """

    since: date
    sunset: date
    successor: str
