"""Signs the chain's end, and tells a signed document from a forged one.

An anchor is a JSON document `{"anchor": {...}, "signature": "..."}`. The signature is Ed25519
(RFC 8032), in base64, over the object `anchor` as JSON with sorted names, without spaces, in ASCII.
`previous` is the SHA-256 of the whole document of the day before, in hexadecimal; the first anchor
has 64 zeros. Signing the same day again gives the same document to the byte.
"""

import base64
import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import (
        Ed25519PrivateKey,
        Ed25519PublicKey,
    )

NO_PREVIOUS = "0" * 64


class AnchorForged(Exception):
    """A document that is no anchor of ours; the message says what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Anchor:
    """The chain's end when a day (UTC) was over, and how many entries the day had."""

    day: date
    last_seq: int
    last_hash: str
    count: int
    previous: str

    def signed_part(self) -> bytes:
        """The bytes that are signed."""
        return json.dumps(
            {
                "count": self.count,
                "date": self.day.isoformat(),
                "last_hash": self.last_hash,
                "last_seq": self.last_seq,
                "previous": self.previous,
            },
            sort_keys=True,
            separators=(",", ":"),
        ).encode("ascii")


class Signer:
    """Signs anchors with a key: PKCS #8 in base64, which is the middle of a PEM file."""

    def __init__(self, key: str) -> None:
        self._key = key

    def sign(self, anchor: Anchor) -> bytes:
        """The anchor's document."""
        signature = base64.b64encode(_private(self._key).sign(anchor.signed_part()))
        signed = anchor.signed_part()
        return b'{"anchor":' + signed + b',"signature":"' + signature + b'"}'

    def public_key(self) -> str:
        """What others check signatures with: SubjectPublicKeyInfo in base64."""
        from cryptography.hazmat.primitives.serialization import (  # noqa: PLC0415
            Encoding,
            PublicFormat,
        )

        key = _private(self._key).public_key()
        public = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        return base64.b64encode(public).decode("ascii")


def read(document: bytes) -> tuple[Anchor, bytes]:
    """The anchor that a document holds, and its signature, whosever it is. Raises AnchorForged."""
    try:
        outer = json.loads(document)
        inner, signature = outer["anchor"], base64.b64decode(outer["signature"], validate=True)
        anchor = Anchor(
            date.fromisoformat(inner["date"]),
            int(inner["last_seq"]),
            str(inner["last_hash"]),
            int(inner["count"]),
            str(inner["previous"]),
        )
    except (ValueError, KeyError, TypeError) as fault:
        raise AnchorForged("it is no anchor") from fault
    return anchor, signature


def checked(document: bytes, public_keys: Iterable[str]) -> Anchor:
    """The anchor that one of the keys signed. Raises AnchorForged."""
    from cryptography.exceptions import InvalidSignature  # noqa: PLC0415

    anchor, signature = read(document)
    for key in public_keys:
        try:
            _public(key).verify(signature, anchor.signed_part())
        except InvalidSignature:
            continue
        return anchor
    raise AnchorForged("its signature is not ours")


def digest(document: bytes) -> str:
    """What the next day's anchor says about this one."""
    return hashlib.sha256(document).hexdigest()


def _private(key: str) -> "Ed25519PrivateKey":
    # Imported late: most processes never sign, and the import takes its time.
    from cryptography.hazmat.primitives.asymmetric.ed25519 import (  # noqa: PLC0415
        Ed25519PrivateKey,
    )
    from cryptography.hazmat.primitives.serialization import load_der_private_key  # noqa: PLC0415

    loaded = load_der_private_key(base64.b64decode(_middle(key)), password=None)
    if not isinstance(loaded, Ed25519PrivateKey):
        raise TypeError("AUDIT_ANCHOR_KEY is no Ed25519 key")
    return loaded


def _public(public_key: str) -> "Ed25519PublicKey":
    from cryptography.hazmat.primitives.asymmetric.ed25519 import (  # noqa: PLC0415
        Ed25519PublicKey,
    )
    from cryptography.hazmat.primitives.serialization import load_der_public_key  # noqa: PLC0415

    key = load_der_public_key(base64.b64decode(_middle(public_key)))
    if not isinstance(key, Ed25519PublicKey):
        raise TypeError("an anchor is checked with an Ed25519 key")
    return key


def _middle(key: str) -> str:
    """The base64 of a key, which may come with the lines of a PEM file around it."""
    return "".join(line for line in key.split("\n") if not line.startswith("-----"))
