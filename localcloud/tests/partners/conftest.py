"""The partners as running processes, and a client for each."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest

from localcloud.tests.partners.part import Part, running

TENANT = "11111111-1111-4111-8111-111111111111"


@pytest.fixture(scope="session")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("partners")


@pytest.fixture(scope="session")
def identity(state: Path) -> Iterator[Part]:
    with running("localcloud.identity", state) as part:
        yield part


@pytest.fixture(scope="session")
def token(identity: Part) -> str:
    """A token with which the payment gateway may be used."""
    form = {
        "grant_type": "client_credentials",
        "client_id": "payment-client",
        "client_secret": "local-payment-client-secret",
        "scope": "api://payment-gateway/.default",
    }
    answer = httpx.post(f"{identity.url}/{TENANT}/oauth2/v2.0/token", data=form)
    value: str = answer.json()["access_token"]
    return value


@pytest.fixture(scope="session")
def payment_part(state: Path, identity: Part) -> Iterator[Part]:
    with running("localcloud.partners.payment", state, "--identity", identity.url) as part:
        yield part


@pytest.fixture
async def gateway(payment_part: Part, token: str) -> AsyncIterator[httpx.AsyncClient]:
    """The payment gateway without faults or barriers, called by the shop's application."""
    headers = {"Authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(base_url=payment_part.url, headers=headers, timeout=10) as http:
        yield http
        await http.post("/control/reset")


@pytest.fixture(scope="session")
def shipping_part(state: Path) -> Iterator[Part]:
    with running("localcloud.partners.shipping", state, "--api-key", "a-test-key") as part:
        yield part


@pytest.fixture
async def shipping(shipping_part: Part) -> AsyncIterator[httpx.AsyncClient]:
    """The shipping provider without faults or barriers, called with the right key."""
    headers = {"X-Api-Key": "a-test-key"}
    async with httpx.AsyncClient(base_url=shipping_part.url, headers=headers, timeout=10) as http:
        yield http
        await http.post("/control/reset")


@pytest.fixture(scope="session")
def erp_part(state: Path) -> Iterator[Part]:
    with running("localcloud.partners.erp", state) as part:
        yield part


@pytest.fixture
async def erp(erp_part: Part) -> AsyncIterator[httpx.AsyncClient]:
    """The ERP's plain HTTP side, without faults or barriers."""
    async with httpx.AsyncClient(base_url=erp_part.url, timeout=10) as http:
        yield http
        await http.post("/control/reset")
