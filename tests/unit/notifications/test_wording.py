"""Every template in every language, on every channel."""

import html
import itertools
import re
from dataclasses import replace
from datetime import UTC, datetime
from html.parser import HTMLParser
from typing import Any
from uuid import UUID

import pytest
from jinja2 import meta, nodes

from blueprints.notifications import wording
from blueprints.notifications.models import (
    LANGUAGES,
    TYPES,
    Language,
    Notification,
    NotificationType,
    WordingFault,
)
from blueprints.notifications.wording import (
    SAMPLE_FACTS,
    SAMPLE_MESSAGE,
    TEMPLATES,
    SampleContact,
    Wording,
    day,
    missing_facts,
    money,
)

MACROS = {"subject", "mail", "sms", "title", "text"}
# 3GPP TS 23.038 §6.2.1: the default alphabet, and what its extension table adds at double cost.
GSM = set(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡"
    "ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
GSM_DOUBLE = set("^{}\\[~]|€")

REASONS = (
    *("out_of_stock", "reservation_expired", "card_declined", "insufficient_funds"),
    *("confirmation_expired", "confirmation_failed", "address_not_served", "cancel_requested"),
    *("changed_mind", "ordered_by_mistake", "delivery_too_slow", "customer_request"),
    *("goods_unavailable", "fraud_suspected", "partner_recovered"),
)
"""Why an order is called off."""

VERSIONS = [
    (type_, version, language)
    for type_, rule in TYPES.items()
    for version in range(1, rule.version + 1)
    for language in LANGUAGES
]
every_template = pytest.mark.parametrize(("type_", "version", "language"), VERSIONS)


def told(type_: NotificationType, version: int = 1, **facts: Any) -> Notification:
    return Notification(
        id=UUID(int=7),
        type=type_,
        recipient_id=UUID(int=1),
        audience=None,
        order_id=None,
        facts={**SAMPLE_FACTS, **facts},
        message=SAMPLE_MESSAGE if type_ == "message" else None,
        template_version=version,
        occurred_at=datetime(2026, 11, 24, 12, 0, tzinfo=UTC),
    )


class Tags(HTMLParser):
    """Which elements stand in a page, with their attributes; every one is closed in its place."""

    VOID = frozenset({"meta", "br"})

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def parsed(type_: str, version: int, language: str) -> nodes.Template:
    source = (TEMPLATES / type_ / f"v{version}" / f"{language}.j2").read_text()
    return wording._environment("txt").parse(source)


def names_by_macro(tree: nodes.Template) -> dict[str, set[str]]:
    """What each macro says about: names from outside that it uses."""
    outside = {"part", "words"}
    return {
        macro.name: {n.name for n in macro.find_all(nodes.Name) if n.ctx == "load"} - outside
        for macro in tree.find_all(nodes.Macro)
    }


def test_there_is_a_template_for_every_type_version_and_language_and_no_other() -> None:
    found = {str(path.relative_to(TEMPLATES)) for path in TEMPLATES.rglob("*.j2")}
    wanted = {f"{type_}/v{version}/{language}.j2" for type_, version, language in VERSIONS}
    layout = {f"layout/v1/words.{language}.j2" for language in LANGUAGES}
    layout |= {
        f"layout/v1/{name}.{kind}.j2" for name in ("mail", "parts") for kind in ("txt", "html")
    }

    assert found == wanted | layout


@every_template
def test_a_template_uses_the_facts_of_its_type_all_of_them_and_no_others(
    type_: NotificationType, version: int, language: Language
) -> None:
    used = meta.find_undeclared_variables(parsed(type_, version, language))
    facts = TYPES[type_].facts[version - 1] - {"currency"}  # goes into the amount

    assert used == ({"message"} if type_ == "message" else facts)


@every_template
def test_a_template_says_the_same_in_every_language(
    type_: NotificationType, version: int, language: Language
) -> None:
    here, in_english = (parsed(type_, version, one) for one in (language, "en"))

    assert names_by_macro(here) == names_by_macro(in_english)
    assert names_by_macro(here).keys() == MACROS


@every_template
def test_every_channel_has_its_text(
    type_: NotificationType, version: int, language: Language
) -> None:
    notification, contact = told(type_, version), SampleContact(language)
    mail = Wording().email(notification, contact)
    in_app = Wording().in_app(notification, language)

    for text in (mail.subject, mail.text, mail.html, in_app.title, in_app.text):
        assert text.strip()
        assert not re.search(r"\{\{|\{%|\bNone\b|Undefined|  \n", text)
    assert "\n" not in mail.subject
    assert f'<html lang="{language}">' in mail.html
    assert mail.text.endswith("\n")
    assert "\n\n\n" not in mail.text
    if type_ != "message":
        numbered = mail.subject + mail.text
        assert (str(SAMPLE_FACTS["number"]) in numbered) == ("number" in TYPES[type_].facts[-1])


@every_template
def test_an_sms_fits_into_one_message_of_the_plain_alphabet(
    type_: NotificationType, version: int, language: Language
) -> None:
    for reason, kind in itertools.product((None, *REASONS), ("export", "erasure", "other")):
        facts: dict[str, Any] = {"reason": reason, "kind": kind}
        said = Wording().sms(told(type_, version, **facts), SampleContact(language))

        assert set(said) <= GSM | GSM_DOUBLE
        assert len(said) + sum(character in GSM_DOUBLE for character in said) <= 160
        assert said == said.strip()


@every_template
def test_markup_in_what_people_call_themselves_and_write_stays_text(
    type_: NotificationType, version: int, language: Language
) -> None:
    evil = '<b>Bo</b> & "x" {{ 7*7 }}'
    notification = told(
        type_,
        version,
        number=evil,
        tracking_number=evil,
        lines=[{"name": evil, "quantity": 1}],
    )
    if type_ == "message":
        notification = replace(notification, message={"subject": evil, "text": f"{evil}\n\n{evil}"})
    plain = Wording().email(told(type_, version), SampleContact(language))
    mail = Wording().email(notification, SampleContact(language, name=evil))

    kinds = {tag for tag, _ in Tags(plain.html).found}
    assert {tag for tag, _ in Tags(mail.html).found} <= kinds | {"br"}
    assert "<b>" not in mail.html
    assert html.escape(evil, quote=False).split(" &")[0] in mail.html
    assert f"{evil}," in mail.text
    assert "49" not in mail.text.replace(evil, "")


@every_template
def test_a_mail_is_laid_out_in_a_way_that_mail_programs_show(
    type_: NotificationType, version: int, language: Language
) -> None:
    page = Wording().email(told(type_, version), SampleContact(language)).html
    found = Tags(page).found

    tables = [attributes for tag, attributes in found if tag == "table"]
    assert tables
    assert all(attributes.get("role") == "presentation" for attributes in tables)
    assert not {tag for tag, _ in found} & {"img", "script", "link", "iframe", "form", "svg"}
    assert "http" not in page
    assert len(page) < 20_000
    assert [tag for tag, _ in found].count("h1") == 1
    assert ("meta", {"name": "color-scheme", "content": "light dark"}) in found
    assert "@media (prefers-color-scheme: dark)" in page


@pytest.mark.parametrize("type_", [type_ for type_, rule in TYPES.items() if rule.facts[-1]])
def test_a_missing_fact_is_named(type_: NotificationType) -> None:
    whole = told(type_)
    for name in TYPES[type_].facts[-1]:
        lacking = replace(whole, facts={k: v for k, v in whole.facts.items() if k != name})
        for say in (
            lambda one: Wording().email(one, SampleContact("de")),
            lambda one: Wording().sms(one, SampleContact("de")),
            lambda one: Wording().in_app(one, "de"),
            lambda one: Wording().digest([whole, one], SampleContact("de")),
        ):
            with pytest.raises(WordingFault) as refused:
                say(lacking)
            assert refused.value.reason == f"{type_} v1: the facts lack {name}"
        assert missing_facts(type_, lacking.facts) == [name]


@pytest.mark.parametrize(
    ("notification", "reason"),
    [
        (told("order_placed", 2), "order_placed v2: there is no such template"),
        (told("order_placed", amount="much"), "order_placed v1: TypeError"),
        (
            told("order_placed", lines=[{"name": "Tea"}]),
            "order_placed v1: 'dict object' has no attribute 'quantity'",
        ),
        (told("order_cancelled", reason=["x"]), "order_cancelled v1: TypeError"),
        (told("gdpr_export_ready", available_until="soon"), "gdpr_export_ready v1: ValueError"),
        (replace(told("message"), message=None), "message v1: 'message' is undefined"),
    ],
)
def test_what_cannot_be_put_into_words_is_one_kind_of_fault(
    notification: Notification, reason: str
) -> None:
    with pytest.raises(WordingFault) as refused:
        Wording().email(notification, SampleContact("en"))

    assert refused.value.reason == reason


def test_templates_cannot_reach_beyond_what_they_are_given() -> None:
    from jinja2.exceptions import SecurityError  # noqa: PLC0415

    escape = "{{ ''.__class__.__mro__[1].__subclasses__() }}"
    template = wording._environment("txt").from_string(escape)

    with pytest.raises(SecurityError):
        template.render()


def test_who_reads_another_language_is_written_to_in_english() -> None:
    assert Wording().in_app(told("order_shipped"), "nl").title == "Order on its way"
    assert Wording().email(told("order_shipped"), SampleContact("xx")).subject == (
        "Your order SO-2026-000123 is on its way"
    )


def test_the_reason_of_a_cancellation_is_told_unless_employees_keep_it_to_themselves() -> None:
    def said(reason: str | None) -> str:
        return Wording().in_app(told("order_cancelled", reason=reason), "en").text

    assert said("out_of_stock") == (
        "Your order SO-2026-000123 was cancelled. An item is out of stock."
    )
    for kept in ("fraud_suspected", "partner_recovered", None):
        assert said(kept) == "Your order SO-2026-000123 was cancelled."


def test_an_order_that_cannot_be_tracked_is_on_its_way_all_the_same() -> None:
    said = Wording().email(told("order_shipped", tracking_number=None), SampleContact("en")).text

    assert "tracking" not in said
    assert "is on its way to you." in said


def test_a_digest_tells_everything_in_order_in_one_mail() -> None:
    three = [told("order_confirmed"), told("order_shipped"), told("message")]
    mail = Wording().digest(three, SampleContact("de", name="Bruno Keller"))

    assert mail.subject == "3 Neuigkeiten aus dem Shop"
    assert mail.text.startswith("Guten Tag Bruno Keller,\n\nDas ist geschehen")
    places = [
        mail.text.index(said)
        for said in ("bestätigt", "ist unterwegs", "About your delivery", "Could you tell us?")
    ]
    assert places == sorted(places)
    assert [tag for tag, _ in Tags(mail.html).found].count("h2") == 3
    assert Wording().digest(three[:1], SampleContact("en")).subject == (
        "1 piece of news from the shop"
    )


def test_what_an_employee_wrote_keeps_its_paragraphs_and_lines() -> None:
    written = replace(told("message"), message={"subject": "Hi", "text": "One\ntwo\n\nThree <4>"})
    mail = Wording().email(written, SampleContact("en"))

    assert "\n\nOne\ntwo\n\nThree <4>\n\nKind regards," in mail.text
    assert ">One<br>two</p>" in mail.html
    assert ">Three &lt;4&gt;</p>" in mail.html
    assert Wording().in_app(written, "en").text == "One\ntwo\n\nThree <4>"


@pytest.mark.parametrize(
    ("amount", "currency", "written"),
    [
        (123456, "EUR", ("€1,234.56", "1.234,56\u00a0€", "1\u202f234,56\u00a0€")),
        (5, "GBP", ("£0.05", "0,05\u00a0£", "0,05\u00a0£")),
        (-1999, "USD", ("−$19.99", "−19,99\u00a0$", "−19,99\u00a0$")),
        (
            1234567,
            "JPY",
            ("JPY\u00a01,234,567", "1.234.567\u00a0JPY", "1\u202f234\u202f567\u00a0JPY"),
        ),
        (1500, "KWD", ("KWD\u00a01.500", "1,500\u00a0KWD", "1,500\u00a0KWD")),
        (0, "CHF", ("CHF\u00a00.00", "0,00\u00a0CHF", "0,00\u00a0CHF")),
    ],
)
def test_money_is_written_as_the_language_writes_it(
    amount: int, currency: str, written: tuple[str, str, str]
) -> None:
    assert tuple(money(amount, currency, language) for language in LANGUAGES) == written


def test_dates_are_written_as_the_language_writes_them() -> None:
    first, tenth = datetime(2026, 12, 1, tzinfo=UTC), datetime(2026, 3, 10, tzinfo=UTC)

    assert [day(first, language) for language in LANGUAGES] == [
        "1\u00a0December 2026",
        "1.\u00a0Dezember 2026",
        "1er\u00a0décembre 2026",
    ]
    assert day(tenth, "fr") == "10\u00a0mars 2026"
