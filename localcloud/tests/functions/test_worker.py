"""Microsoft's worker library as the host sets it up: threads, packages, what it cannot run."""

import concurrent.futures
from pathlib import Path

import httpx
import pytest

from localcloud.tests.functions.running_host import refusal, running

PYTHON = "learn:azure/azure-functions/functions-reference-python"
COUNTING = """
import threading, time
import azure.functions as func

app = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)
now, most, guard = 0, 0, threading.Lock()

@app.route("work")
def work(req: func.HttpRequest) -> str:
    global now, most
    with guard:
        now += 1
        most = max(most, now)
    time.sleep(0.2)
    with guard:
        now -= 1
    return f"most {most}"

@app.route("loop")
async def loop(req: func.HttpRequest) -> str:
    return "answered"
"""
STREAMING = """
import azure.functions as func
import streams

app = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)

@app.route("stream")
async def stream(req: streams.Request):
    return "never"
"""
STREAMS = '''
"""Stands for azurefunctions-extensions-http-fastapi: the same base classes, the same effect."""

from azurefunctions.extensions.base import web

class Request:
    pass

class Synchronizer(web.RequestSynchronizer):
    def sync_route_params(self, request, path_params):
        pass

class Tracker(metaclass=web.RequestTrackerMeta):
    request_type = Request
    synchronizer = Synchronizer()

class WebApp(web.WebApp):
    def route(self, func):
        return func

    def get_app(self):
        return self

class WebServer(web.WebServer):
    async def serve(self):
        pass
'''


def app_of(folder: Path, **modules: str) -> Path:
    (folder / "host.json").write_text('{"version": "2.0"}')
    for name, source in modules.items():
        (folder / f"{name}.py").write_text(source)
    return folder


@pytest.mark.conforms(
    "Python worker",
    "sync functions run in a pool of PYTHON_THREADPOOL_THREAD_COUNT threads, beside the loop",
    source=PYTHON + "#scaling-and-performance",
)
@pytest.mark.parametrize("threads", [1, 2])
def test_as_many_sync_functions_at_a_time_as_there_are_threads(
    tmp_path: Path, threads: int
) -> None:
    env = {"PYTHON_THREADPOOL_THREAD_COUNT": str(threads)}
    with (
        running(app_of(tmp_path, function_app=COUNTING), tmp_path / "state", env=env) as host,
        concurrent.futures.ThreadPoolExecutor() as pool,
    ):
        base = host.http.base_url
        working = [pool.submit(httpx.get, f"{base}/api/work", timeout=20) for _ in range(4)]

        assert httpx.get(f"{base}/api/loop").text == "answered"
        assert {answer.result().status_code for answer in working} == {200}
        assert httpx.get(f"{base}/api/work").text == f"most {threads}"


@pytest.mark.conforms(
    "Python worker",
    "packages in .python_packages/lib/site-packages of the app are found",
    source=PYTHON + "#folder-structure",
)
def test_packages_of_the_app_are_found(tmp_path: Path) -> None:
    packages = tmp_path / ".python_packages" / "lib" / "site-packages"
    packages.mkdir(parents=True)
    (packages / "its_own_package.py").write_text("ANSWER = 'from the package'")
    source = COUNTING.replace('"answered"', "its_own_package.ANSWER")
    app = app_of(tmp_path, function_app=f"import its_own_package\n{source}")

    with running(app, tmp_path / "state") as host:
        assert host.http.get("/api/loop").text == "from the package"


def test_http_streams_are_refused_by_name(tmp_path: Path) -> None:
    app = app_of(tmp_path, function_app=STREAMING, streams=STREAMS)

    told = refusal(app, tmp_path / "state")

    assert "the app uses the fastapi extension (HTTP streams), which is not offered" in told


def test_what_the_app_raises_at_its_start_is_told(tmp_path: Path) -> None:
    app = app_of(tmp_path, function_app="raise RuntimeError('not today')")

    told = refusal(app, tmp_path / "state")

    assert "the app cannot be indexed: RuntimeError: not today" in told
