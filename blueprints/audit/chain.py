r"""The hash chain, byte by byte: whoever has the rows can check them without this program.

An entry's hash and a commitment are SHA-256 (FIPS 180-4) of these bytes, one after the other:

    entry_hash = SHA-256("order-platform audit entry 1\n" ‖ previous_hash ‖ fields 1 to 17)
    commitment = SHA-256("order-platform audit details 1\n" ‖ salt ‖ payload)

`previous_hash` is the `entry_hash` of the entry with the number before; the first one has 32 zero
bytes. `salt` is 32 random bytes of the entry's own, `payload` its details in UTF-8 as they are
stored. Once both are erased, the commitment that stays in the chain tells nothing about them.

A field is its length in bytes as a 32-bit signed integer, most significant byte first, and then its
value; a field that is absent has the length -1 (FF FF FF FF) and no value. In this order:

     1 seq             64-bit signed integer, most significant byte first
     2 recorded_at     microseconds since 2000-01-01T00:00:00Z, as field 1
     3 occurred_at     as field 2
     4 ledger          text in UTF-8, as all below that have no other format
     5 origin
     6 action
     7 actor_kind
     8 actor_id        the 16 bytes of a UUID (RFC 9562 §4), as fields 10 to 12
     9 subject_kind
    10 subject_id
    11 order_id
    12 person_id
    13 event_id
    14 operation
    15 fields          names of fields in alphabetical order, with commas between
    16 correlation_id
    17 commitment      32 bytes

That is how PostgreSQL's binary COPY writes these columns
(https://www.postgresql.org/docs/current/sql-copy.html, "Tuples"), so that a verifier hashes rows as
they come from the server.
"""

import hashlib
import secrets
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from blueprints.audit.models import Entry, Head, Link

ENTRY_TAG = b"order-platform audit entry 1\n"
DETAILS_TAG = b"order-platform audit details 1\n"
GENESIS = bytes(32)
"""What the first entry has for a previous hash."""
SALT_BYTES = 32
HASHED_FIELDS = 17

_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_ABSENT = struct.pack(">i", -1)
_LENGTH = struct.Struct(">i")
_NUMBER = struct.Struct(">q")
_COLUMNS = struct.Struct(">h")
SEALED_COLUMNS = HASHED_FIELDS + 4
"""The hashed fields, then previous_hash, entry_hash, salt, payload."""


def commitment(salt: bytes, payload: bytes) -> bytes:
    """What the chain holds of an entry's details."""
    return hashlib.sha256(DETAILS_TAG + salt + payload).digest()


def entry_hash(previous_hash: bytes, encoded: bytes) -> bytes:
    """The hash of an entry whose fields are `encoded`."""
    return hashlib.sha256(ENTRY_TAG + previous_hash + encoded).digest()


def encode(
    entry: Entry,
    *,
    seq: int,
    recorded_at: datetime,
    occurred_at: datetime,
    commitment: bytes | None,
) -> bytes:
    """Fields 1 to 17."""
    return b"".join(
        (
            _field(_NUMBER.pack(seq)),
            _field(_NUMBER.pack(microseconds(recorded_at))),
            _field(_NUMBER.pack(microseconds(occurred_at))),
            _text(entry.ledger),
            _text(entry.origin),
            _text(entry.action),
            _text(entry.actor_kind),
            _id(entry.actor_id),
            _text(entry.subject_kind),
            _id(entry.subject_id),
            _id(entry.order_id),
            _id(entry.person_id),
            _text(entry.event_id),
            _text(entry.operation),
            _text(entry.fields),
            _text(entry.correlation_id),
            _field(commitment),
        )
    )


def linked(head: Head, entries: Iterable[Entry], now: datetime) -> list[Link]:
    """The entries chained to `head`, with fresh salts; time never runs backwards in a chain."""
    links = []
    seq, previous_hash = head.seq, head.entry_hash
    recorded_at = max(now, head.recorded_at)
    for entry in entries:
        seq += 1
        occurred_at = entry.occurred_at or recorded_at
        salt = committed = None
        if entry.payload is not None:
            salt = secrets.token_bytes(SALT_BYTES)
            committed = commitment(salt, entry.payload.encode())
        encoded = encode(
            entry, seq=seq, recorded_at=recorded_at, occurred_at=occurred_at, commitment=committed
        )
        own_hash = entry_hash(previous_hash, encoded)
        links.append(
            Link(entry, seq, recorded_at, occurred_at, salt, committed, previous_hash, own_hash)
        )
        previous_hash = own_hash
    return links


@dataclass(frozen=True, slots=True)
class Sealed:
    """A row as it came from the database; `seals` says whether its hash is that of its content."""

    seq: int
    recorded_at_us: int
    person_id: UUID | None
    previous_hash: bytes
    entry_hash: bytes
    seals: bool
    committed: bytes | None
    salt: bytes | None
    payload: bytes | None


def unsealed(row: bytes) -> Sealed:
    """Read a tuple of binary COPY with SEALED_COLUMNS columns."""
    assert _COLUMNS.unpack_from(row)[0] == SEALED_COLUMNS, "select the columns that are sealed"
    values: list[bytes | None] = []
    at = start = _COLUMNS.size
    encoded = b""
    for number in range(SEALED_COLUMNS):
        if number == HASHED_FIELDS:
            encoded = row[start:at]
        length = _LENGTH.unpack_from(row, at)[0]
        at += _LENGTH.size
        if length < 0:
            values.append(None)
        else:
            values.append(row[at : at + length])
            at += length
    seq, recorded_at = values[0], values[1]
    person_id, committed = values[11], values[16]
    previous_hash, own_hash, salt, payload = values[17:]
    assert seq is not None, "these columns are never null"
    assert recorded_at is not None
    assert previous_hash is not None
    assert own_hash is not None
    return Sealed(
        _NUMBER.unpack(seq)[0],
        _NUMBER.unpack(recorded_at)[0],
        None if person_id is None else UUID(bytes=person_id),
        previous_hash,
        own_hash,
        entry_hash(previous_hash, encoded) == own_hash,
        committed,
        salt,
        payload,
    )


def microseconds(instant: datetime) -> int:
    """Since 2000-01-01T00:00:00Z."""
    return (instant - _EPOCH) // _MICROSECOND


def _field(value: bytes | None) -> bytes:
    return _ABSENT if value is None else _LENGTH.pack(len(value)) + value


def _text(value: str | None) -> bytes:
    return _ABSENT if value is None else _field(value.encode())


def _id(value: UUID | None) -> bytes:
    return _ABSENT if value is None else _field(value.bytes)
