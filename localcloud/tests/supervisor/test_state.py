import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from localcloud.state import (
    CloudRecord,
    PartRecord,
    ProcessId,
    StateError,
    StateFolder,
    write_private,
)


def record(supervisor: ProcessId) -> CloudRecord:
    part = PartRecord("postgres", "running", {"postgres": 5433}, "/log", process=supervisor)
    down = PartRecord("valkey", "killed", {"valkey": 6380}, "/log")
    return CloudRecord("ready", supervisor, {"postgres": 5433}, {}, {"PG_URL": "x"}, [part, down])


def test_a_record_reads_back_as_it_was_written(tmp_path: Path) -> None:
    folder = StateFolder(tmp_path)
    written = record(ProcessId.of(os.getpid()))
    folder.write(written)
    assert folder.read() == written
    assert folder.running() == written


def test_the_record_is_for_its_owner_alone(tmp_path: Path) -> None:
    folder = StateFolder(tmp_path)
    folder.write(record(ProcessId.of(os.getpid())))
    assert stat.S_IMODE(folder.record_file.stat().st_mode) == 0o600


@pytest.mark.parametrize("text", ["", "{", "[]", '{"state": "ready"}', '{"parts": 1}'])
def test_an_unreadable_record_counts_as_none(tmp_path: Path, text: str) -> None:
    folder = StateFolder(tmp_path)
    folder.record_file.write_text(text)
    assert folder.read() is None


def test_a_process_that_ended_is_not_running() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        identity = ProcessId.of(child.pid)
        assert identity.process() is not None
        child.kill()
        child.wait()
    assert identity.process() is None


def test_a_pid_that_was_given_to_another_process_is_not_mistaken_for_the_first() -> None:
    mine = ProcessId.of(os.getpid())
    assert ProcessId(mine.pid, mine.created - 100).process() is None


def test_a_cloud_whose_supervisor_is_gone_is_not_running(tmp_path: Path) -> None:
    mine = ProcessId.of(os.getpid())
    folder = StateFolder(tmp_path)
    folder.write(record(ProcessId(mine.pid, mine.created - 100)))
    assert folder.running() is None


def test_a_folder_with_other_files_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    folder = StateFolder(tmp_path)
    with pytest.raises(StateError, match="holds other files; choose an empty folder"):
        folder.create()
    with pytest.raises(StateError, match="is not a state folder of the local cloud"), folder.held():
        pass
    assert [file.name for file in tmp_path.iterdir()] == ["thesis.txt"]


def test_secrets_are_made_once_and_stay_private(tmp_path: Path) -> None:
    folder = StateFolder(tmp_path / "state")
    folder.create()
    first = folder.secrets()
    assert folder.secrets() == first
    assert len({first.postgres, first.platform, first.durable, first.servicebus}) == 4
    assert folder.servicebus_key_file.read_text() == first.servicebus
    for file in (tmp_path / "state" / "secrets").iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_secret_that_a_newer_version_needs_is_added_and_the_others_stay(tmp_path: Path) -> None:
    folder = StateFolder(tmp_path / "state")
    folder.create()
    first = folder.secrets()
    file = folder.path / "secrets" / "secrets.json"
    known = json.loads(file.read_text())
    del known["durable"]
    write_private(file, json.dumps(known))
    second = folder.secrets()
    assert second.platform == first.platform
    assert second.durable != first.durable


def test_only_one_supervisor_holds_a_folder(tmp_path: Path) -> None:
    folder = StateFolder(tmp_path)
    folder.create()
    folder.acquire()
    with pytest.raises(StateError, match=rf"already runs on .*\(pid {os.getpid()}\)"):
        StateFolder(tmp_path).acquire()
    folder.release()
    other = StateFolder(tmp_path)
    other.acquire()
    other.release()
