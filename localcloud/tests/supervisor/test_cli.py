import json
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from localcloud.cli import main
from localcloud.cloud import ROOT, LocalCloud
from localcloud.parts import Step
from localcloud.state import StateFolder
from localcloud.tests.supervisor.conftest import Driver
from localcloud.tests.supervisor.fakes import fake_part, until

TABLE = (fake_part("shop"), fake_part("other"))


def run(*arguments: str, steps: tuple[Step, ...] = TABLE, answer: str = "") -> Result:
    return CliRunner().invoke(main, arguments, obj=steps, input=answer)


@pytest.fixture
def foreground(state_dir: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts `up` over fake parts as a terminal would; ends what the test leaves running."""
    started: list[subprocess.Popen[str]] = []

    def up(*steps: str, port_base: int = 0) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "localcloud.tests.supervisor.drive_cli", *steps, "--"]
        process = subprocess.Popen(
            [*command, "up", "--state", str(state_dir), "--port-base", str(port_base)],
            cwd=ROOT,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        started.append(process)
        return process

    yield up
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()


@pytest.mark.parametrize("command", ["up", "down", "status", "logs", "reset"])
def test_every_command_explains_itself(command: str) -> None:
    assert command in run("--help").output
    result = run(command, "--help")
    assert result.exit_code == 0
    assert "--state DIRECTORY" in result.output


def test_up_reports_each_step_and_stays_until_ctrl_c_and_the_data_stays(
    state_dir: Path, foreground: Callable[..., subprocess.Popen[str]]
) -> None:
    process = foreground("shop:serve", "other:serve")
    until(lambda: _phase(state_dir) == "ready")
    folder = StateFolder(state_dir)
    secrets = folder.secrets()
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=20)
    assert process.returncode == 0
    assert re.findall(r"✓ (\w+) +\d+\.\d s +127\.0\.0\.1:\d+", output) in (
        ["shop", "other"],
        ["other", "shop"],
    )
    assert re.search(r"Ready in \d+\.\d s\. The data lives in ", output)
    assert output.endswith(
        f"Stopping\n  stopping other\n  stopping shop\nStopped; the data stays in {state_dir}\n"
    )
    assert folder.running() is None
    assert folder.secrets() == secrets


def test_up_can_be_stopped_while_it_starts(
    state_dir: Path, foreground: Callable[..., subprocess.Popen[str]]
) -> None:
    process = foreground("shop:silent")
    until(lambda: _phase(state_dir) == "starting" and _pids(state_dir) != [])
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=20)
    assert process.returncode == 130
    assert output.endswith("Interrupted; everything is stopped\n")
    assert _pids(state_dir) == []


def test_a_second_ctrl_c_ends_at_once_and_every_part_with_it(
    state_dir: Path, foreground: Callable[..., subprocess.Popen[str]]
) -> None:
    process = foreground("shop:stubborn")
    until(lambda: _phase(state_dir) == "ready")
    record = StateFolder(state_dir).read()
    assert record is not None
    shop = record.parts[0].process
    assert shop is not None
    process.send_signal(signal.SIGINT)
    until(lambda: _phase(state_dir) == "stopping")
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=3)
    assert process.returncode == 1
    until(lambda: shop.process() is None)


def test_a_part_that_fails_is_explained_without_a_traceback(
    state_dir: Path, foreground: Callable[..., subprocess.Popen[str]]
) -> None:
    process = foreground("shop:refuse")
    output, _ = process.communicate(timeout=20)
    assert process.returncode == 1
    assert output.endswith(
        f"Error: shop ended with exit code 1. The end of {state_dir}/logs/shop.log:\n"
        "    the fake part does not like this machine\n"
    )
    assert "Traceback" not in output


def test_up_names_the_taken_port_and_what_to_do(
    foreground: Callable[..., subprocess.Popen[str]],
) -> None:
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        taken = listener.getsockname()[1]
        # The base that moves the Functions host's port, 7071 by default, onto the taken one.
        process = foreground("functions:serve", port_base=taken - 7071 + 5000)
        output, _ = process.communicate(timeout=20)
    assert process.returncode == 1
    assert f"port {taken}, which functions needs, is taken by pid " in output
    assert "--port-base 6000" in output


def test_up_refuses_a_port_base_out_of_range(
    foreground: Callable[..., subprocess.Popen[str]],
) -> None:
    output, _ = foreground("shop:serve", port_base=70000).communicate(timeout=20)
    assert output == "Error: a port base is 0 or lies between 1000 and 48000, not 70000\n"


def test_status_says_how_each_part_is(state_dir: Path, drive: Callable[..., Driver]) -> None:
    drive("shop:serve", "other:serve")
    result = run("status", "--state", str(state_dir))
    assert result.exit_code == 0, result.output
    rows = [line.split() for line in result.output.splitlines()[2:]]
    assert rows[0] == ["part", "state", "health", "pid", "port", "uptime", "memory"]
    assert sorted(row[:3] for row in rows[1:]) == [
        ["other", "running", "ok"],
        ["shop", "running", "ok"],
    ]
    assert [row[-1] for row in rows[1:]] == ["MiB", "MiB"]


def test_status_as_json_has_the_same_facts_for_programs(
    state_dir: Path, drive: Callable[..., Driver]
) -> None:
    driver = drive("shop:serve")
    said = json.loads(run("status", "--json", "--state", str(state_dir)).output)
    record = StateFolder(state_dir).read()
    assert record is not None
    assert record.parts[0].process is not None
    assert said["state"] == "ready"
    assert said["urls"] == record.urls
    [part] = said["parts"]
    assert part["pid"] == record.parts[0].process.pid
    assert part["ports"] == [record.ports["shop"]]
    assert part["health"] == "ok"
    assert 0 < part["memory_mib"] < 100
    driver.end()
    result = run("status", "--json", "--state", str(state_dir))
    assert result.exit_code == 1
    assert json.loads(result.output) == {"state": "stopped", "parts": []}


def test_status_fails_when_a_part_is_down(state_dir: Path) -> None:
    with LocalCloud(state_dir, steps=TABLE) as cloud:
        cloud.kill("other")
        result = run("status", "--state", str(state_dir))
    assert result.exit_code == 1
    rows = [line.split() for line in result.output.splitlines()[3:]]
    assert sorted(row[:3] for row in rows) == [
        ["other", "killed", "down"],
        ["shop", "running", "ok"],
    ]


def test_down_stops_a_cloud_and_says_when_there_is_none(
    state_dir: Path, drive: Callable[..., Driver]
) -> None:
    assert run("down", "--state", str(state_dir)).output == "Nothing runs\n"
    driver = drive("shop:serve")
    pid = driver.process.pid
    result = run("down", "--state", str(state_dir))
    assert result.output == f"Stopping the local cloud (pid {pid})\nStopped\n"
    assert StateFolder(state_dir).running() is None


def test_logs_shows_the_last_lines_of_one_part_or_all(
    state_dir: Path, drive: Callable[..., Driver]
) -> None:
    drive("shop:serve", "other:serve").end()
    state = ("--state", str(state_dir))
    assert run("logs", "shop", "-n", "1", *state).output in (
        "mode serve\n",
        "said before it was ready\n",
    )
    everything = run("logs", *state).output.splitlines()
    assert [line for line in everything if line.startswith("---")] == ["--- shop", "--- other"]
    assert everything.count("mode serve") == 2


def test_logs_names_the_parts_there_are(state_dir: Path) -> None:
    result = run("logs", "shoop", "--state", str(state_dir))
    assert result.exit_code == 2
    assert "no part is called 'shoop'; there are: shop, other, supervisor" in result.output


def test_reset_refuses_while_the_cloud_runs(state_dir: Path, drive: Callable[..., Driver]) -> None:
    driver = drive("shop:serve")
    result = run("reset", "--yes", "--state", str(state_dir))
    assert result.exit_code == 1
    assert f"already runs on {state_dir} (pid {driver.process.pid})" in result.output
    assert run("status", "--state", str(state_dir)).exit_code == 0


def test_reset_asks_first_and_then_leaves_nothing(
    state_dir: Path, drive: Callable[..., Driver]
) -> None:
    drive("shop:serve").end()
    state = ("--state", str(state_dir))
    assert run("reset", *state, answer="n\n").exit_code == 1
    assert state_dir.exists()
    assert run("reset", *state, answer="y\n").exit_code == 0
    assert not state_dir.exists()
    assert run("reset", *state).output == f"There is nothing in {state_dir}\n"


def test_reset_never_deletes_a_folder_of_something_else(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    result = run("reset", "--yes", "--state", str(tmp_path))
    assert result.exit_code == 1
    assert "is not a state folder of the local cloud" in result.output
    assert (tmp_path / "thesis.txt").read_text() == "years of work"


def test_another_python_hands_over_to_the_projects_own() -> None:
    # -S hides the installed packages, as a Python without them would.
    done = subprocess.run(
        [sys.executable, "-S", "-m", "localcloud", "--help"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.startswith("Usage: python -m localcloud [OPTIONS] COMMAND")


def _phase(state: Path) -> str:
    record = StateFolder(state).running()
    return record.state if record else ""


def _pids(state: Path) -> list[int]:
    record = StateFolder(state).read()
    return [part.process.pid for part in record.parts if part.process] if record else []
