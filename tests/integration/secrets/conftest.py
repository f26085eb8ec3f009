"""A Key Vault and the directory whose tokens it takes."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from localcloud.keyvault.__main__ import main
from tests.integration.payments.standins import Standin, running


class Process:
    """`python -m localcloud.<part>`, which can be ended and begun anew on its port."""

    def __init__(self, part: str, state: Path, *options: str) -> None:
        self._part, self._state, self._options = part, state, options
        self.port = 0
        self._process: subprocess.Popen[str] | None = None

    def start(self, *options: str) -> None:
        """Begin, on the port of before if there was one; `options` add to those of before."""
        module = [sys.executable, "-m", f"localcloud.{self._part}"]
        where = ["--port", str(self.port), "--state", str(self._state)]
        process = subprocess.Popen(
            [*module, *where, *self._options, *options],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=dict(os.environ),
        )
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith("READY "), f"{self._part} did not start: {line!r}"
        self.port = json.loads(line[6:])["port"]
        self._process = process

    def kill(self) -> None:
        """End it at once; nothing when it has ended."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait(timeout=10)
            assert process.stdout is not None
            process.stdout.close()


class KeyVaultPart(Process):
    """The vault, with the command that tends it."""

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    @property
    def ca_file(self) -> str:
        return str(self._state / "pki" / "authority.pem")

    def tend(self, *command: str) -> None:
        """What a person types to change the vault."""
        done = CliRunner().invoke(main, ["--state", str(self._state), *command])
        assert done.exit_code == 0, done.output


@pytest.fixture(scope="session")
def identity() -> Iterator[Standin]:
    with running("identity") as standin:
        yield standin


@pytest.fixture(scope="session")
def vault_part(
    identity: Standin, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[KeyVaultPart]:
    state = tmp_path_factory.mktemp("keyvault")
    part = KeyVaultPart("keyvault", state, "--identity", identity.url)
    part.start()
    yield part
    part.kill()


@pytest.fixture
def as_platform(identity: Standin, monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment that App Service gives the function app."""
    monkeypatch.setenv("IDENTITY_ENDPOINT", f"{identity.url}/msi/token")
    monkeypatch.setenv("IDENTITY_HEADER", "local-platform-identity-header")
