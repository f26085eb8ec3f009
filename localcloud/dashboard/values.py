"""How single values are shown: times, durations, sizes, JSON payloads."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from localcloud.dashboard.markup import Child, Html, el

FOLD_BYTES: Final = 2048
"""Longer payloads are folded."""

CUT_CHARACTERS: Final = 65_536
"""Longer payloads are shown only so far."""

_LINE: Final = 64
_DEEPEST: Final = 40
_PREVIEW_BYTES: Final = 80

_SECOND_MS: Final = 1000
_FINE_MS: Final = 10_000
_MINUTE_S: Final = 60
_HOUR_S: Final = 3600
_DAY_S: Final = 86_400
_KIB: Final = 1024


@dataclass(frozen=True, slots=True)
class Payload:
    """A text that somebody stored, JSON mostly; `text` may be only its beginning.

    `size` is the length of the whole in bytes.
    """

    text: str
    size: int

    @classmethod
    def of(cls, text: str | None) -> "Payload | None":
        """The payload of a text that is here as a whole; None for None."""
        if text is None:
            return None
        return cls(text[:CUT_CHARACTERS], len(text.encode("utf-8", "replace")))

    @property
    def cut(self) -> bool:
        """Whether the end is missing."""
        return self.size > len(self.text.encode("utf-8", "replace"))

    def preview(self) -> str:
        """The whole in one line if it is short and says anything, else nothing."""
        if self.size > _PREVIEW_BYTES:
            return ""
        line = " ".join(self.readable().split())
        return "" if line in {"{}", "[]", "null", '""'} else line

    def readable(self) -> str:
        """JSON laid out in lines; the text as it is when it is no JSON or not whole.

        Clients of Durable Functions encode inputs twice, so an object, a list or null inside a
        JSON string is unpacked.
        """
        if self.cut:
            return self.text
        try:
            value = json.loads(self.text)
            if isinstance(value, str):
                value = _unpacked(value)
            return _laid_out(value, 0)
        except (ValueError, RecursionError):
            return self.text


def _unpacked(text: str) -> Any:
    try:
        inner = json.loads(text)
    except ValueError:
        return text
    return inner if isinstance(inner, dict | list | None) else text


def _laid_out(value: Any, depth: int) -> str:
    """JSON, with every container on one line that fits there."""
    flat = json.dumps(value, ensure_ascii=False)
    if not isinstance(value, dict | list) or len(flat) <= _LINE or depth == _DEEPEST:
        return flat
    pad = "  " * (depth + 1)
    if isinstance(value, dict):
        names = [f"{json.dumps(name, ensure_ascii=False)}: " for name in value]
        parts = [
            name + _laid_out(v, depth + 1) for name, v in zip(names, value.values(), strict=True)
        ]
        opening, closing = "{}"
    else:
        parts = [_laid_out(part, depth + 1) for part in value]
        opening, closing = "[]"
    return f"{opening}\n{pad}" + f",\n{pad}".join(parts) + f"\n{pad[2:]}{closing}"


def iso(at: datetime) -> str:
    """RFC 3339 in UTC, to the millisecond."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def moment(at: datetime | None, *, absent: str = "–") -> Html:
    """A time element in UTC, to the millisecond."""
    if at is None:
        return el("span", absent, class_="none")
    exact = iso(at)
    return el("time", exact[:-1].replace("T", " "), datetime=exact)


def lasting(seconds: float) -> str:
    """A duration for people: `12 ms`, `1.24 s`, `12 s`, `2 min 05 s`, `3 h 02 min`, `2 d 03 h`.

    What is negative counts as nothing.
    """
    milliseconds = round(max(seconds, 0) * _SECOND_MS)
    if milliseconds < _SECOND_MS:
        return f"{milliseconds} ms"
    if milliseconds < _FINE_MS:
        return f"{milliseconds / _SECOND_MS:.2f} s"
    whole = milliseconds // _SECOND_MS
    if whole < _MINUTE_S:
        return f"{whole} s"
    if whole < _HOUR_S:
        return f"{whole // _MINUTE_S} min {whole % _MINUTE_S:02d} s"
    if whole < _DAY_S:
        return f"{whole // _HOUR_S} h {whole % _HOUR_S // _MINUTE_S:02d} min"
    return f"{whole // _DAY_S} d {whole % _DAY_S // _HOUR_S:02d} h"


def size(count: int) -> str:
    """A number of bytes for people."""
    if count < _KIB:
        return f"{count} bytes"
    if count < _KIB * _KIB:
        return f"{count / _KIB:.1f} KB"
    return f"{count / _KIB / _KIB:.1f} MB"


def payload(value: Payload | None, *, key: str, absent: str = "none") -> Html:
    """A payload, folded when it is long. `key` is its id in the page, so that it stays open."""
    if value is None:
        return el("span", absent, class_="none")
    text = value.readable()
    block = el("pre", el("code", text), class_="payload", tabindex=0 if "\n" in text else None)
    if len(text.encode("utf-8", "replace")) <= FOLD_BYTES and not value.cut:
        return block
    note: Child = None
    if value.cut:
        note = el("p", f"Only the first {size(len(value.text))} are shown.", class_="note")
    return el(
        "details", el("summary", f"{size(value.size)}, show"), note, block, id=key, class_="fold"
    )
