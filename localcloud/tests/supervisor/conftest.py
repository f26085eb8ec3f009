"""State folders that leave nothing behind."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from localcloud import parts
from localcloud.cloud import ROOT, LocalCloud, erase
from localcloud.state import StateFolder


@pytest.fixture
def state_dir(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "state"
    yield folder
    if folder.exists():
        erase(StateFolder(folder))


@pytest.fixture(scope="session")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCloud]:
    """PostgreSQL with its databases, and Valkey. A test leaves them running and empty."""
    folder = tmp_path_factory.mktemp("stores") / "state"
    steps = (parts.POSTGRES, parts.VALKEY, parts.DATABASES)
    cloud = LocalCloud(folder, steps=steps)
    cloud.start()
    yield cloud
    cloud.erase()


class Driver:
    """A local cloud in another process; see `drive.py`."""

    def __init__(self, state: Path, *steps: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "localcloud.tests.supervisor.drive", str(state), *steps],
            cwd=ROOT,
            stdout=subprocess.PIPE,
        )

    def wait_up(self) -> None:
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == b"up\n"

    def end(self) -> None:
        assert self.process.stdout is not None
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


@pytest.fixture
def drive(state_dir: Path) -> Iterator[Callable[..., Driver]]:
    """Starts a local cloud of `name:mode` parts in another process, which the test may kill."""
    made: list[Driver] = []

    def start(*steps: str) -> Driver:
        made.append(Driver(state_dir, *steps))
        made[-1].wait_up()
        return made[-1]

    yield start
    for driver in made:
        driver.end()
