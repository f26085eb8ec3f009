"""New keys take over, old ones go; and secrets are not the only way for an application."""

import asyncio
import time

import httpx
import jwt
import pytest
from click.testing import CliRunner

from localcloud.identity.__main__ import main
from localcloud.identity.directory import TENANTS
from localcloud.identity.keys import KeyRing
from localcloud.identity.store import Store
from localcloud.tests.identity.application import CLIENTS, CLIENTS_API, EMPLOYEES
from localcloud.tests.identity.conftest import Stranger
from localcloud.tests.partners.part import Part

EXCHANGE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
FEDERATION = "learn:entra/workload-id/workload-identity-federation"


async def token_of_alice(http: httpx.AsyncClient) -> str:
    answer = await http.post("/control/tokens", json={"person": "alice"})
    token: str = answer.json()["access_token"]
    return token


async def kids(http: httpx.AsyncClient, tenant: str) -> list[str]:
    answer = await http.get(f"/{tenant}/discovery/v2.0/keys")
    return [key["kid"] for key in answer.json()["keys"]]


async def rotate(http: httpx.AsyncClient, **order: object) -> httpx.Response:
    return await http.post("/control/keys/rotate", json=order)


async def test_a_new_key_signs_and_the_old_one_is_still_trusted(
    http: httpx.AsyncClient, stranger: Stranger
) -> None:
    old, before, employees = (
        await token_of_alice(http),
        await kids(http, CLIENTS),
        await kids(http, EMPLOYEES),
    )
    answer = (await rotate(http, tenant="clients")).json()
    new = await token_of_alice(http)

    for token in (old, new):
        await stranger.verified(token, CLIENTS, CLIENTS_API)
    after = await kids(http, CLIENTS)
    assert after[1:] == before
    assert jwt.get_unverified_header(new)["kid"] == after[0] == answer["keys"][0]["kid"]
    assert [key["kid"] for key in answer["keys"][0]["retired"]] == before
    assert await kids(http, EMPLOYEES) == employees


async def test_a_key_that_is_rotated_out_is_gone_and_its_tokens_are_void(
    http: httpx.AsyncClient, stranger: Stranger
) -> None:
    old = await token_of_alice(http)
    await rotate(http, retire_after_s=0)

    assert len(await kids(http, CLIENTS)) == len(await kids(http, EMPLOYEES)) == 1
    with pytest.raises(KeyError):
        await stranger.verified(old, CLIENTS, CLIENTS_API)


async def test_a_key_can_be_published_before_it_signs(http: httpx.AsyncClient) -> None:
    before = await kids(http, CLIENTS)
    await rotate(http, tenant="clients", sign_after_s=3600)

    after = await kids(http, CLIENTS)
    signed_by = jwt.get_unverified_header(await token_of_alice(http))["kid"]
    await rotate(http, tenant="clients", retire_after_s=0)

    assert after[1:] == before
    assert signed_by == before[0]


async def test_the_command_rotates_the_keys_of_a_tenant(
    identity: Part, http: httpx.AsyncClient
) -> None:
    done = await asyncio.to_thread(
        CliRunner().invoke,
        main,
        ["rotate-keys", "--url", identity.url, "--tenant", "employees", "--retire-after", "0"],
    )

    assert done.exit_code == 0
    assert done.output == f"employees: {(await kids(http, EMPLOYEES))[0]}\n"


@pytest.mark.parametrize(
    "order",
    [{"tenant": "nobody"}, {"retire_after_s": -1}, {"sign_after_s": "soon"}, {"keys": 1}],
)
async def test_a_rotation_that_makes_no_sense_changes_nothing(
    http: httpx.AsyncClient, order: dict[str, object]
) -> None:
    before = await kids(http, CLIENTS)

    answer = await rotate(http, **order)

    assert answer.status_code == 400
    assert await kids(http, CLIENTS) == before


def test_keys_and_their_ends_survive_a_restart(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = tmp_path_factory.mktemp("keys")
    store = Store(folder)
    ring = KeyRing(store, TENANTS.values())
    gone = ring.of("clients").kid
    ring.rotate("clients", sign_after_s=0, retire_after_s=0)
    old = ring.of("clients").kid
    ring.rotate("clients", sign_after_s=0, retire_after_s=3600)
    planned = ring.rotate("clients", sign_after_s=3600, retire_after_s=3600).kid
    signing = ring.of("clients").kid
    store.close()

    store = Store(folder)
    again = KeyRing(store, TENANTS.values())
    store.close()

    assert [key.kid for key in again.published("clients")] == [planned, signing, old]
    assert again.of("clients").kid == signing
    assert gone not in {key.kid for key in again.published("clients")}
    ends = [key.published_until for key in again.published("clients")]
    assert ends[0] is None
    assert ends[1] is not None
    assert ends[1] > time.time() + 7000
    assert ends[2] is not None
    assert ends[2] < time.time() + 3700


async def payment(http: httpx.AsyncClient, assertion: str, **changes: str) -> httpx.Response:
    form = {
        "grant_type": "client_credentials",
        "client_id": "payment-client",
        "scope": "api://payment-gateway/.default",
        "client_assertion_type": EXCHANGE,
        "client_assertion": assertion,
    }
    return await http.post(f"/{EMPLOYEES}/oauth2/v2.0/token", data=form | changes)


async def workload_token(http: httpx.AsyncClient, **order: object) -> str:
    usual = {"workload": "platform", "resource": "api://AzureADTokenExchange"}
    answer = await http.post("/control/tokens", json=usual | order)
    token: str = answer.json()["access_token"]
    return token


@pytest.mark.conforms(
    "Client credentials",
    "A token of a trusted managed identity stands for the secret of an application.",
    source=FEDERATION,
)
async def test_a_managed_identity_stands_for_the_secret(
    http: httpx.AsyncClient, stranger: Stranger
) -> None:
    answer = await payment(http, await workload_token(http))

    assert answer.status_code == 200
    token = answer.json()["access_token"]
    claims = await stranger.verified(token, EMPLOYEES, "api://payment-gateway")
    assert claims["roles"] == ["payments.process"]
    assert claims["azp"] == "payment-client"


@pytest.mark.parametrize(
    ("order", "code"),
    [
        ({"workload": "gateway"}, 700213),
        ({"resource": "api://order-platform"}, 700027),
        ({"expires_in": -30}, 700027),
        ({"forged": True}, 700027),
        ({"kid": "unknown"}, 700027),
        ({"tenant": "clients"}, 700027),
        ({"claims": {"sub": None}}, 700213),
        ({"claims": {"exp": None}}, 700027),
    ],
)
async def test_another_token_stands_for_nothing(
    http: httpx.AsyncClient, order: dict[str, object], code: int
) -> None:
    answer = await payment(http, await workload_token(http, **order))

    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")
    assert answer.json()["error_codes"] == [code]


async def test_an_assertion_comes_alone_and_says_what_it_is(http: httpx.AsyncClient) -> None:
    token = await workload_token(http)

    typeless = await payment(http, token, client_assertion_type="")
    doubled = await payment(http, token, client_secret="local-payment-client-secret")
    garbage = await payment(http, "garbage")
    public = await payment(http, token, client_id="66666666-6666-4666-8666-666666666666")

    assert [answer.status_code for answer in (typeless, doubled, garbage, public)] == [
        400,
        400,
        401,
        401,
    ]
