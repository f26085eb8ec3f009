"""Puts notifications into words, for every channel and language, from versioned templates; pure.

`templates/<type>/v<n>/<language>.j2` defines the macros subject, mail, sms, title and text. One
that was ever used stays as it is: what was said then is said so for ever, new words are a new
version. `mail` is written once and made twice, as plain text and as HTML, by the `part` it gets.
"""

import functools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import JsonValue

from blueprints.notifications.models import (
    LANGUAGES,
    TYPES,
    Contact,
    InApp,
    Language,
    Mail,
    Notification,
    NotificationType,
    WordingFault,
)

if TYPE_CHECKING:
    from jinja2 import Environment

TEMPLATES = Path(__file__).with_name("templates")

_DECIMALS = dict.fromkeys(("BIF", "CLP", "ISK", "JPY", "KRW", "PYG", "UGX", "VND", "XAF", "XOF"), 0)
_DECIMALS |= dict.fromkeys(("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"), 3)
"""ISO 4217: how many digits the minor unit has, where it is not two."""
_SYMBOLS = {"EUR": "€", "GBP": "£", "USD": "$"}
_NO_BREAK, _NARROW = "\u00a0", "\u202f"
_SEPARATORS: Mapping[Language, tuple[str, str]] = {
    "en": (",", "."),
    "de": (".", ","),
    "fr": (_NARROW, ","),
}
"""Between thousands, and before the decimals."""
_MONTHS: Mapping[Language, str] = {
    "en": "January February March April May June July August September October November December",
    "de": "Januar Februar März April Mai Juni Juli August September Oktober November Dezember",
    "fr": "janvier février mars avril mai juin juillet août septembre octobre novembre décembre",
}
# What the alphabet of text messages (3GPP TS 23.038) lacks, as it would cost half of their length.
_PLAIN = str.maketrans({_NO_BREAK: " ", _NARROW: " ", "\u2019": "'", "\u2013": "-"})

type _Kind = Literal["txt", "html"]
_KINDS: tuple[_Kind, ...] = ("txt", "html")

# What templates are shown with before there is anything to tell.
SAMPLE_FACTS: Mapping[str, JsonValue] = {
    "number": "SO-2026-000123",
    "amount": 123456,
    "currency": "EUR",
    "lines": [
        {"name": "Assam Second Flush, 250 g", "quantity": 2},
        {"name": "Cast Iron Teapot, 0.8 l", "quantity": 1},
    ],
    "tracking_number": "TRK-4711-0815",
    "reason": "out_of_stock",
    "kind": "export",
    "available_until": "2026-12-01T12:00:00Z",
}
SAMPLE_MESSAGE: Mapping[str, str] = {
    "subject": "About your delivery",
    "text": "The carrier has asked for your door code.\n\nCould you tell us?",
}


@dataclass(frozen=True, slots=True)
class SampleContact:
    """Nobody in particular."""

    language: str
    name: str = "Alex Example"
    email: str = "alex@example.com"
    phone: str | None = None


def language_of(code: str) -> Language:
    """The language to write to somebody in who would like to read `code` (ISO 639-1)."""
    return next((known for known in LANGUAGES if known == code), LANGUAGES[0])


def money(amount: int, currency: str, language: Language) -> str:
    """An amount in minor units as one writes it: €1,234.56, 1.234,56 €, 1 234,56 €."""
    decimals = _DECIMALS.get(currency, 2)
    thousands, point = _SEPARATORS[language]
    whole, rest = divmod(abs(amount), 10**decimals)
    number = f"{whole:,}".replace(",", thousands)
    if decimals:
        number += f"{point}{rest:0{decimals}}"
    sign, symbol = "−" if amount < 0 else "", _SYMBOLS.get(currency)
    if language == "en":
        return f"{sign}{symbol}{number}" if symbol else f"{sign}{currency}{_NO_BREAK}{number}"
    return f"{sign}{number}{_NO_BREAK}{symbol or currency}"


def day(moment: datetime, language: Language) -> str:
    """A date as one writes it: 1 December 2026, 1. Dezember 2026, 1er décembre 2026."""
    month = _MONTHS[language].split()[moment.month - 1]
    ordinal = {"en": "", "de": ".", "fr": "er" if moment.day == 1 else ""}[language]
    return f"{moment.day}{ordinal}{_NO_BREAK}{month} {moment.year}"


class Wording:
    """Every method raises WordingFault where something cannot be put into words, now or later."""

    def email(self, notification: Notification, contact: Contact) -> Mail:
        """The notification as an email to `contact`, in his language."""
        language = language_of(contact.language)
        subject = _say(notification, language, "subject")
        bodies = {kind: _body(notification, language, kind) for kind in _KINDS}
        return _mail(language, contact.name, subject, bodies, _say(notification, language, "text"))

    def digest(self, notifications: Sequence[Notification], contact: Contact) -> Mail:
        """Several notifications, oldest first, in one email."""
        language = language_of(contact.language)
        with _as_wording_fault("digest"):
            words = _words("txt", language)
            subject = str(words.digest_subject(len(notifications)))
            intro = str(words.digest_intro())
        bodies = {}
        for kind in _KINDS:
            part, parts = _parts(kind), []
            for one in notifications:
                parts += [
                    part.heading(_say(one, language, "subject")),
                    _body(one, language, kind),
                ]
            bodies[kind] = "".join(map(str, [part.prose(intro), *parts]))
        return _mail(language, contact.name, subject, bodies, intro)

    def sms(self, notification: Notification, contact: Contact) -> str:
        """The notification as a text message to `contact`, in his language."""
        return _say(notification, language_of(contact.language), "sms").translate(_PLAIN)

    def in_app(self, notification: Notification, language: str) -> InApp:
        """The notification as the app shows it to whoever reads `language`."""
        known = language_of(language)
        return InApp(
            _say(notification, known, "title"), _say(notification, known, "text", lines=True)
        )


def missing_facts(type_: NotificationType, facts: Mapping[str, JsonValue]) -> list[str]:
    """Names that the current template of the type wants and `facts` lack, in order."""
    return sorted(TYPES[type_].facts[-1] - facts.keys())


class _as_wording_fault:  # noqa: N801 - reads as a phrase
    """Whatever goes wrong inside is a WordingFault that says what it was about."""

    def __init__(self, about: str) -> None:
        self._about = about

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, fault: BaseException | None, trace: object) -> None:
        from jinja2 import TemplateNotFound, UndefinedError  # noqa: PLC0415 - heavy

        if isinstance(fault, UndefinedError):
            raise WordingFault(f"{self._about}: {fault.message}") from fault
        if isinstance(fault, TemplateNotFound):
            raise WordingFault(f"{self._about}: there is no such template") from fault
        if isinstance(fault, Exception) and not isinstance(fault, WordingFault):
            # Its message might repeat a fact.
            raise WordingFault(f"{self._about}: {type(fault).__qualname__}") from fault


def _say(notification: Notification, language: Language, what: str, *, lines: bool = False) -> str:
    """One of the template's short texts: on one line unless it may have several."""
    with _as_wording_fault(_about(notification)):
        said = str(getattr(_template(notification, language, "txt"), what)())
        return said.strip() if lines else _flow(said)


def _body(notification: Notification, language: Language, kind: _Kind) -> str:
    with _as_wording_fault(_about(notification)):
        return str(_template(notification, language, kind).mail(_parts(kind)))


def _template(notification: Notification, language: Language, kind: _Kind) -> Any:
    """The template's macros, with the notification's facts at hand."""
    name = f"{notification.type}/v{notification.template_version}/{language}.j2"
    context = _presented(notification, language)
    return _environment(kind).get_template(name).make_module(context)


def _presented(notification: Notification, language: Language) -> dict[str, Any]:
    """The facts as the language writes them. WordingFault if the template wants one more."""
    versions = TYPES[notification.type].facts
    if not 1 <= notification.template_version <= len(versions):
        raise WordingFault(f"{_about(notification)}: there is no such template")
    wanted, facts = versions[notification.template_version - 1], notification.facts
    if lacking := sorted(wanted - facts.keys()):
        raise WordingFault(f"{_about(notification)}: the facts lack {', '.join(lacking)}")
    shown: dict[str, Any] = {name: facts[name] for name in wanted}
    if "currency" in shown:
        shown["amount"] = money(shown["amount"], str(shown.pop("currency")), language)
    if "available_until" in shown:
        shown["available_until"] = day(datetime.fromisoformat(shown["available_until"]), language)
    if notification.message is not None:
        shown["message"] = dict(notification.message)
    return shown


def _about(notification: Notification) -> str:
    return f"{notification.type} v{notification.template_version}"


def _mail(
    language: Language, name: str, subject: str, bodies: Mapping[_Kind, str], preview: str
) -> Mail:
    """Greeting, closing and all that stands around the body."""
    from markupsafe import Markup  # noqa: PLC0415 - heavy, with jinja2

    made: dict[_Kind, str] = {}
    for kind in bodies:
        body = Markup(bodies[kind]) if kind == "html" else bodies[kind]  # noqa: S704 - made above
        context = {
            "language": language,
            "subject": subject,
            "preview": preview,
            "name": name,
            "body": body,
            "words": _words(kind, language),
        }
        with _as_wording_fault("layout v1"):
            made[kind] = (
                _environment(kind).get_template(f"layout/v1/mail.{kind}.j2").render(context)
            )
    text = re.sub(r"\n{3,}", "\n\n", made["txt"]).strip() + "\n"
    return Mail(subject, text, made["html"])


def _words(kind: _Kind, language: Language) -> Any:
    return _environment(kind).get_template(f"layout/v1/words.{language}.j2").module


def _parts(kind: _Kind) -> Any:
    return _environment(kind).get_template(f"layout/v1/parts.{kind}.j2").module


@functools.cache
def _environment(kind: _Kind) -> "Environment":
    """Templates that cannot reach beyond what they are given, and stumble over what is missing."""
    from jinja2 import FileSystemLoader, StrictUndefined  # noqa: PLC0415 - heavy
    from jinja2.sandbox import SandboxedEnvironment  # noqa: PLC0415

    environment = SandboxedEnvironment(
        loader=FileSystemLoader(TEMPLATES),
        undefined=StrictUndefined,
        autoescape=kind == "html",
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        auto_reload=False,
    )
    environment.filters["flow"] = _flow
    environment.filters["paragraphs"] = _paragraphs
    return environment


def _flow[S: str](text: S) -> S:
    """The text on one line. Markup stays markup, and no-break spaces stay."""
    return type(text)(re.sub(r"[ \t\r\n]+", " ", text).strip(" "))


def _paragraphs(text: str) -> list[list[str]]:
    """The lines of each paragraph."""
    return [paragraph.splitlines() for paragraph in re.split(r"\n{2,}", text.strip()) if paragraph]
