"""What a profile may hold."""

from typing import Any

import pytest
from pydantic import ValidationError

from blueprints.customers.models import Address, Profile, UpdateCustomer

ADDRESS = {"line1": "Main Street 1", "postal_code": "10115", "city": "Berlin", "country": "DE"}


def profile(**changes: Any) -> Profile:
    return Profile.model_validate({"name": "Alice", "email": "alice@clients.example"} | changes)


@pytest.mark.parametrize(
    "email",
    [
        "alice@clients.example",
        "a@b.co",
        "first.last+tag@sub.domain.example",
        "o'brien_99@xn--bcher-kva.example",
        "a" * 64 + "@clients.example",
    ],
)
def test_mailboxes_are_accepted(email: str) -> None:
    assert profile(email=email).email == email


@pytest.mark.parametrize(
    "email",
    [
        "",
        "alice",
        "alice@",
        "@clients.example",
        "alice@localhost",
        "alice@clients..example",
        "alice@-clients.example",
        "alice@clients-.example",
        "alice@clients.example.",
        "alice@127.0.0.1",
        ".alice@clients.example",
        "alice.@clients.example",
        "al..ice@clients.example",
        "al ice@clients.example",
        "alice@clients.example\nbcc: x@y.example",
        "alice@clients.example, x@y.example",
        "Alice <alice@clients.example>",
        "álice@clients.example",
        "a" * 65 + "@clients.example",
        "a@" + "b" * 64 + ".example",
        "a@" + "b." * 130 + "example",
    ],
)
def test_what_is_no_mailbox_is_refused(email: str) -> None:
    with pytest.raises(ValidationError):
        profile(email=email)


@pytest.mark.parametrize("phone", ["+4930123456", "+14155550100", "+352123456", "+123456789012345"])
def test_international_phone_numbers_are_accepted(phone: str) -> None:
    assert profile(phone=phone).phone == phone


@pytest.mark.parametrize(
    "phone",
    ["", "030123456", "+0301234567", "+49 30 123456", "+49", "+1234567890123456", "+49123456\n"],
)
def test_other_phone_numbers_are_refused(phone: str) -> None:
    with pytest.raises(ValidationError):
        profile(phone=phone)


@pytest.mark.parametrize(
    ("name", "kept"),
    [("  Zoë  ", "Zoë"), ("李小龍", "李小龍"), ("D'Arcy O\u2019Neil", "D'Arcy O\u2019Neil")],
)
def test_names_are_trimmed_and_otherwise_kept(name: str, kept: str) -> None:
    assert profile(name=name).name == kept


@pytest.mark.parametrize(
    "name", ["", "   ", "a" * 201, "A\tB", "A\nB", "A\x00B", "A\x7fB", "A\x85B"]
)
def test_names_without_text_or_with_control_characters_are_refused(name: str) -> None:
    with pytest.raises(ValidationError):
        profile(name=name)


@pytest.mark.parametrize(
    ("country", "postal_code"),
    [
        ("DE", "10115"),
        ("GB", "SW1A 1AA"),
        ("NL", "1012 AB"),
        ("PT", "1000-001"),
        ("IE", "D02 AF30"),
    ],
)
def test_postal_codes_of_the_countries_served_are_accepted(country: str, postal_code: str) -> None:
    address = Address.model_validate(ADDRESS | {"country": country, "postal_code": postal_code})

    assert (address.country, address.postal_code) == (country, postal_code)


@pytest.mark.parametrize(
    "change",
    [
        {"country": "de"},
        {"country": "DEU"},
        {"country": "D1"},
        {"postal_code": "1"},
        {"postal_code": "1" * 13},
        {"postal_code": "-123"},
        {"postal_code": "12\n34"},
        {"line1": ""},
        {"city": "B\x00"},
        {"line2": "a" * 201},
        {"planet": "Earth"},
    ],
)
def test_addresses_that_no_letter_reaches_are_refused(change: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        Address.model_validate(ADDRESS | change)


@pytest.mark.parametrize("language", ["", "E", "EN", "eng", "de-AT", "d1"])
def test_languages_are_two_letters(language: str) -> None:
    with pytest.raises(ValidationError):
        profile(language=language)


def test_unknown_fields_are_refused() -> None:
    with pytest.raises(ValidationError):
        profile(status="active")


@pytest.mark.parametrize("change", [{"status": "erased"}, {"segment": "gold"}, {"version": 3}])
def test_no_update_erases_or_invents(change: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        UpdateCustomer.model_validate({"name": "A", "email": "a@b.example"} | change)
