"""Refresh tokens: they rotate, and one that comes twice ends all of its grant."""

import asyncio

import httpx
import jwt
import pytest

from localcloud.tests.identity.application import (
    CLIENTS,
    CLIENTS_API,
    EMPLOYEE_PORTAL,
    EMPLOYEES,
    Application,
)
from localcloud.tests.identity.conftest import Stranger


@pytest.fixture
def portal(http: httpx.AsyncClient) -> Application:
    return Application(http)


async def test_a_refresh_gives_new_tokens_of_the_same_session(
    portal: Application, stranger: Stranger
) -> None:
    first = await portal.signed_in("alice")
    second = (await portal.refresh(first["refresh_token"])).json()
    third = (await portal.refresh(second["refresh_token"])).json()

    before, after = [
        await stranger.verified(tokens["access_token"], CLIENTS, CLIENTS_API)
        for tokens in (first, third)
    ]
    assert {name: before[name] for name in ("oid", "sid", "auth_time", "scp")} == {
        name: after[name] for name in ("oid", "sid", "auth_time", "scp")
    }
    assert before["uti"] != after["uti"]
    assert len({tokens["refresh_token"] for tokens in (first, second, third)}) == 3
    assert "nonce" not in jwt.decode(third["id_token"], options={"verify_signature": False})


@pytest.mark.conforms(
    "Refresh tokens",
    "A refresh token that was used before revokes the active one too.",
    source="rfc:9700#section-4.14.2",
)
async def test_a_refresh_token_that_comes_twice_ends_the_whole_grant(
    portal: Application,
) -> None:
    first = await portal.signed_in("alice")
    second = (await portal.refresh(first["refresh_token"])).json()

    stolen = await portal.refresh(first["refresh_token"])
    owned = await portal.refresh(second["refresh_token"])

    assert (stolen.status_code, stolen.json()["error"]) == (400, "invalid_grant")
    assert (owned.status_code, owned.json()["error"]) == (400, "invalid_grant")


async def test_of_refreshes_at_the_same_time_only_one_is_answered(portal: Application) -> None:
    token = (await portal.signed_in("alice"))["refresh_token"]

    answers = await asyncio.gather(*(portal.refresh(token) for _ in range(5)))

    assert sorted(answer.status_code for answer in answers) == [200, 400, 400, 400, 400]


async def test_one_grant_that_is_revoked_leaves_the_others_alone(portal: Application) -> None:
    one, other = await portal.signed_in("alice"), await portal.signed_in("alice")
    await portal.refresh(one["refresh_token"])
    await portal.refresh(one["refresh_token"])

    answer = await portal.refresh(other["refresh_token"])

    assert answer.status_code == 200


async def test_a_refresh_may_ask_for_less_and_gets_no_more(portal: Application) -> None:
    scope = f"openid offline_access api://{CLIENTS_API}/orders.readwrite"
    narrow = Application(portal.http, scope=f"{scope} api://{CLIENTS_API}/products.read")
    token = (await narrow.signed_in("bruno"))["refresh_token"]

    more = await narrow.refresh(token, scope=f"api://{CLIENTS_API}/payments.readwrite")
    standard = await narrow.refresh(token, scope="openid email")
    less = await narrow.refresh(token, scope=f"api://{CLIENTS_API}/products.read")

    for refused in (more, standard):
        assert (refused.status_code, refused.json()["error"]) == (400, "invalid_scope")
    claims = jwt.decode(less.json()["access_token"], options={"verify_signature": False})
    assert claims["scp"] == "products.read"


async def test_a_refresh_token_is_its_applications_alone(
    portal: Application, http: httpx.AsyncClient
) -> None:
    token = (await portal.signed_in("alice"))["refresh_token"]
    intranet = Application(http, EMPLOYEES, EMPLOYEE_PORTAL)

    other = await intranet.refresh(token)
    own = await portal.refresh(token)

    assert (other.status_code, other.json()["error_codes"]) == (400, [700082])
    assert own.status_code == 200


async def test_the_password_grant_gives_one_when_asked(portal: Application) -> None:
    form = {
        "grant_type": "password",
        "client_id": portal.client_id,
        "username": "alice@clients.example",
        "password": "demo",
        "scope": portal.scope,
    }
    tokens = (await portal.post(form)).json()
    refreshed = (await portal.refresh(tokens["refresh_token"])).json()

    sids = [
        jwt.decode(token, options={"verify_signature": False})["sid"]
        for token in (tokens["access_token"], refreshed["access_token"], tokens["id_token"])
    ]
    assert len(set(sids)) == 1


async def test_standard_scopes_alone_tell_who_somebody_is(
    portal: Application, http: httpx.AsyncClient
) -> None:
    tokens = await Application(http, scope="openid profile email").signed_in("chloe")
    api = (await portal.signed_in("chloe"))["access_token"]
    url = f"/{CLIENTS}/openid/userinfo"

    told = await http.get(url, headers={"Authorization": f"Bearer {tokens['access_token']}"})
    refused = [
        await http.get(url, headers={"Authorization": value})
        for value in (f"Bearer {api}", "Bearer x", f"Basic {tokens['access_token']}", "")
    ]

    about = jwt.decode(tokens["id_token"], options={"verify_signature": False})
    assert told.json() == {
        "sub": about["sub"],
        "name": "Chloe Jansen",
        "email": "chloe@clients.example",
    }
    assert [answer.status_code for answer in refused] == [401, 401, 401, 401]
