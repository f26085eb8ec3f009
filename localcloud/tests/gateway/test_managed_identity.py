"""The gateway's own tokens are fetched once and renewed in time."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web

from localcloud.gateway.managed_identity import ManagedIdentityClient
from localcloud.gateway.policy import Refusal
from localcloud.gateway.upstream import Backends

RESOURCE = "api://order-platform"


class Endpoint:
    """Plays App Service's endpoint."""

    def __init__(self) -> None:
        self.asked: list[tuple[dict[str, str], str]] = []
        self.lives_s = 3600
        self.answer: Any = None
        self.status = 200
        self.url = ""

    async def token(self, request: web.Request) -> web.Response:
        self.asked.append((dict(request.query), request.headers.get("X-IDENTITY-HEADER", "")))
        made = {"access_token": f"t{len(self.asked)}", "expires_on": self._end()}
        return web.json_response(made if self.answer is None else self.answer, status=self.status)

    def _end(self) -> str:
        return str(int(time.time()) + self.lives_s)


@pytest.fixture
async def endpoint() -> AsyncIterator[Endpoint]:
    endpoint = Endpoint()
    app = web.Application()
    app.router.add_get("/msi/token", endpoint.token)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    endpoint.url = f"http://127.0.0.1:{runner.addresses[0][1]}/msi/token"
    yield endpoint
    await runner.cleanup()


@pytest.fixture
async def identity(endpoint: Endpoint) -> AsyncIterator[ManagedIdentityClient]:
    async with Backends() as backends:
        yield ManagedIdentityClient(backends, endpoint.url, "secret-header")


@pytest.mark.conforms(
    "Managed identity",
    "The endpoint is asked with api-version, resource and X-IDENTITY-HEADER",
    source="learn:azure/app-service/overview-managed-identity#rest-endpoint-reference",
)
async def test_the_endpoint_is_asked_as_app_service_says(
    endpoint: Endpoint, identity: ManagedIdentityClient
) -> None:
    assert await identity.token(RESOURCE, None) == "t1"
    assert await identity.token(RESOURCE, "id-1") == "t2"
    asked = {"api-version": "2019-08-01", "resource": RESOURCE}
    assert endpoint.asked == [
        (asked, "secret-header"),
        (asked | {"client_id": "id-1"}, "secret-header"),
    ]


async def test_requests_at_the_same_time_share_one_token(
    endpoint: Endpoint, identity: ManagedIdentityClient
) -> None:
    tokens = await asyncio.gather(*(identity.token(RESOURCE, None) for _ in range(20)))
    assert set(tokens) == {"t1"}
    assert len(endpoint.asked) == 1


async def test_a_token_is_renewed_five_minutes_before_its_end(
    endpoint: Endpoint, identity: ManagedIdentityClient
) -> None:
    endpoint.lives_s = 299
    assert await identity.token(RESOURCE, None) == "t1"
    assert await identity.token(RESOURCE, None) == "t2"


@pytest.mark.parametrize(
    ("status", "answer"),
    [
        (401, {"statusCode": 401}),
        (200, {}),
        (200, []),
        (200, {"access_token": "t", "expires_on": "x"}),
    ],
)
async def test_an_endpoint_without_a_token_is_a_failure(
    endpoint: Endpoint, identity: ManagedIdentityClient, status: int, answer: object
) -> None:
    endpoint.status, endpoint.answer = status, answer
    with pytest.raises(Refusal) as refusal:
        await identity.token(RESOURCE, None)
    assert refusal.value.reason == "ManagedIdentityFailure"
    endpoint.status, endpoint.answer = 200, None
    assert await identity.token(RESOURCE, None) == "t2"


async def test_an_endpoint_that_is_not_there_is_a_failure() -> None:
    async with Backends() as backends:
        identity = ManagedIdentityClient(backends, "http://127.0.0.1:9/msi/token", "")
        with pytest.raises(Refusal) as refusal:
            await identity.token(RESOURCE, None)
    assert refusal.value.reason == "ManagedIdentityFailure"
