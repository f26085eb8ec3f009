"""The gateway starts only with policies in order, takes changes while it runs, stops in order."""

import asyncio
import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from localcloud.process import bind
from localcloud.tests.gateway.backend import Backend
from localcloud.tests.gateway.folder import catalogue, write_folder
from localcloud.tests.gateway.rig import WITHIN_S, Process, command, running

AT = "/external-api/v1/at"


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A folder that a test may change."""
    return write_folder(tmp_path / "apim")


@pytest.fixture
def gateway(own: Path, backend: Backend, redis_url: str) -> Iterator[Process]:
    with running(own, backend.url, redis_url) as process:
        yield process


def refused(folder: Path, *options: str) -> str:
    """What a gateway says that does not start."""
    given = command(folder, "http://127.0.0.1:9", "redis://127.0.0.1:9/0", *options)
    ended = subprocess.run(given, capture_output=True, text=True, timeout=WITHIN_S, check=False)
    assert (ended.returncode, ended.stdout) == (1, "")
    return ended.stderr.strip()


def test_an_unknown_element_refuses_to_start_and_names_file_and_line(own: Path) -> None:
    file = own / "platform.xml"
    lines = file.read_text("utf-8").splitlines()
    lines.insert(2, "<unheard-of />")
    file.write_text("\n".join(lines), "utf-8")
    assert refused(own) == f"Error: {file}:3: unknown element <unheard-of>"


def test_a_websocket_and_http_on_one_path_refuse_to_start(own: Path) -> None:
    content = catalogue()
    content["apis"][0]["operations"].append(
        {
            "id": "both",
            "method": "GET",
            "template": "/socket",
            "displayName": "both",
            "policy": "",
        }
    )
    file = own / "apis.json"
    file.write_text(json.dumps(content, indent=2), "utf-8")
    message = refused(own)
    assert message.startswith(f"Error: {file}:")
    assert "/external-api/v1/socket" in message


def test_a_document_that_cannot_be_read_refuses_to_start(own: Path) -> None:
    (own / "external.json").write_text('{"paths": {\n', "utf-8")
    assert refused(own).startswith(f"Error: {own / 'external.json'}:")


@pytest.mark.parametrize("option", [("--named", "x"), ("--admin-network", "10.0.0.0/8")])
def test_an_option_that_means_nothing_refuses_to_start(own: Path, option: tuple[str, str]) -> None:
    assert option[1] in refused(own, *option)


def test_a_port_that_is_taken_is_named(own: Path) -> None:
    with bind("127.0.0.1", 0) as taken:
        port = str(taken.getsockname()[1])
        assert refused(own, "--internal-port", port).startswith(
            f"Error: port {port} on 127.0.0.1 cannot be used: "
        )


async def got(http: httpx.AsyncClient, status: int) -> httpx.Response:
    """The answer of `at/x` once it has this status."""
    async with asyncio.timeout(WITHIN_S):
        while (answer := await http.get(f"{AT}/x")).status_code != status:
            pass
    return answer


async def test_a_changed_file_changes_what_the_gateway_does(own: Path, gateway: Process) -> None:
    file = own / "platform.xml"
    before = file.read_text("utf-8")
    closed = before.replace(
        "<base />",
        "<base />\n<return-response><set-status code='410' reason='Gone' /></return-response>",
        1,
    )
    async with httpx.AsyncClient(base_url=gateway.url, timeout=30, trust_env=False) as http:
        assert (await http.get(f"{AT}/x")).status_code == 200
        file.write_text(closed, "utf-8")
        await got(http, 410)
        gateway.logged("the policies were read again")

        file.write_text(closed.replace("<return-response>", "<return-responses>"), "utf-8")
        line = gateway.logged("ERROR gateway the change is not taken")
        assert f"{file}:" in line
        assert (await http.get(f"{AT}/x")).status_code == 410

        file.write_text(before, "utf-8")
        await got(http, 200)


async def test_a_file_that_is_gone_changes_nothing(own: Path, gateway: Process) -> None:
    shutil.move(own / "global.xml", own / "elsewhere.txt")
    gateway.logged("ERROR gateway the change is not taken")
    async with httpx.AsyncClient(base_url=gateway.url, timeout=30, trust_env=False) as http:
        assert (await http.get(f"{AT}/x")).status_code == 200


async def test_what_is_under_way_ends_in_order_when_the_gateway_stops(
    gateway: Process, backend: Backend
) -> None:
    backend.release.clear()
    socket_url = f"ws://127.0.0.1:{gateway.port}/external-api/v1/socket"
    async with (
        httpx.AsyncClient(base_url=gateway.url, timeout=30, trust_env=False) as http,
        connect(socket_url, proxy=None) as socket,
        http.stream("GET", f"{AT}/events") as events,
    ):
        parts = events.aiter_raw()
        assert await anext(parts) == b"data: 0\n\n"
        waiting = asyncio.create_task(http.get(f"{AT}/silent"))
        async with asyncio.timeout(WITHIN_S):
            while await backend.started.get() != "/api/v1/at/silent":
                pass
            gateway.process.terminate()
            # A stream ends as if it were over, a WebSocket with "service restart".
            assert [part async for part in parts] == []
            with pytest.raises(ConnectionClosed) as end:
                await socket.recv()
            backend.release.set()
            answer = await waiting
    assert end.value.rcvd is not None
    assert end.value.rcvd.code == 1012
    assert (answer.status_code, answer.text) == (200, "late")
    assert gateway.process.wait(WITHIN_S) == 0


async def test_a_second_signal_cuts_off_what_is_under_way(
    gateway: Process, backend: Backend
) -> None:
    backend.release.clear()
    async with httpx.AsyncClient(base_url=gateway.url, timeout=30, trust_env=False) as http:
        waiting = asyncio.create_task(http.get(f"{AT}/silent"))
        async with asyncio.timeout(WITHIN_S):
            while await backend.started.get() != "/api/v1/at/silent":
                pass
        gateway.process.terminate()
        gateway.logged("stopping")
        gateway.process.terminate()
        with pytest.raises(httpx.HTTPError):
            (await waiting).raise_for_status()
    assert gateway.process.wait(WITHIN_S) == 0
