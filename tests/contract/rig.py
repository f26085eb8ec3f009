"""A running platform with two customers who know nothing of each other, behind a gateway."""

import asyncio
import contextlib
import json
import os
import sys
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import httpx

from localcloud import environment
from localcloud.cloud import LocalCloud
from tests.contract.trying import World, world_of

ROOT = Path(__file__).resolve().parents[2]
SETTINGS = {
    "PARTNER_TIMEOUT_S": "1.5",
    "PARTNER_BREAKER_OPEN_S": "0.3",
    "USER_LIMIT_CLIENT": "0",
    "USER_LIMIT_EMPLOYEE": "0",
}
UNLIMITED = ("calls-per-client", "calls-per-employee", "calls-per-address")
SECRET = "Bruno Geheimnis"
"""The other customer's name, which nobody else has."""


@dataclass(frozen=True)
class Stage:
    """Where to try what: base URLs by proxy, tokens by person, the world of customer alice."""

    bases: dict[str, str]
    tokens: dict[str, str]
    world: World


@contextlib.asynccontextmanager
async def staged() -> AsyncIterator[Stage]:
    """A platform of its own, with a gateway that lets everything through as often as it comes."""
    # Not pytest's own temporary folder: the database's user may not enter that one.
    state = Path(tempfile.mkdtemp(prefix="platform-"))
    cloud = LocalCloud(state, port_base=0, settings=SETTINGS)
    await asyncio.to_thread(cloud.start)
    try:
        async with _gateway(cloud) as bases, httpx.AsyncClient(timeout=60, trust_env=False) as http:
            names = ("alice", "bruno", "carla", "oscar", "ada")
            tokens = {name: await _token(http, cloud, name) for name in names}
            base = bases["external"]
            own = await _customer(http, base, tokens["alice"], "Alice Example")
            other = await _customer(http, base, tokens["bruno"], SECRET)
            yield Stage(bases, tokens, world_of(own, other | {"name": SECRET}))
    finally:
        await asyncio.to_thread(cloud.erase)


async def _token(http: httpx.AsyncClient, cloud: LocalCloud, person: str) -> str:
    url = f"{cloud.url('identity')}/control/tokens"
    answer = await http.post(url, json={"person": person, "expires_in": 36_000})
    token: str = answer.raise_for_status().json()["access_token"]
    return token


async def _customer(http: httpx.AsyncClient, base: str, token: str, name: str) -> dict[str, str]:
    """Somebody who has registered and ordered: the ids of that."""
    headers = {"Authorization": f"Bearer {token}"}
    profile = {"name": name, "email": f"{name.split(maxsplit=1)[0].lower()}@clients.example"}
    customer = await http.post(f"{base}/customers", json=profile, headers=headers)
    listed = await http.get(f"{base}/products", params={"limit": 1}, headers=headers)
    product = listed.raise_for_status().json()["items"][0]["id"]
    address = {"name": name, "line1": "Lindenallee 5", "city": "Berlin"}
    order = await http.post(
        f"{base}/orders",
        json={
            "lines": [{"product_id": product, "quantity": 1}],
            "shipping_address": address | {"postal_code": "10115", "country": "DE"},
            "shipping_service": "standard",
            "payment_method": "tok_success",
        },
        headers=headers | {"Idempotency-Key": str(uuid4())},
    )
    return {
        "customer_id": customer.raise_for_status().json()["id"],
        "order_id": order.raise_for_status().json()["id"],
    }


@contextlib.asynccontextmanager
async def _gateway(cloud: LocalCloud) -> AsyncIterator[dict[str, str]]:
    """Base URLs of version one by proxy, at a gateway that executes the committed policies."""
    settings = environment.gateway_settings(cloud.ports)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "localcloud.gateway", "--external-port", "0"),
        *("--internal-port", "0", "--apim", str(ROOT / "apim")),
        *("--functions-url", cloud.url("functions"), "--identity-url", cloud.url("identity")),
        *("--notifier-url", environment.url(cloud.ports, "notifier")),
        *(part for name in UNLIMITED for part in ("--named", f"{name}=1000000")),
        cwd=ROOT,
        env={**os.environ, **settings},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(60):
            line = await process.stdout.readline()
        facts = json.loads(line.decode().removeprefix("READY "))
        yield {
            "external": f"http://127.0.0.1:{facts['port']}/external-api/v1",
            "internal": f"http://127.0.0.1:{facts['internal_port']}/internal-api/v1",
        }
    finally:
        process.terminate()
        await process.wait()
