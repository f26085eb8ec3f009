"""`python -m bench.http_path`: what one trivial request costs the server, framework by framework.

The same handler behind the local Functions host, Starlette and FastAPI. The measure is the
server's own CPU time per request: on a busy machine it means more than a rate.
"""

import asyncio
import contextlib
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import psutil
import uvloop
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from bench import machine
from localcloud.process import PREFIX, serve_asgi

ROOT = Path(__file__).resolve().parents[1]
ANSWER = b'{"status": "ok"}'
FUNCTION_APP = f"""
import azure.functions as func

app = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)


@app.route(route="ping", methods=["GET"])
async def ping(req: func.HttpRequest) -> func.HttpResponse:
    return func.HttpResponse({ANSWER!r}, mimetype="application/json")
"""
# As long as a real token: reading headers is part of the work.
_TOKEN = "x" * 600


def starlette_app() -> Any:
    """The handler behind Starlette."""

    async def ping(_request: Request) -> Response:
        return Response(ANSWER, media_type="application/json")

    return Starlette(routes=[Route("/api/ping", ping)])


def fastapi_app() -> Any:
    """The handler behind FastAPI."""
    app = FastAPI()

    async def ping() -> Response:
        return Response(ANSWER, media_type="application/json")

    app.add_api_route("/api/ping", ping)
    return app


APPS = {"starlette": starlette_app, "fastapi": fastapi_app}


@contextlib.contextmanager
def serving(name: str) -> Iterator[tuple[psutil.Process, int]]:
    """A server process and its port."""
    with tempfile.TemporaryDirectory(prefix="bench-http-") as folder:
        if name == "functions":
            root = Path(folder)
            (root / "function_app.py").write_text(FUNCTION_APP)
            (root / "host.json").write_text('{"version": "2.0"}')
            command = ["localcloud.functions", "--script-root", folder, "--state", folder]
            command += ["--port", "0", "--durable-port", "0"]
        else:
            command = ["bench.http_path", "--serve", name]
        process = subprocess.Popen(  # noqa: S603 - our own modules
            [sys.executable, "-m", *command],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            cwd=ROOT,
        )
        assert process.stdout is not None
        try:
            line = process.stdout.readline()
            assert line.startswith(PREFIX), f"{name} did not start"
            yield psutil.Process(process.pid), json.loads(line.removeprefix(PREFIX))["port"]
        finally:
            process.terminate()
            process.wait()
            process.stdout.close()


async def load(port: int, *, clients: int, seconds: float) -> int:
    """Send requests over kept connections, each as soon as the last is answered; how many."""
    request = (
        f"GET /api/ping HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"
        f"Authorization: Bearer {_TOKEN}\r\nAccept: */*\r\nUser-Agent: bench\r\n\r\n"
    ).encode()
    end = time.perf_counter() + seconds

    async def client() -> int:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        answered = 0
        while time.perf_counter() < end:
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200"), head
            assert await reader.readexactly(len(ANSWER)) == ANSWER
            answered += 1
        writer.close()
        return answered

    return sum(await asyncio.gather(*(client() for _ in range(clients))))


def _cpu_s(process: psutil.Process) -> float:
    """CPU time of the process and its children: the host's app runs in a child of its guard."""
    times = [one.cpu_times() for one in (process, *process.children(recursive=True))]
    return sum(float(time.user + time.system) for time in times)


def measure(process: psutil.Process, port: int, *, clients: int, seconds: float) -> float:
    """The server's CPU time per request in µs."""
    before = _cpu_s(process)
    answered = uvloop.run(load(port, clients=clients, seconds=seconds))
    return (_cpu_s(process) - before) / answered * 1e6


def compare(*, rounds: int, seconds: float, clients: int) -> dict[str, Any]:
    """Medians of CPU µs per request by server, and of the ratios to the others within a round."""
    names = ["functions", *APPS]
    costs: dict[str, list[float]] = {name: [] for name in names}
    with contextlib.ExitStack() as stack:
        servers = {name: stack.enter_context(serving(name)) for name in names}
        for name in names:
            measure(*servers[name], clients=clients, seconds=seconds / 2)
        for _ in range(rounds):
            for name in names:
                costs[name].append(measure(*servers[name], clients=clients, seconds=seconds))
    return {
        "clients": clients,
        "cpu_us": {name: round(statistics.median(of), 1) for name, of in costs.items()},
        "functions_to": {
            name: round(
                statistics.median(
                    a / b for a, b in zip(costs["functions"], costs[name], strict=True)
                ),
                2,
            )
            for name in APPS
        },
    }


@click.command()
@click.option("--rounds", default=7, show_default=True, help="How often each takes its turn.")
@click.option("--seconds", default=2.0, show_default=True, help="Length of one turn.")
@click.option("--clients", default=8, show_default=True, help="Connections at a time.")
@click.option("--serve", type=click.Choice(list(APPS)), hidden=True)
def main(rounds: int, seconds: float, clients: int, serve: str | None) -> None:
    """Compare the cost of a request; ratios are within one round, all figures are medians."""
    if serve:
        uvloop.run(serve_asgi(APPS[serve](), host="127.0.0.1", port=0))
        return
    found = compare(rounds=rounds, seconds=seconds, clients=clients)
    print(f"load {machine.state()['load']}, {rounds} rounds of {seconds:g} s, {clients} clients")
    for name, cost in found["cpu_us"].items():
        print(f"{name:<10} {cost:6.1f} µs of CPU per request")
    for name, ratio in found["functions_to"].items():
        print(f"functions takes {ratio:.2f}x of {name}")


if __name__ == "__main__":
    main()
