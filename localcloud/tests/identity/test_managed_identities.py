"""Workloads get tokens as on App Service, through the unmodified azure-identity."""

import time
from typing import Any

import httpx
import jwt
import pytest
from azure.core.exceptions import ClientAuthenticationError
from azure.identity import CredentialUnavailableError, ManagedIdentityCredential
from azure.identity.aio import ManagedIdentityCredential as AsyncManagedIdentityCredential

from localcloud.identity.directory import EMPLOYEES, RESOURCES, WORKLOADS
from localcloud.tests.identity.conftest import Stranger
from localcloud.tests.partners.part import Part

GATEWAY = WORKLOADS["gateway"]
PLATFORM = WORKLOADS["platform"]
ASKING = {"api-version": "2019-08-01", "resource": "https://vault.azure.net"}
APP_SERVICE = "learn:azure/app-service/overview-managed-identity#rest-endpoint-reference"


@pytest.fixture
def as_platform(identity: Part, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IDENTITY_ENDPOINT", f"{identity.url}/msi/token")
    monkeypatch.setenv("IDENTITY_HEADER", PLATFORM.header)


async def ask(http: httpx.AsyncClient, header: str, **changes: str) -> httpx.Response:
    return await http.get(
        "/msi/token", params=ASKING | changes, headers={"X-IDENTITY-HEADER": header}
    )


@pytest.mark.conforms(
    "Managed identities",
    "A GET with X-IDENTITY-HEADER, resource and api-version is answered with access_token,"
    " client_id, expires_on, resource and token_type.",
    source=APP_SERVICE,
)
@pytest.mark.usefixtures("as_platform")
@pytest.mark.parametrize("resource", sorted(RESOURCES))
async def test_the_unmodified_credential_gets_a_token_for_every_resource(
    stranger: Stranger, resource: str
) -> None:
    with ManagedIdentityCredential() as credential:
        token = credential.get_token(f"{resource}/.default")

    claims = await stranger.verified(token.token, EMPLOYEES.id, resource)
    assert claims["oid"] == claims["sub"] == "70a70000-0000-4000-8000-000000000011"
    assert claims["appid"] == claims["azp"] == "70a70000-c11e-4000-8000-000000000011"
    assert claims["idtyp"] == "app"
    assert claims["exp"] - claims["iat"] == 86_400
    assert token.expires_on == claims["exp"]
    assert claims.get("roles", []) == list(PLATFORM.roles.get(resource, ()))


@pytest.mark.usefixtures("as_platform")
@pytest.mark.parametrize("resource", ["https://0.0.1:7083", "https://vault.localhost"])
async def test_a_vault_on_this_machine_is_a_key_vault(stranger: Stranger, resource: str) -> None:
    with ManagedIdentityCredential() as credential:
        token = credential.get_token(f"{resource}/.default").token

    claims = await stranger.verified(token, EMPLOYEES.id, resource)
    assert claims["roles"] == ["Key Vault Secrets User"]


@pytest.mark.usefixtures("as_platform")
async def test_the_asynchronous_credential_gets_one_too_and_keeps_it(stranger: Stranger) -> None:
    async with AsyncManagedIdentityCredential() as credential:
        first = await credential.get_token("https://servicebus.azure.net//.default")
        second = await credential.get_token("https://servicebus.azure.net//.default")

    claims = await stranger.verified(first.token, EMPLOYEES.id, "https://servicebus.azure.net/")
    assert claims["roles"] == ["Azure Service Bus Data Receiver", "Azure Service Bus Data Sender"]
    assert second.token == first.token


@pytest.mark.usefixtures("as_platform")
async def test_an_identity_may_be_asked_for_by_its_client_id(stranger: Stranger) -> None:
    with ManagedIdentityCredential(client_id=PLATFORM.client_id) as credential:
        token = credential.get_token("https://vault.azure.net/.default").token
    with (
        ManagedIdentityCredential(client_id=GATEWAY.client_id) as another,
        pytest.raises(CredentialUnavailableError, match="No User Assigned"),
    ):
        another.get_token("https://vault.azure.net/.default")

    claims = await stranger.verified(token, EMPLOYEES.id, "https://vault.azure.net")
    assert claims["oid"] == PLATFORM.object_id


@pytest.mark.usefixtures("as_platform")
def test_a_resource_that_does_not_exist_is_named() -> None:
    with (
        ManagedIdentityCredential() as credential,
        pytest.raises(
            (CredentialUnavailableError, ClientAuthenticationError), match="AADSTS500011"
        ),
    ):
        credential.get_token("https://nowhere.example/.default")


async def test_each_header_opens_one_identity_only(http: httpx.AsyncClient) -> None:
    oids = {}
    for name, workload in WORKLOADS.items():
        body = (await ask(http, workload.header)).json()
        claims = jwt.decode(body["access_token"], options={"verify_signature": False})
        oids[name] = claims["oid"]
        assert body["client_id"] == workload.client_id

    assert oids == {
        "platform": "70a70000-0000-4000-8000-000000000011",
        "gateway": "6a7e0000-0000-4000-8000-000000000012",
        "notifier": "4071f1e4-0000-4000-8000-000000000013",
    }


async def test_an_identity_without_a_role_gets_a_token_without_roles(
    http: httpx.AsyncClient,
) -> None:
    body = (await ask(http, GATEWAY.header, resource="api://order-platform")).json()

    claims = jwt.decode(body["access_token"], options={"verify_signature": False})
    assert claims["aud"] == body["resource"] == "api://order-platform"
    assert "roles" not in claims
    assert "scp" not in claims


@pytest.mark.parametrize(
    ("header", "changes", "status"),
    [
        ("", {}, 401),
        ("local-platform-identity-heade", {}, 401),
        ("schlüssel", {}, 401),
        (PLATFORM.header, {"api-version": "2017-09-01"}, 400),
        (PLATFORM.header, {"resource": ""}, 400),
        (PLATFORM.header, {"resource": "https://management.azure.com"}, 400),
        (PLATFORM.header, {"client_id": "somebody"}, 400),
        (PLATFORM.header, {"principal_id": GATEWAY.object_id}, 400),
        (PLATFORM.header, {"mi_res_id": "/subscriptions/none"}, 400),
    ],
)
async def test_a_wrong_request_is_refused_with_a_status_code_and_a_message(
    http: httpx.AsyncClient, header: str, changes: dict[str, str], status: int
) -> None:
    answer = await http.get(
        "/msi/token",
        params=ASKING | changes,
        headers=[(b"X-IDENTITY-HEADER", header.encode())],
    )

    assert answer.status_code == status
    assert set(answer.json()) == {"statusCode", "message"}
    assert answer.json()["statusCode"] == status


async def test_a_page_under_a_foreign_name_gets_no_token(http: httpx.AsyncClient) -> None:
    headers = {"X-IDENTITY-HEADER": PLATFORM.header, "Host": "evil.example:7080"}

    managed = await http.get("/msi/token", params=ASKING, headers=headers)
    made = await http.post("/control/tokens", json={"person": "ada"}, headers=headers)

    assert (managed.status_code, made.status_code) == (403, 403)


async def test_how_long_tokens_live_can_be_changed_while_it_runs(
    http: httpx.AsyncClient,
) -> None:
    refused = await http.put("/control/managed-identities", json={"lifetime_s": 0})
    await http.put("/control/managed-identities", json={"lifetime_s": 20})
    short = (await ask(http, PLATFORM.header)).json()
    await http.put("/control/managed-identities", json={"lifetime_s": 86_400})
    long = (await ask(http, PLATFORM.header)).json()

    assert refused.status_code == 400
    for body, lifetime in ((short, 20), (long, 86_400)):
        claims: Any = jwt.decode(body["access_token"], options={"verify_signature": False})
        assert claims["exp"] - claims["iat"] == lifetime
        assert abs(int(body["expires_on"]) - claims["exp"]) <= 1
        assert abs(claims["iat"] - time.time()) < 30


async def test_a_workloads_token_is_made_to_order(
    http: httpx.AsyncClient, stranger: Stranger
) -> None:
    order = {"workload": "gateway", "claims": {"azpacr": None}}
    token = (await http.post("/control/tokens", json=order)).json()["access_token"]
    nobody = await http.post("/control/tokens", json={"workload": "mallory"})

    claims = await stranger.verified(token, EMPLOYEES.id, "api://order-platform")
    assert claims["oid"] == GATEWAY.object_id
    assert "azpacr" not in claims
    assert nobody.status_code == 404
