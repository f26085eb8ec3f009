import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from localcloud.catalogue import sign_in
from localcloud.cloud import ROOT
from localcloud.state import StateFolder


def run(command: str, state: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "localcloud", command, "--state", str(state), *options],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@pytest.fixture
def stopped(state_dir: Path) -> Iterator[Path]:
    yield state_dir
    run("down", state_dir)


def test_the_whole_platform_starts_in_the_background_and_its_data_survives_a_restart(
    stopped: Path,
) -> None:
    up = run("up", stopped, "--detach", "--port-base", "0")
    assert up.returncode == 0, up.stdout + up.stderr
    assert "loaded 1000 products" in up.stdout
    assert "ada@company.example" in up.stdout
    assert "It runs in the background (pid " in up.stdout

    status = run("status", stopped, "--json")
    assert status.returncode == 0, status.stdout
    health = {part["name"]: part["health"] for part in json.loads(status.stdout)["parts"]}
    assert health == dict.fromkeys(
        (
            *("postgres", "valkey", "servicebus", "azurite", "identity"),
            *("eventgrid", "communication", "erp", "payment", "shipping"),
            *("notifier", "functions", "dashboard", "gateway", "keyvault"),
        ),
        "ok",
    )
    first = products(stopped)
    assert len(first) == 5

    assert run("down", stopped).stdout.endswith("Stopped\n")
    again = run("up", stopped, "--detach", "--port-base", "0")
    assert again.returncode == 0, again.stdout + again.stderr
    assert "already loaded" in again.stdout
    assert products(stopped) == first


def products(state: Path) -> list[str]:
    """The ids of the first five products, read as a signed-in client."""
    record = StateFolder(state).running()
    assert record is not None
    with httpx.Client(trust_env=False) as client:
        token = sign_in(client, record.urls["identity"], "alice")
        answer = client.get(
            f"{record.urls['api']}/products",
            params={"limit": 5},
            headers={"Authorization": f"Bearer {token}"},
        )
    assert answer.status_code == 200, answer.text
    return [item["id"] for item in answer.json()["items"]]
