import dataclasses
import os
import signal
import socket
import threading
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from localcloud import supervisor
from localcloud.cloud import Cancelled, LocalCloud, PortTaken
from localcloud.parts import Step, Task
from localcloud.state import PartRecord, ProcessId, StateError, StateFolder, write_private
from localcloud.supervisor import StartError
from localcloud.tests.supervisor.conftest import Driver
from localcloud.tests.supervisor.fakes import fake_part, until


def make(state: Path, *steps: Step) -> LocalCloud:
    return LocalCloud(state, steps=steps)


def part_of(state: Path, name: str) -> PartRecord:
    record = StateFolder(state).read()
    assert record is not None
    return next(part for part in record.parts if part.name == name)


def process_of(state: Path, name: str) -> psutil.Process:
    identity = part_of(state, name).process
    assert identity is not None
    process = identity.process()
    assert process is not None
    return process


def is_up(state: Path, name: str) -> bool:
    part = part_of(state, name)
    return part.state == "running" and part.process is not None


def test_steps_start_after_what_they_need_and_stop_in_reverse(state_dir: Path) -> None:
    seen: list[str] = []

    class Notes:
        def began(self, step: str) -> None:
            seen.append(f"began {step}")

        def ended(self, step: str, took_s: float, detail: str) -> None:
            del took_s, detail
            seen.append(f"ended {step}")

        def stopping(self, part: str) -> None:
            seen.append(f"stopping {part}")

    steps = (
        fake_part("store"),
        Task("load", lambda _: "loaded", after=("store",)),
        fake_part("shop", after=("load",)),
    )
    with LocalCloud(state_dir, steps=steps, progress=Notes()):
        pass
    assert seen == [
        "began store",
        "ended store",
        "began load",
        "ended load",
        "began shop",
        "ended shop",
        "stopping shop",
        "stopping store",
    ]


def test_a_running_cloud_describes_itself_to_others(state_dir: Path) -> None:
    with make(state_dir, fake_part("shop")) as cloud:
        record = StateFolder(state_dir).running()
        assert record is not None
        assert record.state == "ready"
        assert record.supervisor.pid == os.getpid()
        assert record.ports == cloud.ports
        assert record.urls["api"] == f"http://127.0.0.1:{cloud.ports['functions']}/api/v1"
        assert record.environment == cloud.environment
        [part] = record.parts
        assert (part.name, part.state, part.restarts) == ("shop", "running", 0)
    after = StateFolder(state_dir).read()
    assert after is not None
    assert after.state == "stopped"
    assert after.parts[0].process is None


def test_a_part_writes_its_log_and_its_ready_line_is_not_in_it(state_dir: Path) -> None:
    with make(state_dir, fake_part("shop")):
        pass
    lines = (state_dir / "logs" / "shop.log").read_text().splitlines()
    assert sorted(lines) == ["mode serve", "said before it was ready"]


def test_a_crashed_part_comes_back_on_its_port(state_dir: Path) -> None:
    with make(state_dir, fake_part("shop")):
        first = process_of(state_dir, "shop")
        first.kill()
        until(lambda: part_of(state_dir, "shop").restarts == 1 and is_up(state_dir, "shop"))
        assert process_of(state_dir, "shop").pid != first.pid


def test_a_part_that_keeps_crashing_is_given_up(
    state_dir: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(supervisor, "FIRST_BACKOFF_S", 0.01)
    monkeypatch.setattr(supervisor, "RESTARTS_MAX", 2)
    with make(state_dir, fake_part("shop"), fake_part("other")):
        for _ in range(2):
            process_of(state_dir, "shop").kill()
            restarts = part_of(state_dir, "shop").restarts
            until(
                lambda seen=restarts: (  # type: ignore[misc]
                    part_of(state_dir, "shop").restarts == seen + 1 and is_up(state_dir, "shop")
                )
            )
        process_of(state_dir, "shop").kill()
        until(lambda: part_of(state_dir, "shop").state == "failed")
        assert is_up(state_dir, "other")
    assert [record.getMessage().split(" in ")[0] for record in caplog.records][:2] == [
        "shop was ended by SIGKILL; starting it again",
        "shop was ended by SIGKILL; starting it again",
    ]
    assert "it crashed 3 times in a row and stays down" in caplog.records[2].getMessage()


def test_a_killed_part_stays_down_until_it_is_started_again(state_dir: Path) -> None:
    with make(state_dir, fake_part("shop"), fake_part("other")) as cloud:
        other = process_of(state_dir, "other")
        port = cloud.ports["shop"]
        cloud.kill("shop")
        assert part_of(state_dir, "shop") == PartRecord(
            "shop", "killed", {"shop": port}, str(state_dir / "logs" / "shop.log")
        )
        cloud.start_part("shop")
        assert is_up(state_dir, "shop")
        assert part_of(state_dir, "shop").ports == {"shop": port}
        assert process_of(state_dir, "other") == other


def test_a_part_can_be_drained_alone(state_dir: Path) -> None:
    with make(state_dir, fake_part("shop")) as cloud:
        cloud.stop_part("shop")
        assert part_of(state_dir, "shop").state == "stopped"


def test_whatever_a_part_started_ends_with_it(state_dir: Path) -> None:
    with make(state_dir, fake_part("shop", "parent")) as cloud:
        [grandchild] = process_of(state_dir, "shop").children()
        cloud.kill("shop")
        until(lambda: not grandchild.is_running())


def test_a_part_that_ignores_the_request_to_stop_is_killed(state_dir: Path) -> None:
    with make(state_dir, fake_part("shop", "stubborn-parent", stop_s=0.3)):
        shop = process_of(state_dir, "shop")
        [grandchild] = shop.children()
    assert not shop.is_running()
    until(lambda: not grandchild.is_running())


def test_a_part_that_refuses_to_start_is_named_with_the_end_of_its_log(state_dir: Path) -> None:
    cloud = make(state_dir, fake_part("other"), fake_part("shop", "refuse"))
    with pytest.raises(StartError) as refused:
        cloud.start()
    assert str(refused.value) == (
        f"shop ended with exit code 1. The end of {state_dir}/logs/shop.log:\n"
        "    the fake part does not like this machine"
    )
    assert StateFolder(state_dir).running() is not None  # this process lives
    assert part_of(state_dir, "other").process is None
    StateFolder(state_dir).acquire()  # and let go of the folder


def test_a_part_that_stays_silent_is_not_waited_for_for_ever(state_dir: Path) -> None:
    cloud = make(state_dir, fake_part("shop", "silent", ready_s=0.5))
    with pytest.raises(StartError, match=r"shop was not ready after 0\.5 s"):
        cloud.start()
    assert part_of(state_dir, "shop").process is None


def test_a_failed_task_stops_what_already_runs(state_dir: Path) -> None:
    def fail(_: object) -> str:
        raise LookupError("no such thing")

    cloud = make(state_dir, fake_part("shop"), Task("load", fail, after=("shop",)))
    with pytest.raises(LookupError, match="no such thing"):
        cloud.start()
    assert part_of(state_dir, "shop").process is None


def test_an_interrupted_start_leaves_nothing_running(state_dir: Path) -> None:
    cancel = threading.Event()
    cloud = make(state_dir, fake_part("other"), fake_part("shop", "silent", ready_s=60))
    threading.Timer(0.5, cancel.set).start()
    with pytest.raises(Cancelled):
        cloud.start(cancel)
    assert part_of(state_dir, "other").process is None
    assert part_of(state_dir, "shop").process is None


def test_a_taken_port_is_named_with_its_part_and_holder_before_anything_starts(
    state_dir: Path,
) -> None:
    cloud = make(state_dir, fake_part("other"), fake_part("shop"))
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", cloud.ports["shop"]))
        listener.listen()
        with pytest.raises(PortTaken) as refused:
            cloud.start()
    text = str(refused.value)
    assert text.startswith(f"port {cloud.ports['shop']}, which shop needs, is taken by pid ")
    assert text.endswith("for example with `python -m localcloud up --port-base 6000`")
    assert StateFolder(state_dir).read() is None


def test_a_second_supervisor_of_the_same_folder_is_refused(
    state_dir: Path, drive: Callable[..., Driver]
) -> None:
    driver = drive("shop:serve")
    with pytest.raises(StateError, match=rf"already runs on .*\(pid {driver.process.pid}\)"):
        make(state_dir, fake_part("shop")).start()
    assert is_up(state_dir, "shop")


@pytest.mark.skipif(not hasattr(signal, "pidfd_send_signal"), reason="Linux alone knows it")
def test_when_the_supervisor_is_killed_every_part_goes_with_it(
    state_dir: Path, drive: Callable[..., Driver]
) -> None:
    driver = drive("postgres:real", "valkey:real", "shop:stubborn")
    processes = [process_of(state_dir, name) for name in ("postgres", "valkey", "shop")]
    driver.process.kill()
    until(lambda: not any(process.is_running() for process in processes))
    assert StateFolder(state_dir).running() is None


def test_after_a_killed_supervisor_the_next_one_starts_at_once(
    state_dir: Path, drive: Callable[..., Driver]
) -> None:
    drive("shop:serve").end()
    with make(state_dir, fake_part("shop")):
        assert is_up(state_dir, "shop")


def test_a_part_that_outlived_its_supervisor_is_stopped_first(
    state_dir: Path, drive: Callable[..., Driver]
) -> None:
    # A killed supervisor's part, as it stays behind where there is no death with the parent: the
    # record of a dead supervisor names a process that lives.
    driver = drive("shop:serve")
    left_over = process_of(state_dir, "shop")
    folder = StateFolder(state_dir)
    record = folder.record_file.read_text()
    elsewhere = state_dir.with_name("elsewhere")
    second = StateFolder(elsewhere)
    second.create()
    write_private(second.record_file, record)
    with make(elsewhere, fake_part("shop")):
        assert not ProcessId(left_over.pid, left_over.create_time()).process()
        assert is_up(elsewhere, "shop")
    driver.end()


def test_a_recorded_pid_that_belongs_to_another_process_now_is_left_alone(state_dir: Path) -> None:
    folder = StateFolder(state_dir)
    with make(state_dir, fake_part("shop")) as cloud:
        record = cloud.record()
    mine = ProcessId.of(os.getpid())
    reused = dataclasses.replace(mine, created=mine.created - 100)
    folder.write(
        dataclasses.replace(
            record, parts=[dataclasses.replace(record.parts[0], process=reused)], supervisor=reused
        )
    )
    with make(state_dir, fake_part("shop")):  # would end the test run otherwise
        assert is_up(state_dir, "shop")
