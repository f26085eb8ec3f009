"""Keeps personal data and secrets out of log lines: the last resort, for what nobody foresaw.

Our own lines hold ids only. Libraries write lines too, and faults carry texts; what passes here is
recognised by its shape or by the name before it. A street without a name before it is not.
"""

import logging
import re
import traceback
from collections.abc import Callable
from typing import Any

SECRETS = (
    r"authorization|x-functions-key|x-api-key|api[_-]?key|access[_-]?token|refresh[_-]?token"
    r"|id[_-]?token|client[_-]?secret|client[_-]?assertion|password|passwd|sharedaccesskey"
    r"|sharedaccesssignature|accountkey|webhook[_-]?key|payment[_-]?method|sig"
)
WORDS = (
    r"e[_-]?mail|phone|(?:ship_)?line[12]|street|(?:ship_)?city|(?:ship_)?postal[_-]?code|ship_name"
    r"|default_address|shipping_address|customer_name|full_name|first_name|last_name"
)
# One of these stands in every name above; most lines have none, and a search for them is quick.
SECRET_STEMS = (
    "auth",
    "key",
    "token",
    "secret",
    "assertion",
    "passw",
    "signature",
    "payment",
    "sig",
)
WORD_STEMS = ("mail", "phone", "line1", "line2", "street", "city", "postal", "address", "_name")
# A value is quoted, or ends where a list goes on; of words, up to the next `name=`.
_QUOTED = r"\"(?:[^\"\\]|\\.)*+\"?|'(?:[^'\\]|\\.)*+'?"
_PLAIN = r"[^\s,;&\"'{}\[\]()]++"
_NAMED_SECRET = re.compile(
    rf"(?P<name>(?<![a-z0-9_])[\"']?(?:{SECRETS})[\"']?\s?[=:]\s?)"
    rf"(?:{_QUOTED}|(?:bearer\s)?{_PLAIN})",
    re.IGNORECASE,
)
_NAMED_WORDS = re.compile(
    rf"(?P<name>(?<![a-z0-9_])[\"']?(?:{WORDS})[\"']?\s?[=:]\s?)"
    rf"(?:{_QUOTED}|\{{[^}}]*+\}}?|{_PLAIN}(?:[ \t](?!\w++[=:]){_PLAIN}){{0,8}})",
    re.IGNORECASE,
)
_TOKEN = re.compile(
    r"\beyJ[\w-]{8,}+\.[\w-]++(?:\.[\w-]*+)?|(?<=bearer )[\w.~+/=-]{8,}+", re.IGNORECASE
)
_EMAIL = re.compile(r"(?<![\w.!#$%&'*+/=?^`{|}~-])[\w.!#$%&'*+/=?^`{|}~-]++@[\w-]++(?:\.[\w-]++)+")
_PHONE = re.compile(r"(?<![\w+])\+[1-9](?:[ ()./-]{0,2}[0-9]){6,14}(?![\w])")
_CARD = re.compile(r"(?<![\w.-])[2-6](?:[ -]?[0-9]){13,18}(?![\w-])")

CARD, EMAIL, HIDDEN, PHONE, TOKEN = "[card]", "[email]", "[hidden]", "[phone]", "[token]"


def mask_text(text: str) -> str:
    """The text with `[email]`, `[phone]`, `[card]`, `[token]` or `[hidden]` in the place of each.

    Linear in the length of the text, whatever stands in it.
    """
    lowered = text.lower()
    if any(stem in lowered for stem in SECRET_STEMS):
        text = _NAMED_SECRET.sub(rf"\g<name>{HIDDEN}", text)
    if any(stem in lowered for stem in WORD_STEMS):
        text = _NAMED_WORDS.sub(rf"\g<name>{HIDDEN}", text)
    if "eyJ" in text or "earer " in text:
        text = _TOKEN.sub(TOKEN, text)
    if "@" in text:
        text = _EMAIL.sub(EMAIL, text)
    if "+" in text:
        text = _PHONE.sub(PHONE, text)
    return _CARD.sub(_card, text)


def _card(found: re.Match[str]) -> str:
    digits = [int(character) for character in found[0] if character.isdigit()]
    doubled = [d * 2 - 9 * (d > 4) for d in digits[-2::-2]]  # noqa: PLR2004 - ISO/IEC 7812-1, Luhn
    return found[0] if (sum(doubled) + sum(digits[-1::-2])) % 10 else CARD


class _Masked(logging.LogRecord):
    """A record that nobody reads unmasked who does not take template and arguments apart.

    A traceback ends in the words of its fault, so it is written down masked at once; formatters
    take a text that is there already.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._has_clean_text = not self.args and isinstance(self.msg, str)
        if self._has_clean_text:
            self.msg = mask_text(self.msg)
        if self.exc_info and self.exc_info[0] is not None:
            lines = traceback.format_exception(*self.exc_info)
            self.exc_text = mask_text("".join(lines).removesuffix("\n"))

    def getMessage(self) -> str:  # noqa: N802 - the base class names it so
        """The text with its arguments, masked."""
        text = super().getMessage()
        return text if self._has_clean_text else mask_text(text)


def mask_logs() -> None:
    """Mask every record of this process from now on, whichever logger or handler it goes through.

    A filter would have to sit on every handler, and the Functions worker brings its own.
    """
    make: Callable[..., logging.LogRecord] = _Masked
    logging.setLogRecordFactory(make)
