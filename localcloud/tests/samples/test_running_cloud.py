"""`functions start` beside a local cloud that runs already."""

import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import psycopg
import pytest

from localcloud.cloud import LocalCloud
from localcloud.environment import database_url
from localcloud.parts import POSTGRES
from localcloud.state import StateFolder
from localcloud.tests.samples.conftest import SAMPLES, ended, start

SOURCE = """
import os
import azure.functions as func
app = func.FunctionApp()

@app.route("settings")
async def settings(req: func.HttpRequest) -> func.HttpResponse:
    names = ("PAYMENT_GATEWAY_URL", "SHIPPING_URL", "ORDER_CURRENCY")
    return func.HttpResponse(" ".join(os.environ.get(name, "unset") for name in names))
"""


@pytest.fixture(scope="module")
def cloud(folder: Path) -> Iterator[LocalCloud]:
    with LocalCloud(folder / "cloud", steps=(POSTGRES,)) as running:
        yield running


def test_its_settings_count_last(cloud: LocalCloud, tmp_path: Path) -> None:
    app = tmp_path / "app"
    app.mkdir()
    (app / "host.json").write_text('{"version": "2.0"}')
    (app / "function_app.py").write_text(SOURCE)
    values = {"IsEncrypted": False, "Values": {"SHIPPING_URL": "http://from.file"}}
    (app / "local.settings.json").write_text(json.dumps(values))
    env = {"LOCALCLOUD_STATE": str(cloud.state.path), "ORDER_CURRENCY": "from the environment"}

    with start(app, tmp_path, "--no-reload", env=env) as started:
        told = started.http.get("/api/settings").text

    assert told == f"{cloud.url('payment')} http://from.file from the environment"


def test_its_postgres_keeps_the_task_hub(cloud: LocalCloud, tmp_path: Path) -> None:
    env = {"LOCALCLOUD_STATE": str(cloud.state.path)}
    with start(SAMPLES / "function_chaining", tmp_path, "--no-reload", env=env) as started:
        links = httpx.post(f"{started.http.base_url}/api/orchestrators/greet_cities").json()
        assert ended(links)["runtimeStatus"] == "Completed"
        assert "Starting PostgreSQL" not in started.log

    secrets = StateFolder(cloud.state.path).secrets()
    url = database_url(cloud.ports, "postgres", secrets.postgres)
    with psycopg.connect(url) as session:
        rows = session.execute(
            "SELECT datname FROM pg_database WHERE datname LIKE 'hub\\_chaininghub\\_%'"
        ).fetchall()
    assert len(rows) == 1
    assert not (tmp_path / "state" / "storage").exists()
