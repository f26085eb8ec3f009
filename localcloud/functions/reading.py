"""Typed access to host.json, with errors that name the place."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from localcloud.functions.errors import StartRefused
from localcloud.functions.retries import RetryPolicy, policy_of
from localcloud.functions.timespan import parse_timespan


class Reader:
    """Values of a JSON document by their path; names compare without regard to case.

    StartRefused for a value of the wrong kind.
    """

    def __init__(self, path: Path, document: Mapping[str, Any]) -> None:
        self._path, self._document = path, document

    def _at(self, keys: tuple[str, ...]) -> Any:
        value: Any = self._document
        for key in keys:
            value = _folded(value).get(key.lower()) if isinstance(value, dict) else None
        return value

    def _refuse(self, keys: tuple[str, ...], wanted: str) -> StartRefused:
        return StartRefused(f"{self._path}: {'.'.join(keys)} must be {wanted}")

    def text(self, *keys: str, default: str) -> str:
        value = self._at(keys)
        if value is None:
            return default
        if not isinstance(value, str):
            raise self._refuse(keys, "a string")
        return value

    def texts(self, *keys: str, default: Mapping[str, str]) -> Mapping[str, str]:
        value = self._at(keys)
        if value is None:
            return default
        if not isinstance(value, dict) or not all(isinstance(v, str) for v in value.values()):
            raise self._refuse(keys, "an object of strings")
        return dict(value)

    def names(self, *keys: str) -> tuple[str, ...]:
        value = self._at(keys)
        if value is None:
            return ()
        if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
            raise self._refuse(keys, "a list of strings")
        return tuple(value)

    def retry(self, *keys: str) -> RetryPolicy | None:
        value = self._at(keys)
        try:
            return None if value is None else policy_of(dict(value))
        except (ValueError, TypeError) as error:
            raise StartRefused(f"{self._path}: {'.'.join(keys)}: {error}") from error

    def count(self, *keys: str, default: int, least: int = 1) -> int:
        value = self._at(keys)
        if value is None:
            return default
        text = str(value)
        if isinstance(value, bool) or not text.isdigit() or int(text) < least:
            raise self._refuse(keys, f"a whole number, {least} or more")
        return int(text)

    def flag(self, *keys: str, default: bool) -> bool:
        value = self._at(keys)
        if value is None:
            return default
        if str(value).lower() not in {"true", "false"}:
            raise self._refuse(keys, "true or false")
        return str(value).lower() == "true"

    def span(self, *keys: str, default: float) -> float:
        """Seconds; a TimeSpan of zero is one too. A number is milliseconds, as in version 1."""
        value = self._at(keys)
        if value is None:
            return default
        if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
            return value / 1000
        span = parse_timespan(value) if isinstance(value, str) else None
        if span is None or span.total_seconds() < 0:
            raise self._refuse(keys, 'a TimeSpan such as "00:00:30"')
        return span.total_seconds()

    def timeout(self, *keys: str, default: float) -> float | None:
        value = self._at(keys)
        if value is None:
            return default
        if value == "-1":
            return None
        span = parse_timespan(value) if isinstance(value, str) else None
        if span is None or span.total_seconds() <= 0:
            raise self._refuse(keys, 'a TimeSpan such as "00:05:00", or "-1" for no limit')
        return span.total_seconds()


def _folded(value: Mapping[str, Any]) -> dict[str, Any]:
    return {key.lower(): item for key, item in value.items()}
