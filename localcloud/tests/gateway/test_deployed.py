"""The policies that are deployed, executed by two gateways, with tokens of the real identity."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest

from localcloud.identity.directory import WORKLOADS
from localcloud.tests.gateway.backend import Backend
from localcloud.tests.gateway.rig import Process, running
from localcloud.tests.partners.part import running as running_part

APIM = Path(__file__).parents[3] / "apim"
CALLS = 40
PRODUCTS = "/external-api/v1/products"


@dataclass(frozen=True)
class Deployed:
    """Two gateways with the same policies; only the first is in the administrators' network."""

    first: httpx.AsyncClient
    second: httpx.AsyncClient
    first_internal: httpx.AsyncClient
    second_internal: httpx.AsyncClient
    identity: httpx.AsyncClient

    async def token(self, person: str, **claims: Any) -> dict[str, str]:
        """Headers of somebody who is signed in."""
        asked = {"person": person, "claims": claims}
        answer = await self.identity.post("/control/tokens", json=asked)
        return {"Authorization": f"Bearer {answer.json()['access_token']}"}


@pytest.fixture(scope="module")
def identity_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running_part("localcloud.identity", tmp_path_factory.mktemp("identity")) as part:
        yield part.url


@pytest.fixture(scope="module")
def gateways(
    identity_url: str, backend: Backend, redis_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Process, Process]]:
    logs = tmp_path_factory.mktemp("deployed") / "apim"
    known = ("--identity-url", identity_url, "--named", f"calls-per-client={CALLS}")
    away = ("--admin-network", "10.0.0.1-10.0.0.9")
    with (
        running(APIM, backend.url, redis_url, *known, log_beside=logs) as first,
        running(APIM, backend.url, redis_url, *known, *away, log_beside=logs) as second,
    ):
        yield first, second


@pytest.fixture(scope="module")
async def deployed(gateways: tuple[Process, Process], identity_url: str) -> AsyncIterator[Deployed]:
    first, second = gateways
    ports = (first.port, second.port, first.internal_port, second.internal_port)
    bases = [*(f"http://127.0.0.1:{port}" for port in ports), identity_url]
    clients = [httpx.AsyncClient(base_url=base, timeout=60, trust_env=False) for base in bases]
    yield Deployed(*clients)
    for client in clients:
        await client.aclose()


async def test_a_client_never_gets_more_through_than_the_limit_of_both_gateways(
    deployed: Deployed,
) -> None:
    alice = await deployed.token("alice")
    answers = await asyncio.gather(
        *(
            http.get(PRODUCTS, headers=alice)
            for _ in range(CALLS)
            for http in (deployed.first, deployed.second)
        )
    )
    statuses = [answer.status_code for answer in answers]
    assert (statuses.count(200), statuses.count(429)) == (CALLS, CALLS)
    refused = next(answer for answer in answers if answer.status_code == 429)
    assert refused.json()["code"] == "too-many-requests"
    assert 1 <= int(refused.headers["retry-after"]) <= 60
    bruno = await deployed.token("bruno")
    assert (await deployed.second.get(PRODUCTS, headers=bruno)).status_code == 200


async def test_the_platform_gets_the_gateways_own_token_and_the_persons_beside_it(
    deployed: Deployed,
) -> None:
    chloe = await deployed.token("chloe")
    spoofed = {"X-User-Id": "1", "X-MS-CLIENT-PRINCIPAL": "e30=", "X-Forwarded-For": "10.0.0.1"}
    answer = await deployed.first.get(f"{PRODUCTS}?limit=1", headers=chloe | spoofed)
    seen = answer.json()
    headers = dict(seen["headers"])
    assert seen["target"] == "/api/v1/products?limit=1"
    assert headers["x-forwarded-authorization"] == chloe["Authorization"]
    own = jwt.decode(
        headers["authorization"].removeprefix("Bearer "), options={"verify_signature": False}
    )
    assert (own["aud"], own["oid"]) == ("api://order-platform", WORKLOADS["gateway"].object_id)
    assert {"x-user-id", "x-ms-client-principal"} & headers.keys() == set()
    assert headers["x-forwarded-for"] == "127.0.0.1"
    assert headers["x-correlation-id"] == answer.headers["x-correlation-id"]


async def test_an_administrator_is_let_in_from_the_administrators_network_alone(
    deployed: Deployed,
) -> None:
    ada = await deployed.token("ada")
    path = "/internal-api/v1/audit/verify"
    assert (await deployed.first_internal.get(path, headers=ada)).status_code == 200
    refused = await deployed.second_internal.get(path, headers=ada)
    assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")
