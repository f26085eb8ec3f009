"""What breaks inside of the gateway is one request's misfortune."""

import asyncio
import logging
from types import SimpleNamespace
from typing import Any

import pytest

from localcloud.gateway.access_log import AccessLog
from localcloud.gateway.connection import LINE, Line
from localcloud.gateway.front import IN_FLIGHT_MAX, Front, Gateway
from localcloud.gateway.policy import Api, Context, Headers, Refusal, Response
from localcloud.gateway.routing import Apis

API = Api("external-v1", "external", "external-api", "v1", "/external-api/v1", "http", None)


class Broken:
    """Whoever looks for an API here finds a defect."""

    def find(self, _segments: tuple[str, ...]) -> None:
        raise RuntimeError("a defect")


class Plain:
    """Answers refusals with their reason."""

    async def fail(self, _context: Context, refusal: Refusal) -> Response:
        return Response(refusal.status, Headers.of([("X-Reason", refusal.reason)]), b"sorry")


def front() -> Front:
    policies: Any = SimpleNamespace(unmatched=lambda _: Plain(), apis={})
    edition: Any = SimpleNamespace(ports={"external": Broken()}, policies=policies)
    services: Any = None
    return Front(Gateway(edition, services, AccessLog()), "external")


def scope(kind: str, path: bytes) -> dict[str, Any]:
    """What the server says of a request."""
    return {
        "type": kind,
        "scheme": "http",
        "method": "GET",
        "raw_path": path,
        "query_string": b"",
        "headers": [(b"host", b"h")],
        "server": ("127.0.0.1", 80),
        "client": ("127.0.0.1", 9),
        "extensions": {LINE: Line(set(), lambda: None)},
    }


@pytest.mark.parametrize(
    ("kind", "start"),
    [("http", "http.response.start"), ("websocket", "websocket.http.response.start")],
)
async def test_a_defect_is_an_internal_error_for_the_client_and_a_trace_for_us(
    kind: str, start: str, caplog: pytest.LogCaptureFixture
) -> None:
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request"}

    async def send(message: Any) -> None:
        sent.append(message)

    with caplog.at_level(logging.ERROR):
        await front()(scope(kind, b"/external-api/v1/x"), receive, send)
    assert [message["type"] for message in sent] == [start, start.replace("start", "body")]
    assert sent[0]["status"] == 500
    assert (b"x-reason", b"InternalError") in sent[0]["headers"]
    assert sent[1]["body"] == b"sorry"
    (record,) = caplog.records
    assert record.exc_info is not None
    assert str(record.exc_info[1]) == "a defect"


async def test_more_than_can_be_answered_at_a_time_are_told_so() -> None:
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request"}

    async def send(message: Any) -> None:
        sent.append(message)

    busy = front()
    busy._gateway.edition.ports["external"] = Apis([API])  # type: ignore[index]
    busy._gateway.in_flight = IN_FLIGHT_MAX
    await busy(scope("http", b"/external-api/v1/x"), receive, send)
    assert (sent[0]["status"], dict(sent[0]["headers"])[b"x-reason"]) == (503, b"BackendBusy")
    assert busy._gateway.in_flight == IN_FLIGHT_MAX


async def test_a_task_that_is_cut_short_before_it_answered_says_to_come_again() -> None:
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        await asyncio.Event().wait()
        return {}

    async def send(message: Any) -> None:
        sent.append(message)

    class Waiting:
        def find(self, _segments: tuple[str, ...]) -> None:
            raise asyncio.CancelledError

    gateway = front()
    gateway._gateway.edition.ports["external"] = Waiting()  # type: ignore[index]
    await gateway(scope("http", b"/x"), receive, send)
    headers = dict(sent[0]["headers"])
    assert (sent[0]["status"], headers[b"retry-after"], headers[b"connection"]) == (
        503,
        b"1",
        b"close",
    )
    assert b'"code": "draining"' in sent[1]["body"]
