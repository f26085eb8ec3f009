"""Looks at the local cloud around the dashboard: its parts, and what lies in its broker."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from localcloud import inspection, parts
from localcloud.dashboard.addresses import STOPPED, broker_of
from localcloud.dashboard.mailboxes import Mailbox
from localcloud.inspection import PartStatus
from localcloud.state import CloudRecord, StateFolder

ROOT: Final = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True)
class Surroundings:
    """The cloud's own word for its state, its parts as they are now, and its broker's mailboxes;
    a text says why these could not be read.
    """

    phase: str
    parts: Sequence[PartStatus]
    mailboxes: Sequence[Mailbox] | str


type Look = Callable[[], Surroundings]
"""Looks around; takes a while."""


def look(folder: StateFolder) -> Surroundings:
    """What runs on that state folder now."""
    record = folder.running()
    if record is None:
        return Surroundings("stopped", [], STOPPED)
    found = inspection.look(folder, record, ROOT, parts.ALL)
    return Surroundings(record.state, found, _mailboxes(folder, record))


def _mailboxes(folder: StateFolder, record: CloudRecord) -> list[Mailbox] | str:
    try:
        return broker_of(folder, record).mailboxes()
    except OSError as refused:
        return f"The broker does not answer: {refused}"
