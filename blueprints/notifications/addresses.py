"""How an address is recognised without being kept: a keyed digest of its normal form."""

import contextlib
import hashlib
import hmac
import unicodedata

from pydantic import SecretStr

from blueprints.notifications.models import Channel


def normal(channel: Channel, address: str) -> str:
    """The one spelling of an address: of a phone number its digits, of an email lower case.

    RFC 5321 §2.4 lets a mailbox tell cases apart; no provider of mailboxes does. A domain may be
    written in any script or in its ASCII form (RFC 5890 §2.3.2.1), and reports need not write it as
    we did.
    """
    if channel == "sms":
        return "".join(character for character in address if character.isdecimal())
    mailbox, at, domain = unicodedata.normalize("NFC", address).strip().lower().rpartition("@")
    with contextlib.suppress(UnicodeError):  # what is no domain stays as it stands
        domain = domain.encode("idna").decode("ascii")
    return f"{mailbox}{at}{domain}"


class AddressDigests:
    """Digests under `key`: equal for equal addresses, and nobody reads an address from one."""

    def __init__(self, key: SecretStr) -> None:
        self._key = key.get_secret_value().encode()

    def of(self, channel: Channel, address: str) -> str:
        """HMAC-SHA256 of the address's normal form, in hexadecimal."""
        message = f"{channel}:{normal(channel, address)}".encode()
        return hmac.new(self._key, message, hashlib.sha256).hexdigest()
