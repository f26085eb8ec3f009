"""The official SignalR client for JavaScript, in Node and in Chromium, as tests drive it."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

from playwright.async_api import Browser

from localcloud.node import NODE, PACKAGES
from tests.integration.notifier.rig import until

SCRIPTS = Path(__file__).parent / "js"


class CallFailed(Exception):
    """What the client rejected a promise with."""


class JavaScript:
    """Clients by name; `events` is what happened to all of them, in order."""

    def __init__(self, send: Callable[[str], Awaitable[None]]) -> None:
        self._send, self._number = send, 0
        self._answers: dict[int, asyncio.Future[Any]] = {}
        self.events: list[dict[str, Any]] = []

    def happened(self, event: dict[str, Any]) -> None:
        """Called with each line that the driver writes."""
        if "answer" not in event:
            self.events.append(event)
        elif (waiting := self._answers.pop(event["answer"], None)) and not waiting.done():
            if "error" in event:
                waiting.set_exception(CallFailed(event["error"]))
            else:
                waiting.set_result(event["result"])

    async def run(self, command: str, **options: Any) -> Any:
        """The result of a command. Raises CallFailed."""
        self._number += 1
        answer = self._answers[self._number] = asyncio.get_running_loop().create_future()
        await self._send(json.dumps({"command": command, "number": self._number, **options}))
        async with asyncio.timeout(30):
            return await answer

    async def connect(
        self, name: str, base: str, tokens: Sequence[str], transport: str
    ) -> str | None:
        """Connect and start; the entry where the feed stands."""
        hint = "?transport=webSockets" if transport == "WebSockets" else ""
        url = f"{base}/notifications{hint}"
        entry: str | None = await self.run(
            "connect", name=name, url=url, tokens=tokens, transport=transport
        )
        return entry

    async def invoke(self, name: str, method: str, *args: Any) -> Any:
        """Call a hub method."""
        return await self.run("invoke", name=name, method=method, args=args)

    def of(self, name: str, *kinds: str) -> list[dict[str, Any]]:
        """What happened to one client, of those kinds."""
        return [e for e in self.events if e["name"] == name and e["event"] in kinds]

    def ids(self, name: str) -> list[str]:
        """Ids of the messages that a client got, in the order in which they came."""
        return [e["message"]["id"] for e in self.of(name, "notification", "order")]

    async def wait(self, name: str, kind: str, count: int = 1) -> dict[str, Any]:
        """The `count`th event of that kind, which may still have to happen."""
        await until(lambda: len(self.of(name, kind)) >= count, f"{kind} at {name}")
        return self.of(name, kind)[count - 1]


@contextlib.asynccontextmanager
async def in_node() -> AsyncIterator[JavaScript]:
    """A Node process."""
    node = await asyncio.create_subprocess_exec(
        *(str(NODE), str(SCRIPTS / "node.cjs"), str(PACKAGES)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=2**20,
    )
    assert node.stdin is not None
    assert node.stdout is not None
    stdin, stdout = node.stdin, node.stdout

    async def send(line: str) -> None:
        stdin.write(line.encode() + b"\n")
        await stdin.drain()

    clients = JavaScript(send)

    async def read() -> None:
        while line := await stdout.readline():
            clients.happened(json.loads(line))

    reader = asyncio.create_task(read())
    try:
        yield clients
    finally:
        stdin.close()
        node.kill()
        await node.wait()
        await reader


@contextlib.asynccontextmanager
async def in_chromium(browser: Browser, origin: str) -> AsyncIterator[JavaScript]:
    """A page of `origin`, with the package's own build for browsers."""
    context = await browser.new_context()
    page = await context.new_page()
    # A document that really came from there: of one made up by the test harness the browser does
    # not know the network, and lets it open no WebSocket to this machine.
    await page.goto(f"{origin}/health/live")
    build = PACKAGES / "@microsoft" / "signalr" / "dist" / "browser" / "signalr.js"
    for script in (build, SCRIPTS / "driver.cjs"):
        await page.add_script_tag(path=script)

    async def send(line: str) -> None:
        await page.evaluate("line => { run(JSON.parse(line)); }", line)

    clients = JavaScript(send)
    await page.expose_function("happened", clients.happened)
    await page.evaluate("() => { window.run = createDriver(signalR, happened); }")
    try:
        yield clients
    finally:
        await context.close()
