"""Addresses are recognised however they are spelt, and cannot be read from their digests."""

import pytest
from pydantic import SecretStr

from blueprints.notifications.addresses import AddressDigests, normal
from blueprints.notifications.models import Channel

DIGESTS = AddressDigests(SecretStr("key"))


@pytest.mark.parametrize(
    ("channel", "address", "spelling"),
    [
        ("email", "anna@clients.example", "anna@clients.example"),
        ("email", " Anna@Clients.EXAMPLE ", "anna@clients.example"),
        ("email", "anna+orders@clients.example", "anna+orders@clients.example"),
        ("email", "Weiß@clients.example", "weiß@clients.example"),
        ("email", "anna@bücher.example", "anna@xn--bcher-kva.example"),
        ("email", "anna@XN--BCHER-KVA.example", "anna@xn--bcher-kva.example"),
        ("email", '"a@b"@clients.example', '"a@b"@clients.example'),
        ("email", "nobody", "nobody"),
        ("email", "anna@" + "x" * 70 + ".example", "anna@" + "x" * 70 + ".example"),
        ("email", "anna@a..example", "anna@a..example"),
        ("sms", "+49 (151) 234-56", "4915123456"),
        ("sms", "+4915123456", "4915123456"),
    ],
)
def test_an_address_has_one_spelling(channel: Channel, address: str, spelling: str) -> None:
    assert normal(channel, address) == spelling
    assert DIGESTS.of(channel, address) == DIGESTS.of(channel, spelling)


def test_digests_tell_addresses_channels_and_keys_apart() -> None:
    other = AddressDigests(SecretStr("another key"))
    digests = {
        DIGESTS.of("email", "1@clients.example"),
        DIGESTS.of("email", "2@clients.example"),
        DIGESTS.of("email", "1"),
        DIGESTS.of("sms", "1"),
        other.of("sms", "1"),
    }

    assert len(digests) == 5
    assert {len(digest) for digest in digests} == {64}


def test_the_key_is_not_in_a_digest_nor_printed() -> None:
    assert "key" not in repr(DIGESTS)
    assert "anna" not in DIGESTS.of("email", "anna@clients.example")
