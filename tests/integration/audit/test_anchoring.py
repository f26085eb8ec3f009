"""Every day that is over gets one anchor, whoever asks how often; a lying anchor is found."""

import socket
import subprocess
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from blueprints.audit import chain
from blueprints.audit.anchoring import AnchorConflict, Anchoring
from blueprints.audit.entries_repository import add, ask_head
from blueprints.audit.gateway import AnchorsAway, BlobAnchors, FolderAnchors
from blueprints.audit.seals import NO_PREVIOUS, AnchorForged, Signer, checked, digest
from blueprints.audit.verifying import Verifying
from localcloud.storage import azurite
from shared.db import Database
from tests.integration.audit.conftest import KEY, OTHER_KEY, Shelf, entry

PUBLIC = [Signer(KEY).public_key()]


async def write(database: Database, days_ago: int, count: int) -> None:
    """Entries recorded some days ago."""
    async with database.transaction() as tx:
        head, now = await (await ask_head(tx))()
        entries = [entry() for _ in range(count)]
        await add(tx, chain.linked(head, entries, now - timedelta(days=days_ago)))


def day(days_ago: int) -> date:
    return (datetime.now(UTC) - timedelta(days=days_ago)).date()


async def test_days_that_were_missed_are_caught_up(app: Database, shelf: Shelf) -> None:
    await write(app, 3, 2)
    await write(app, 1, 5)
    await write(app, 0, 1)

    signed = await Anchoring(app, shelf, Signer(KEY)).anchor()

    anchors = [checked(document, PUBLIC) for document in shelf.kept.values()]
    documents = list(shelf.kept.values())
    assert signed == [day(3), day(2), day(1)]
    assert [(a.day, a.last_seq, a.count) for a in anchors] == [
        (day(3), 2, 2),
        (day(2), 2, 0),
        (day(1), 7, 5),
    ]
    assert [a.previous for a in anchors] == [NO_PREVIOUS, *map(digest, documents[:2])]
    assert await Anchoring(app, shelf, Signer(KEY)).anchor() == []


async def test_an_empty_chain_is_not_anchored(app: Database, shelf: Shelf) -> None:
    assert await Anchoring(app, shelf, Signer(KEY)).anchor() == []
    assert shelf.kept == {}


async def test_after_a_change_of_keys_the_anchors_go_on(app: Database, shelf: Shelf) -> None:
    await write(app, 2, 2)
    await Anchoring(app, shelf, Signer(OTHER_KEY)).anchor()
    del shelf.kept[day(1)]

    assert await Anchoring(app, shelf, Signer(KEY)).anchor() == [day(1)]
    keys = [Signer(KEY).public_key, Signer(OTHER_KEY).public_key]
    assert (await Verifying(app, shelf, keys).part(1, None)).findings == []


class Race(Shelf):
    """Another process was there first, but this one does not see it yet."""

    async def days(self) -> list[date]:
        return []


async def test_two_timers_at_once_sign_the_same_and_a_lie_is_reported(app: Database) -> None:
    await write(app, 1, 3)
    race = Race()

    assert await Anchoring(app, race, Signer(KEY)).anchor() == [day(1)]
    assert await Anchoring(app, race, Signer(KEY)).anchor() == [day(1)]
    race.kept[day(1)] = b"{}"
    with pytest.raises(AnchorConflict, match="says something else than the chain"):
        await Anchoring(app, race, Signer(KEY)).anchor()


async def kinds(app: Database, shelf: Shelf) -> list[tuple[str, date | None]]:
    outcome = await Verifying(app, shelf, [Signer(KEY).public_key]).part(1, None)
    return [(finding.kind, finding.day) for finding in outcome.findings]


async def test_a_lying_anchor_is_named(app: Database, shelf: Shelf) -> None:
    await write(app, 3, 2)
    await Anchoring(app, shelf, Signer(KEY)).anchor()
    assert await kinds(app, shelf) == []
    kept = dict(shelf.kept)

    shelf.kept[day(2)] = Signer(OTHER_KEY).sign(checked(kept[day(2)], PUBLIC))
    assert await kinds(app, shelf) == [("anchor-forged", day(2))]

    shelf.kept = {one: doc for one, doc in kept.items() if one != day(2)}
    assert await kinds(app, shelf) == [("anchor-missing", day(2))]

    shelf.kept = {day(1): kept[day(1)]}
    assert await kinds(app, shelf) == [("anchor-missing", day(1))]

    shelf.kept = {}
    assert await kinds(app, shelf) == [("anchor-missing", day(3))]

    shelf.kept = kept | {day(3): kept[day(2)]}
    assert await kinds(app, shelf) == [("anchor-forged", day(3))]


@pytest.mark.parametrize("document", [b"", b"[]", b'{"anchor":{}}', b'{"anchor":1,"signature":""}'])
def test_what_is_no_anchor_is_said_to_be_none(document: bytes) -> None:
    with pytest.raises(AnchorForged, match="it is no anchor"):
        checked(document, PUBLIC)


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Azurite; its connection string."""
    ports = {}
    for name in azurite.PORTS:
        with socket.create_server(("127.0.0.1", 0)) as probe:
            ports[name] = probe.getsockname()[1]
    process = subprocess.Popen(azurite.command(tmp_path_factory.mktemp("azurite"), ports))
    give_up_at = time.monotonic() + 30
    while True:
        try:
            azurite.probe(ports)
        except OSError:
            assert process.poll() is None
            assert time.monotonic() < give_up_at
            time.sleep(0.05)
        else:
            break
    yield azurite.connection_string(ports)
    process.terminate()
    process.wait()


async def test_blobs_are_written_once_and_read_back(storage: str, tmp_path: Path) -> None:
    anchors = BlobAnchors(connection=storage)

    assert await anchors.days() == []
    assert await anchors.add(date(2026, 2, 3), b"first") == b"first"
    assert await anchors.add(date(2026, 2, 3), b"second") == b"first"
    assert await anchors.add(date(2025, 12, 31), b"older") == b"older"
    assert await anchors.days() == [date(2025, 12, 31), date(2026, 2, 3)]
    assert await anchors.read(await anchors.days()) == [b"older", b"first"]
    with pytest.raises(AnchorsAway):
        await anchors.read([date(2026, 1, 1)])

    copy = tmp_path / "2026" / "02"
    copy.mkdir(parents=True)
    (copy / "03.json").write_bytes(b"first")
    folder = FolderAnchors(tmp_path)
    assert await folder.days() == [date(2026, 2, 3)]
    assert await folder.read([date(2026, 2, 3)]) == [b"first"]
