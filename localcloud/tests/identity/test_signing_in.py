"""The authorization endpoint: who gets a code, where it goes, and what it is good for."""

import re
import time

import httpx
import pytest

from localcloud.tests.identity.application import (
    CLIENTS,
    CLIENTS_API,
    CUSTOMER_PORTAL,
    EMPLOYEE_PORTAL,
    EMPLOYEES,
    EMPLOYEES_API,
    REDIRECT_URI,
    STANDARD,
    Application,
    brought,
)
from localcloud.tests.identity.conftest import Stranger
from localcloud.tests.partners.part import Part

CODE_FLOW = "learn:entra/identity-platform/v2-oauth2-auth-code-flow"
ALICE = "a11ce000-0000-4000-8000-000000000001"


@pytest.fixture
def portal(http: httpx.AsyncClient) -> Application:
    return Application(http)


@pytest.fixture
def intranet(http: httpx.AsyncClient) -> Application:
    return Application(
        http,
        EMPLOYEES,
        EMPLOYEE_PORTAL,
        f"{STANDARD} api://{EMPLOYEES_API}/employee.access",
    )


@pytest.mark.conforms(
    "Sign-in",
    "A code with its verifier is exchanged for access, ID and refresh token.",
    source=CODE_FLOW,
)
async def test_a_code_becomes_the_tokens_of_who_signed_in(
    portal: Application, stranger: Stranger
) -> None:
    answer = await portal.submit({"person": "alice"})
    redirected = brought(answer)
    tokens = (await portal.redeem(redirected["code"])).json()

    assert answer.status_code == 303
    assert redirected["state"] == "a state"
    assert tokens["token_type"] == "Bearer"
    access = await stranger.verified(tokens["access_token"], CLIENTS, CLIENTS_API)
    about = await stranger.verified(tokens["id_token"], CLIENTS, CUSTOMER_PORTAL)
    assert access["oid"] == about["oid"] == ALICE
    assert access["sid"] == about["sid"]
    assert access["auth_time"] == about["auth_time"]
    assert about["nonce"] == "a nonce"
    assert about["email"] == about["preferred_username"] == "alice@clients.example"
    assert about["sub"] == access["sub"] != ALICE
    assert "nonce" not in access
    assert "scp" not in about
    assert set(tokens["scope"].split()) > {"openid", f"api://{CLIENTS_API}/orders.readwrite"}


async def test_an_employee_brings_roles_and_groups_in_both_tokens(
    intranet: Application, stranger: Stranger
) -> None:
    tokens = await intranet.signed_in("oscar")

    access = await stranger.verified(tokens["access_token"], EMPLOYEES, EMPLOYEES_API)
    about = await stranger.verified(tokens["id_token"], EMPLOYEES, EMPLOYEE_PORTAL)
    assert access["scp"] == "employee.access"
    assert access["roles"] == about["roles"] == ["order-manager"]
    assert access["groups"] == about["groups"]
    assert len(access["groups"]) == 2


async def test_without_openid_and_offline_access_there_is_only_an_access_token(
    http: httpx.AsyncClient,
) -> None:
    tokens = await Application(http, scope=f"api://{CLIENTS_API}/products.read").signed_in("bruno")

    assert set(tokens) == {"access_token", "token_type", "expires_in", "ext_expires_in", "scope"}


async def test_who_is_signed_in_gets_the_next_code_without_a_page(
    portal: Application, stranger: Stranger
) -> None:
    first = await portal.signed_in("alice")
    answer = await portal.visit()
    second = (await portal.redeem(brought(answer)["code"])).json()

    assert answer.status_code == 302
    sids = [
        (await stranger.verified(tokens["access_token"], CLIENTS, CLIENTS_API))["sid"]
        for tokens in (first, second)
    ]
    assert sids[0] == sids[1]


async def test_a_session_of_one_tenant_is_none_in_the_other(
    portal: Application, intranet: Application
) -> None:
    await portal.signed_in("alice")

    answer = await intranet.visit()

    assert answer.status_code == 200
    assert "Carla Nowak" in answer.text
    assert "Alice Moreau" not in answer.text


@pytest.mark.parametrize("prompt", ["login", "select_account"])
async def test_an_application_can_ask_for_the_page(portal: Application, prompt: str) -> None:
    await portal.signed_in("alice")

    answer = await portal.visit(prompt=prompt)

    assert answer.status_code == 200
    assert ("Continue as Alice Moreau" in answer.text) == (prompt == "select_account")


async def test_who_is_signed_in_goes_on_with_one_click_unless_a_login_is_asked_for(
    portal: Application,
) -> None:
    await portal.signed_in("alice")

    going_on = await portal.submit({"account": ALICE}, prompt="select_account")
    refused = await portal.submit({"account": ALICE}, prompt="login")
    another = await portal.submit({"account": "somebody"}, prompt="select_account")

    assert set(brought(going_on)) == {"code", "state"}
    assert (refused.status_code, another.status_code) == (400, 400)
    assert "Please sign in again." in refused.text


async def test_signing_in_again_is_a_new_session_with_a_new_time(
    portal: Application, stranger: Stranger
) -> None:
    first = await portal.signed_in("alice")
    silent = await portal.visit(max_age="3600")
    asked = await portal.visit(max_age="0")
    again = await portal.signed_in("alice")

    assert (silent.status_code, asked.status_code) == (302, 200)
    before, after = [
        await stranger.verified(tokens["access_token"], CLIENTS, CLIENTS_API)
        for tokens in (first, again)
    ]
    assert before["sid"] != after["sid"]
    assert after["auth_time"] >= before["auth_time"]
    assert time.time() - after["auth_time"] < 60


async def test_a_hint_fills_the_address_in_and_asks_for_that_person(portal: Application) -> None:
    await portal.signed_in("alice")

    same = await portal.visit(login_hint="Alice@clients.example")
    other = await portal.visit(login_hint="dora@example.com")

    assert same.status_code == 302
    assert other.status_code == 200
    assert 'value="dora@example.com"' in other.text


async def test_a_silent_request_is_refused_without_a_session(portal: Application) -> None:
    redirected = brought(await portal.visit(prompt="none"))

    assert redirected["error"] == "login_required"
    assert redirected["error_description"].startswith("AADSTS50058: ")
    assert redirected["state"] == "a state"


async def test_the_answer_may_come_as_a_fragment(portal: Application) -> None:
    answer = await portal.submit({"person": "chloe"}, response_mode="fragment")

    assert answer.headers["location"].startswith(f"{REDIRECT_URI}#code=")
    assert set(brought(answer)) == {"code", "state"}


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "http://evil.example/auth/callback",
        "https://localhost:3000/auth/callback",
        "http://localhost:3000/auth/callback/",
        "http://localhost:3000/auth/callback?next=1",
        "http://localhost:3000/auth/callback#there",
        "http://localhost:3000/AUTH/callback",
        "http://localhost:3000/elsewhere",
        "http://localhost:3000/../auth/callback",
        "http://localhost:3000@evil.example/",
        "http://localhost\\@evil.example/",
        "http://localhost.evil.example/",
        "http://127.0.0.1.evil.example/",
        "http://[::1]:3000/",
        "http://localhost:3000\n/",
        "javascript:alert(1)",
        "//localhost/",
    ],
)
async def test_nobody_is_sent_where_no_application_is_registered(
    portal: Application, uri: str
) -> None:
    for answer in (
        await portal.visit(redirect_uri=uri),
        await portal.submit({"person": "alice"}, redirect_uri=uri),
        await portal.visit(redirect_uri=uri, prompt="none"),
    ):
        assert answer.status_code == 400
        assert "location" not in answer.headers
        assert "set-cookie" not in answer.headers
        assert "AADSTS50011" in answer.text


@pytest.mark.conforms(
    "Sign-in",
    "The port of a localhost redirect URI is ignored.",
    source="learn:entra/identity-platform/reply-url#localhost-exceptions",
)
@pytest.mark.parametrize(
    ("uri", "where"),
    [
        ("http://localhost:4711/auth/callback", "http://localhost:4711/auth/callback"),
        ("http://127.0.0.1:3000", "http://127.0.0.1:3000/"),
        ("http://localhost/", "http://localhost/"),
    ],
)
async def test_the_port_of_this_machine_does_not_matter(
    portal: Application, uri: str, where: str
) -> None:
    answer = await portal.submit({"person": "alice"}, redirect_uri=uri)
    code = re.fullmatch(
        rf"{re.escape(where)}\?code=([\w-]+)&state=a\+state", answer.headers["location"]
    )

    assert code is not None
    redeemed = await portal.redeem(code[1], redirect_uri=uri)
    assert redeemed.status_code == 200


@pytest.mark.parametrize(
    ("changes", "error", "code"),
    [
        ({"response_type": "token"}, "unsupported_response_type", 700054),
        ({"response_type": None}, "unsupported_response_type", 700054),
        ({"code_challenge": None}, "invalid_request", 9002325),
        ({"code_challenge": "short"}, "invalid_request", 9002325),
        ({"code_challenge_method": "plain"}, "invalid_request", 9002325),
        ({"code_challenge_method": None}, "invalid_request", 9002325),
        ({"scope": None}, "invalid_scope", 28000),
        ({"scope": "openid orders.readwrite"}, "invalid_scope", 70011),
        ({"scope": f"api://{EMPLOYEES_API}/employee.access"}, "invalid_resource", 500011),
        ({"prompt": "please"}, "invalid_request", 90023),
        ({"max_age": "-1"}, "invalid_request", 900144),
        ({"max_age": "²"}, "invalid_request", 900144),
    ],
)
async def test_a_wrong_request_is_told_to_the_application(
    portal: Application, changes: dict[str, str | None], error: str, code: int
) -> None:
    visited = brought(await portal.visit(**changes))
    submitted = brought(await portal.submit({"person": "alice"}, **changes))

    for redirected in (visited, submitted):
        assert redirected["error"] == error
        assert redirected["error_description"].startswith(f"AADSTS{code}: ")
        assert redirected["state"] == "a state"
        assert "code" not in redirected


async def test_a_parameter_that_stands_there_twice_is_refused(
    portal: Application, http: httpx.AsyncClient
) -> None:
    query = list(portal.query().items())

    trusted = await http.get(portal.authorize, params=[*query, ("scope", "openid")])
    untrusted = await http.get(portal.authorize, params=[*query, ("redirect_uri", REDIRECT_URI)])

    assert brought(trusted)["error"] == "invalid_request"
    assert (untrusted.status_code, "location" in untrusted.headers) == (400, False)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"code_verifier": "x" * 43}, 501481),
        ({"code_verifier": "short"}, 501481),
        ({"code_verifier": ""}, 900144),
        ({"redirect_uri": "http://localhost:3001/auth/callback"}, 500112),
        ({"code": "guess"}, 70008),
        ({"client_id": EMPLOYEE_PORTAL}, 700016),
    ],
)
async def test_a_stolen_code_is_worth_nothing_and_stays_good_for_its_owner(
    portal: Application, changes: dict[str, str], code: int
) -> None:
    good = await portal.code("alice")

    stolen = await portal.redeem(changes.get("code", good), **changes)
    owned = await portal.redeem(good)

    assert (stolen.status_code, stolen.json()["error_codes"]) == (400, [code])
    assert owned.status_code == 200


@pytest.mark.conforms("Sign-in", "An authorization code can be redeemed once.", source=CODE_FLOW)
async def test_a_code_that_comes_twice_voids_what_it_was_exchanged_for(
    portal: Application,
) -> None:
    code = await portal.code("alice")
    tokens = (await portal.redeem(code)).json()

    again = await portal.redeem(code)
    refreshed = await portal.refresh(tokens["refresh_token"])

    assert (again.status_code, again.json()["error_codes"]) == (400, [54005])
    assert (refreshed.status_code, refreshed.json()["error"]) == (400, "invalid_grant")


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://localhost:3000"])
async def test_another_sites_page_cannot_sign_anybody_in(
    portal: Application, http: httpx.AsyncClient, origin: str
) -> None:
    answer = await http.post(
        portal.authorize,
        params=portal.query(),
        data={"person": "alice"},
        headers={"Origin": origin},
    )

    assert answer.status_code == 403
    assert "set-cookie" not in answer.headers
    assert "location" not in answer.headers


async def test_a_page_under_a_foreign_name_is_not_shown(
    portal: Application, http: httpx.AsyncClient
) -> None:
    answer = await http.get(
        portal.authorize, params=portal.query(), headers={"Host": "evil.example"}
    )

    assert answer.status_code == 403
    assert "Alice" not in answer.text


async def test_the_page_cannot_be_framed_or_scripted_and_its_cookie_not_read(
    portal: Application, identity: Part
) -> None:
    page = await portal.visit(state='"><script>alert(1)</script>')
    cookie = (await portal.submit({"person": "alice"})).headers["set-cookie"]

    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "form-action 'self' http://localhost:3000;" in policy
    assert page.headers["cache-control"] == "no-store"
    assert "<script" not in page.text
    assert cookie.startswith("localcloud-clients=")
    assert cookie.endswith(f"; HttpOnly; Path=/{CLIENTS}; SameSite=lax")
    assert identity.url.startswith("http:")


async def test_a_person_of_the_other_tenant_cannot_be_clicked(portal: Application) -> None:
    answer = await portal.submit({"person": "ada"})

    assert answer.status_code == 400
    assert "Nobody has that name." in answer.text
    assert "set-cookie" not in answer.headers
