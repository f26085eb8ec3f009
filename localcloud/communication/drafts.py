"""A message that is valid and about to be taken."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal

Channel = Literal["email", "sms"]


@dataclass(frozen=True)
class Recipient:
    kind: str
    address: str
    display_name: str | None = None


@dataclass(frozen=True)
class Attached:
    name: str
    content_type: str
    content_id: str | None
    content: bytes


@dataclass(frozen=True)
class Draft:
    """A message that is valid and about to be taken."""

    id: str
    channel: Channel
    sender: str
    recipients: Sequence[Recipient]
    fingerprint: str
    subject: str | None = None
    text: str | None = None
    html: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    reply_to: Sequence[str] = ()
    attachments: Sequence[Attached] = ()
    tag: str | None = None
    reported: bool = True
    """Whether anybody wants to hear what becomes of it."""
    tracked: bool = False
    """Whether its HTML may tell what its recipients do."""


def fingerprint_of(body: bytes) -> str:
    """What makes two JSON bodies the same, whatever the order of their members."""
    canonical = json.dumps(json.loads(body), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def iso(at: float) -> str:
    """Seconds since 1970 as ISO 8601 in UTC, to the microsecond."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="microseconds")[:-6] + "Z"
