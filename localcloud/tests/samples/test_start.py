"""`functions start` as a developer meets it."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import psutil
import pytest

from localcloud.tests.samples.conftest import ROOT, SAMPLES, Started, ended, eventually, start

SOURCE = """
import os
import azure.functions as func
app = func.FunctionApp()

@app.route("hello")
async def hello(req: func.HttpRequest) -> str:
    return "{answer} " + os.environ.get("WHOM", "nobody")

@app.route("other")
async def other(req: func.HttpRequest) -> str:
    return "other"

@app.route("die")
async def die(req: func.HttpRequest) -> str:
    os._exit(7)
"""


@pytest.fixture
def app(tmp_path: Path) -> Path:
    """A small app with settings of its own."""
    folder = tmp_path / "app"
    folder.mkdir()
    (folder / "host.json").write_text('{"version": "2.0"}')
    write(folder, "hello")
    values = {"IsEncrypted": False, "Values": {"WHOM": "world"}}
    (folder / "local.settings.json").write_text(json.dumps(values))
    return folder


def write(folder: Path, answer: str) -> None:
    (folder / "function_app.py").write_text(SOURCE.replace("{answer}", answer))


@pytest.mark.conforms(
    "functions start",
    "the functions are listed with their URLs",
    source="learn:azure/azure-functions/functions-run-local#start",
)
def test_the_functions_are_listed_with_their_urls(app: Path, tmp_path: Path) -> None:
    with start(app, tmp_path) as started:
        base = str(started.http.base_url).rstrip("/")
        eventually(lambda: f"hello: [any method] {base}/api/hello" in started.log)
        assert "Function keys are not asked for." in started.log
        assert started.http.get("/api/hello").text == "hello world"
        assert "\x1b" not in started.log
        assert started.stop() == 0


@pytest.mark.conforms(
    "functions start",
    "--functions runs the named ones only",
    source="learn:azure/azure-functions/functions-core-tools-reference#func-start",
)
def test_only_the_named_functions_run(app: Path, tmp_path: Path) -> None:
    with start(app, tmp_path, "--functions", "other", "die", "--no-reload") as started:
        assert started.http.get("/api/other").text == "other"
        assert started.http.get("/api/hello").status_code == 404


@pytest.mark.conforms(
    "functions start",
    "keys are asked for only with --enable-auth",
    source="learn:azure/azure-functions/functions-core-tools-reference#func-start",
)
def test_keys_are_asked_for_on_request(app: Path, tmp_path: Path) -> None:
    with start(app, tmp_path, "--enable-auth", "--no-reload") as started:
        assert started.http.get("/api/hello").status_code == 401
        keys = json.loads((tmp_path / "state" / "keys.json").read_text())
        key = keys["functions"]["hello"]["default"]
        assert started.http.get("/api/hello", params={"code": key}).status_code == 200


def test_a_change_counts_at_once_and_a_mistake_does_no_harm(app: Path, tmp_path: Path) -> None:
    with start(app, tmp_path) as started:
        write(app, "goodbye")
        eventually(lambda: started.http.get("/api/hello").text == "goodbye world")

        (app / "function_app.py").write_text("this is no Python")
        eventually(lambda: "Waiting for a change of the app" in started.log)
        assert "SyntaxError" in started.log

        write(app, "welcome back")
        assert started.http.get("/api/hello").text == "welcome back world"


def test_a_process_that_dies_is_started_again(app: Path, tmp_path: Path) -> None:
    with start(app, tmp_path, "--no-reload") as started:
        assert started.http.get("/api/die").status_code == 500

        assert started.http.get("/api/hello").text == "hello world"
        assert "The app's process exited with code 7 (0x7): this is a new one" in started.log


def test_the_apps_process_does_not_outlive_the_command(app: Path, tmp_path: Path) -> None:
    with start(app, tmp_path) as started:
        guard, app_process = psutil.Process(started.process.pid).children(recursive=True)

        os.kill(started.process.pid, signal.SIGKILL)

        guard.wait(10)
        eventually(lambda: not app_process.is_running())


def test_a_database_of_its_own_keeps_what_an_orchestration_did(folder: Path) -> None:
    def greet(started: Started) -> dict[str, str]:
        links: dict[str, str] = started.http.post("/api/orchestrators/greet_cities").json()
        return links

    with start(SAMPLES / "function_chaining", folder) as started:
        links = greet(started)
        assert ended(links)["runtimeStatus"] == "Completed"
        assert "Starting PostgreSQL for Durable Functions in " in started.log
        assert started.stop() == 0
    with start(SAMPLES / "function_chaining", folder) as started:
        path = httpx.URL(links["statusQueryGetUri"]).raw_path.decode()
        assert started.http.get(path).json()["output"][0] == "Hello Tokyo!"


STORING = """
import logging
import azure.functions as func
app = func.FunctionApp()

@app.route("orders/{id}")
@app.queue_output(arg_name="parcel", queue_name="parcels", connection="%s")
def order(req: func.HttpRequest, parcel: func.Out[str]) -> func.HttpResponse:
    parcel.set(req.route_params["id"])
    return func.HttpResponse("ordered")

@app.queue_trigger(arg_name="message", queue_name="parcels", connection="%s")
def pack(message: func.QueueMessage) -> None:
    logging.warning("packed %%s", message.get_body().decode())
"""


@pytest.mark.parametrize(
    ("connection", "values"),
    [
        ("AzureWebJobsStorage", {}),
        ("Stock", {"Stock": "UseDevelopmentStorage=true"}),
    ],
)
def test_an_emulator_is_there_for_an_app_that_stores(
    folder: Path, connection: str, values: dict[str, str]
) -> None:
    app = folder / f"storing-{connection}"
    app.mkdir()
    (app / "host.json").write_text('{"version": "2.0"}')
    (app / "function_app.py").write_text(STORING % (connection, connection))
    local = {"IsEncrypted": False, "Values": values}
    (app / "local.settings.json").write_text(json.dumps(local))

    with start(app, app, "--no-reload") as started:
        assert started.http.get(f"/api/orders/{connection}").text == "ordered"
        eventually(lambda: f"packed {connection}" in started.log)
        assert started.stop() == 0


def test_a_setting_that_leads_nowhere_is_named(folder: Path) -> None:
    app = folder / "nowhere"
    app.mkdir()
    (app / "host.json").write_text('{"version": "2.0"}')
    (app / "function_app.py").write_text(STORING % ("Nowhere", "Nowhere"))

    done = run("--script-root", str(app), "--state", str(app / "state"), "--no-reload")

    assert done.returncode == 1
    assert "neither the setting 'Nowhere' nor 'Nowhere__queueServiceUri' is set" in done.stderr


def test_a_mistake_ends_the_command_when_it_does_not_reload(tmp_path: Path) -> None:
    (tmp_path / "function_app.py").write_text("")

    done = run("--script-root", str(tmp_path), "--state", str(tmp_path), "--no-reload")

    assert done.returncode == 1
    assert "host.json is missing: this is no Functions app" in done.stderr


def test_help_names_every_option() -> None:
    done = run("--help")

    assert done.returncode == 0
    for option in ("--script-root", "--port", "--functions", "--enable-auth", "--no-reload"):
        assert option in done.stdout


def run(*options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "localcloud", "functions", "start", "--port", "0", *options],
        check=False,
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=20,
    )
