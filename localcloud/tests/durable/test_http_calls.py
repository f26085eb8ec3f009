"""call_http against a real server: what is sent, what comes back, 202 polled to its end."""

import asyncio
from collections.abc import AsyncIterator, Generator
from typing import Any

import azure.durable_functions as df
import pytest
from psycopg import AsyncConnection
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from localcloud.tests.durable.conftest import MakeHub, serving
from localcloud.tests.durable.sdk import until

type Steps = Generator[Any, Any, Any]
type Context = df.DurableOrchestrationContext


def calling(context: Context) -> Steps:
    asked = context.get_input()
    answer = yield context.call_http(**asked)
    after = yield context.call_activity("same", "after")
    return [answer, after]


def same(value: Any) -> Any:
    return value


class Partner:
    """Echoes requests; a job at /jobs takes some looks until it is done."""

    def __init__(self) -> None:
        self.looks: list[str] = []
        self.jobs_left = 2
        self.app = Starlette(
            routes=[
                Route("/echo", self.echo, methods=["GET", "POST"]),
                Route("/moved", self.moved),
                Route("/broken", self.broken),
                Route("/jobs", self.begin, methods=["POST"]),
                Route("/jobs/7", self.look),
            ]
        )

    async def echo(self, request: Request) -> Response:
        body = (await request.body()).decode()
        answer = JSONResponse(
            {
                "method": request.method,
                "body": body,
                "type": request.headers.get("content-type"),
                "key": request.headers.get("x-key"),
            }
        )
        answer.headers.append("X-Two", "a")
        answer.headers.append("X-Two", "b")
        return answer

    async def moved(self, _: Request) -> Response:
        return Response(status_code=302, headers={"Location": "/echo"})

    async def broken(self, _: Request) -> Response:
        return Response("no\ud83d".encode("utf-16-le", "surrogatepass"), status_code=503)

    async def begin(self, _: Request) -> Response:
        return Response(status_code=202, headers={"Location": "/jobs/7", "Retry-After": "0"})

    async def look(self, request: Request) -> Response:
        self.looks.append(f"{request.method} {request.headers.get('x-key')}")
        if len(self.looks) <= self.jobs_left:
            return Response(status_code=202, headers={"Location": "/jobs/7"})
        return JSONResponse({"done": True})


@pytest.fixture
def partner() -> Partner:
    return Partner()


@pytest.fixture
async def url(partner: Partner) -> AsyncIterator[str]:
    async with serving(partner.app) as base:
        yield base


async def test_requests_carry_their_parts_and_responses_theirs(make_hub: MakeHub, url: str) -> None:
    hub = await make_hub({"calling": calling}, {"same": same})
    asked = {
        "method": "POST",
        "uri": f"{url}/echo",
        "content": {"a": "é"},
        "headers": {"X-Key": "k", "Content-Type": "application/json"},
    }
    answer, after = (await hub.run("calling", asked)).output

    assert after == "after"
    assert answer["statusCode"] == 200
    assert answer["headers"]["x-two"] == ["a", "b"]
    assert "content-type" not in answer["headers"]
    assert answer["content"] == (
        '{"method":"POST","body":"{\\"a\\": \\"\\\\u00e9\\"}","type":"application/json","key":"k"}'
    )


async def test_content_without_a_type_is_plain_text_and_redirects_are_followed(
    make_hub: MakeHub, url: str
) -> None:
    hub = await make_hub({"calling": calling}, {"same": same})
    plain = {"method": "POST", "uri": f"{url}/echo", "content": "hi", "is_raw_str": True}
    answer, _ = (await hub.run("calling", plain)).output
    assert '"body":"hi","type":"text/plain; charset=utf-8"' in answer["content"]
    answer, _ = (await hub.run("calling", {"method": "GET", "uri": f"{url}/moved"})).output
    assert '"method":"GET","body":"","type":null' in answer["content"]


async def test_an_error_status_is_an_answer_and_a_dead_server_a_failure(
    make_hub: MakeHub, url: str
) -> None:
    hub = await make_hub({"calling": calling}, {"same": same})
    answer, _ = (await hub.run("calling", {"method": "GET", "uri": f"{url}/broken"})).output
    assert answer["statusCode"] == 503
    for uri in ("http://127.0.0.1:1/", "not a uri", "ftp://127.0.0.1/"):
        status = await hub.run("calling", {"method": "GET", "uri": uri})
        assert status.runtime_status is df.OrchestrationRuntimeStatus.Failed
        assert "Activity function 'BuiltIn::HttpActivity' failed: " in status.output


@pytest.mark.conforms(
    "HTTP calls",
    "call_http polls a 202 with Location, after Retry-After, until the outcome",
    source="learn:azure/azure-functions/durable/durable-functions-http-features#http-202-handling",
)
async def test_202_is_polled_until_the_outcome_under_one_id(
    make_hub: MakeHub, partner: Partner, url: str
) -> None:
    hub = await make_hub({"calling": calling}, {"same": same}, http_poll_s=0.02)
    asked = {"method": "POST", "uri": f"{url}/jobs", "headers": {"X-Key": "k"}}
    answer, after = (await hub.run("calling", asked)).output

    assert answer == {
        "statusCode": 200,
        "headers": answer["headers"],
        "content": '{"done":true}',
    }
    assert after == "after"
    assert partner.looks == 3 * ["GET k"]


async def test_polling_goes_on_in_another_host(
    make_hub: MakeHub, partner: Partner, url: str, database: AsyncConnection[Any]
) -> None:
    partner.jobs_left = 1
    hub = await make_hub({"calling": calling}, {"same": same}, http_poll_s=0.3)
    asked = {"method": "POST", "uri": f"{url}/jobs"}
    instance_id = await hub.client.start_new("calling", None, asked)

    async def polled() -> bool:
        return len(partner.looks) == 1

    await until(polled)
    await hub.backend.drain(1)
    cursor = await database.execute("SELECT owner FROM durable.tasks")
    assert await cursor.fetchall() == [(None,)]
    heir = await make_hub({"calling": calling}, {"same": same}, http_poll_s=0.3)
    answer, _ = (await heir.wait(instance_id)).output
    assert answer["content"] == '{"done":true}'
    await asyncio.sleep(0)
    assert partner.looks == 2 * ["GET None"]
