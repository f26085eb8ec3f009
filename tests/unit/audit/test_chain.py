"""The chain to the byte, as its page says."""

import hashlib
import struct
from datetime import UTC, datetime
from uuid import UUID

from blueprints.audit import chain
from blueprints.audit.models import Entry, Head
from blueprints.audit.seals import Anchor, Signer, checked

ORDER = UUID("0195a0a0-0000-7000-8000-0000000000a1")
AT = datetime(2000, 1, 1, 0, 0, 1, tzinfo=UTC)


def field(value: bytes | None) -> bytes:
    return b"\xff\xff\xff\xff" if value is None else struct.pack(">i", len(value)) + value


def test_an_entry_is_hashed_as_documented() -> None:
    placed = Entry(
        origin="event",
        action="order.placed.v1",
        actor_kind="platform",
        actor_id=None,
        subject_kind="order",
        subject_id=ORDER,
        occurred_at=AT,
        order_id=ORDER,
        correlation_id="é-1",
        payload='{"n":1}',
    )

    (link,) = chain.linked(Head(41, b"\x01" * 32, AT), [placed], AT)

    assert link.salt is not None
    committed = hashlib.sha256(
        b"order-platform audit details 1\n" + link.salt + b'{"n":1}'
    ).digest()
    fields = [
        (42).to_bytes(8, "big"),
        (1_000_000).to_bytes(8, "big"),
        (1_000_000).to_bytes(8, "big"),
        b"logs",
        b"event",
        b"order.placed.v1",
        b"platform",
        None,
        b"order",
        ORDER.bytes,
        ORDER.bytes,
        None,
        None,
        None,
        None,
        b"\xc3\xa9-1",
        committed,
    ]
    hashed = b"order-platform audit entry 1\n" + b"\x01" * 32 + b"".join(map(field, fields))
    assert (link.seq, link.commitment) == (42, committed)
    assert link.entry_hash == hashlib.sha256(hashed).digest()


def test_no_two_entries_share_a_salt() -> None:
    entry = Entry(
        origin="event",
        action="a.v1",
        actor_kind="platform",
        actor_id=None,
        subject_kind="a",
        subject_id=ORDER,
        correlation_id="c",
        payload="{}",
    )

    links = chain.linked(Head(0, chain.GENESIS, AT), [entry] * 100, AT)

    assert len({link.salt for link in links}) == 100
    assert len({link.commitment for link in links}) == 100


def test_the_same_anchor_has_the_same_document() -> None:
    key = "MC4CAQAwBQYDK2VwBCIEIAcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcH"
    pem = f"-----BEGIN PRIVATE KEY-----\n{key}\n-----END PRIVATE KEY-----\n"
    anchor = Anchor(AT.date(), 7, "ab" * 32, 2, "0" * 64)

    document = Signer(key).sign(anchor)

    assert document == Signer(pem).sign(anchor)
    assert document.startswith(
        b'{"anchor":{"count":2,"date":"2000-01-01","last_hash":"' + b"ab" * 32 + b'","last_seq":7,'
        b'"previous":"' + b"0" * 64 + b'"},"signature":"'
    )
    assert checked(document, [Signer(key).public_key()]) == anchor
