"""The dashboard as the process that it is, alone and as a part of a local cloud."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from localcloud import parts
from localcloud.cloud import ROOT, LocalCloud, erase
from localcloud.process import PREFIX
from localcloud.state import StateFolder
from localcloud.tests.dashboard.conftest import Page

PATIENCE_S = 60.0


def command(*options: str) -> list[str]:
    return [sys.executable, "-m", "localcloud.dashboard", *options]


@pytest.fixture
def started(postgres: str, tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A dashboard without a cloud, over a server that has no task hub of its own."""
    options = ("--port", "0", "--state", str(tmp_path), "--durable-url", f"{postgres}/postgres")
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen(
            command(*options), cwd=ROOT, stdout=subprocess.PIPE, stderr=log, text=True
        )
    with process:
        yield process
        process.kill()


def test_it_serves_alone_and_drains_at_sigterm(started: subprocess.Popen[str]) -> None:
    assert started.stdout is not None
    line = started.stdout.readline()
    assert line.startswith(PREFIX)
    port = json.loads(line.removeprefix(PREFIX))["port"]
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
        assert client.get("/health").json() == {"status": "ok"}
        page = Page(client.get("/"))
        assert page.texts("//section[@id='parts']//p")[0] == "No local cloud runs here."
        assert client.get("/", headers={"Host": "evil.example"}).status_code == 403
        script = client.get("/static/dashboard.js")
        assert script.headers["content-type"].startswith("text/javascript")
    started.send_signal(signal.SIGTERM)
    assert started.wait(PATIENCE_S) == 0
    assert started.stdout.read() == ""


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.1", "localhost.evil.example"])  # noqa: S104 - refused
def test_it_listens_to_this_machine_alone(tmp_path: Path, host: str) -> None:
    refused = subprocess.run(
        command("--host", host, "--port", "0", "--state", str(tmp_path)),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_S,
    )
    assert refused.returncode == 2
    assert f"{host} is not an address of this machine alone" in refused.stderr
    assert refused.stdout == ""


def test_without_a_cloud_and_without_a_database_it_says_what_to_do(tmp_path: Path) -> None:
    refused = subprocess.run(
        command("--port", "0", "--state", str(tmp_path)),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_S,
    )
    assert refused.returncode == 2
    assert f"no local cloud runs on {tmp_path}: start it, or --durable-url" in refused.stderr


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[LocalCloud]:
    """PostgreSQL, the broker and the dashboard, supervised."""
    folder = tmp_path / "state"
    steps = (parts.POSTGRES, parts.SERVICEBUS, parts.DATABASES, parts.DASHBOARD)
    made = LocalCloud(folder, steps=steps)
    made.start()
    yield made
    made.stop()
    erase(StateFolder(folder))


def test_a_supervised_dashboard_tells_of_its_cloud_and_outlives_the_database(
    cloud: LocalCloud,
) -> None:
    assert cloud.record().urls["dashboard"] == cloud.url("dashboard")
    with httpx.Client(base_url=cloud.url("dashboard"), timeout=PATIENCE_S, trust_env=False) as http:
        page = Page(http.get("/"))
        of_broker = f"{cloud.ports['servicebus']}, {cloud.ports['servicebus-admin']}"
        assert sorted(row[:3] for row in page.rows("parts")) == [
            ["dashboard", "✓ ok", str(cloud.ports["dashboard"])],
            ["postgres", "✓ ok", str(cloud.ports["postgres"])],
            ["servicebus", "✓ ok", of_broker],
        ]
        assert page.rows("messages") == [[name, "0", "0", "0"] for name in mailboxes()]
        assert page.text("//section[@id='numbers']//p[1]") == "There is no task hub yet."

        cloud.kill("postgres")
        eventually(lambda: http.get("/orchestrations").status_code == 503)
        page = Page(http.get("/"))
        assert page.status == 200
        assert health_of_postgres(page) == "✕ killed: down"
        why = page.text("//section[@id='numbers']//p[1]")
        assert why.startswith("PostgreSQL does not answer: ")

        cloud.kill("servicebus")
        page = Page(http.get("/"))
        why = page.text("//section[@id='messages']//p[1]")
        assert why.startswith("The broker does not answer: [Errno ")

        cloud.start_part("postgres")
        page = Page(http.get("/"))
        assert health_of_postgres(page) == "✓ ok"
        assert page.text("//section[@id='numbers']//p[1]") == "There is no task hub yet."


def mailboxes() -> list[str]:
    """Every queue and subscription of the topology that the broker serves."""
    text = (ROOT / "infra" / "servicebus.topology.json").read_text()
    (namespace,) = json.loads(text)["UserConfig"]["Namespaces"]
    queues = sorted(queue["Name"] for queue in namespace["Queues"])
    subscriptions = [
        f"{topic['Name']}/{subscription['Name']}"
        for topic in namespace["Topics"]
        for subscription in topic["Subscriptions"]
    ]
    return queues + sorted(subscriptions)


def health_of_postgres(page: Page) -> str:
    (health,) = [row[1] for row in page.rows("parts") if row[0] == "postgres"]
    return health


def eventually(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, "it did not come to pass in time"
        time.sleep(0.05)
