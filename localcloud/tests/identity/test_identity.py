"""Identity over HTTP: what it signs can be verified, what it should refuse it refuses."""

import stat
import uuid
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest

from localcloud.tests.identity.conftest import MODULE
from localcloud.tests.partners.part import Part, running, start

EMPLOYEES = "11111111-1111-4111-8111-111111111111"
CLIENTS = "22222222-2222-4222-8222-222222222222"
EMPLOYEES_API = "33333333-3333-4333-8333-333333333333"
CLIENTS_API = "44444444-4444-4444-8444-444444444444"
CUSTOMER_PORTAL = "55555555-5555-4555-8555-555555555555"
EMPLOYEE_PORTAL = "66666666-6666-4666-8666-666666666666"

ALICE = {
    "grant_type": "password",
    "client_id": CUSTOMER_PORTAL,
    "username": "alice@clients.example",
    "password": "demo",
    "scope": f"api://{CLIENTS_API}/.default",
}
PAYMENTS = {
    "grant_type": "client_credentials",
    "client_id": "payment-client",
    "client_secret": "local-payment-client-secret",
    "scope": "api://payment-gateway/.default",
}


async def ask(http: httpx.AsyncClient, tenant: str, form: dict[str, str]) -> httpx.Response:
    return await http.post(f"/{tenant}/oauth2/v2.0/token", data=form)


async def verified(http: httpx.AsyncClient, token: str, tenant: str, audience: str) -> Any:
    """The claims of a token, checked as a stranger would: by discovery, key set and PyJWT."""
    found = (await http.get(f"/{tenant}/v2.0/.well-known/openid-configuration")).json()
    keys = jwt.PyJWKSet.from_dict((await http.get(found["jwks_uri"])).json())
    key = keys[jwt.get_unverified_header(token)["kid"]]
    required = ["iss", "aud", "iat", "nbf", "exp", "sub", "oid", "tid", "azp", "uti", "ver"]
    return jwt.decode(
        token,
        key.key,
        ["RS256"],
        {"require": required},
        audience=audience,
        issuer=found["issuer"],
    )


async def test_discovery_offers_exactly_what_works(http: httpx.AsyncClient, identity: Part) -> None:
    found = (await http.get(f"/{CLIENTS}/v2.0/.well-known/openid-configuration")).json()

    assert found["issuer"] == f"{identity.url}/{CLIENTS}/v2.0"
    assert found["authorization_endpoint"] == f"{identity.url}/{CLIENTS}/oauth2/v2.0/authorize"
    assert found["token_endpoint"] == f"{identity.url}/{CLIENTS}/oauth2/v2.0/token"
    assert found["end_session_endpoint"] == f"{identity.url}/{CLIENTS}/oauth2/v2.0/logout"
    assert found["grant_types_supported"] == [
        "authorization_code",
        "refresh_token",
        "password",
        "client_credentials",
    ]
    assert found["response_types_supported"] == ["code"]
    assert found["code_challenge_methods_supported"] == ["S256"]
    assert f"api://{CLIENTS_API}/orders.readwrite" in found["scopes_supported"]
    assert {"openid", "offline_access"} < set(found["scopes_supported"])


async def test_the_issuer_does_not_follow_the_host_header(
    http: httpx.AsyncClient, identity: Part
) -> None:
    answer = await http.get(
        f"/{CLIENTS}/v2.0/.well-known/openid-configuration", headers={"Host": "evil.example"}
    )

    assert answer.json()["issuer"] == f"{identity.url}/{CLIENTS}/v2.0"


async def test_a_client_gets_a_token_with_the_claims_of_entra(
    http: httpx.AsyncClient, identity: Part
) -> None:
    answer = await ask(http, CLIENTS, ALICE)

    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    body = answer.json()
    assert body["token_type"] == "Bearer"
    assert body["expires_in"] == 3599
    claims = await verified(http, body["access_token"], CLIENTS, CLIENTS_API)
    assert claims["exp"] - claims["iat"] == 3600
    assert claims["iss"] == f"{identity.url}/{CLIENTS}/v2.0"
    assert claims["tid"] == CLIENTS
    assert claims["ver"] == "2.0"
    assert claims["azp"] == CUSTOMER_PORTAL
    assert claims["oid"] == "a11ce000-0000-4000-8000-000000000001"
    assert claims["sub"] != claims["oid"]
    assert claims["name"] == "Alice Moreau"
    assert claims["preferred_username"] == claims["email"] == "alice@clients.example"
    assert claims["iat"] - claims["auth_time"] in (0, 1)
    assert str(uuid.UUID(claims["sid"])) == claims["sid"]
    assert claims["scp"] == (
        "customers.readwrite notifications.readwrite orders.readwrite payments.readwrite"
        " products.read"
    )
    assert "roles" not in claims
    assert "groups" not in claims


async def test_every_sign_in_is_a_session_of_its_own(http: httpx.AsyncClient) -> None:
    sessions = set()
    for _ in range(3):
        token = (await ask(http, CLIENTS, ALICE)).json()["access_token"]
        sessions.add((await verified(http, token, CLIENTS, CLIENTS_API))["sid"])

    assert len(sessions) == 3


async def test_a_token_carries_only_the_scopes_asked_for(http: httpx.AsyncClient) -> None:
    scope = f"api://{CLIENTS_API}/products.read api://{CLIENTS_API}/orders.readwrite"

    body = (await ask(http, CLIENTS, ALICE | {"scope": scope})).json()

    claims = await verified(http, body["access_token"], CLIENTS, CLIENTS_API)
    assert claims["scp"] == "orders.readwrite products.read"
    assert set(body["scope"].split()) == set(scope.split())


async def test_the_subject_is_stable_for_a_person_and_differs_between_people(
    http: httpx.AsyncClient,
) -> None:
    subjects = []
    for username in ("alice@clients.example", "Alice@Clients.Example", "bruno@clients.example"):
        token = (await ask(http, CLIENTS, ALICE | {"username": username})).json()["access_token"]
        subjects.append((await verified(http, token, CLIENTS, CLIENTS_API))["sub"])

    assert subjects[0] == subjects[1]
    assert subjects[0] != subjects[2]


@pytest.mark.parametrize(
    ("person", "role", "group"),
    [
        ("carla", "customer-service", "9a0b0000-0000-4000-8000-000000000021"),
        ("oscar", "order-manager", "9a0b0000-0000-4000-8000-000000000022"),
        ("ada", "admin", "9a0b0000-0000-4000-8000-000000000023"),
    ],
)
async def test_an_employee_has_one_scope_one_role_and_groups(
    http: httpx.AsyncClient, person: str, role: str, group: str
) -> None:
    form = ALICE | {
        "client_id": EMPLOYEE_PORTAL,
        "username": f"{person}@company.example",
        "scope": f"api://{EMPLOYEES_API}/employee.access",
    }

    token = (await ask(http, EMPLOYEES, form)).json()["access_token"]

    claims = await verified(http, token, EMPLOYEES, EMPLOYEES_API)
    assert claims["scp"] == "employee.access"
    assert claims["roles"] == [role]
    assert claims["groups"] == ["9a0b0000-0000-4000-8000-000000000020", group]
    assert "email" not in claims


async def test_an_application_gets_a_token_with_roles_and_no_scope(
    http: httpx.AsyncClient,
) -> None:
    body = (await ask(http, EMPLOYEES, PAYMENTS)).json()

    claims = await verified(http, body["access_token"], EMPLOYEES, "api://payment-gateway")
    assert claims["roles"] == ["payments.process"]
    assert claims["sub"] == claims["oid"]
    assert "scp" not in claims
    assert "scope" not in body


async def test_an_application_may_authenticate_by_header(http: httpx.AsyncClient) -> None:
    form = {"grant_type": "client_credentials", "scope": "api://payment-gateway/.default"}

    answer = await http.post(
        f"/{EMPLOYEES}/oauth2/v2.0/token",
        data=form,
        auth=("payment-client", "local-payment-client-secret"),
    )

    assert answer.status_code == 200


@pytest.mark.parametrize(
    ("changes", "error", "code"),
    [
        ({"password": "Demo"}, "invalid_grant", 50126),
        ({"username": "mallory@clients.example"}, "invalid_grant", 50126),
        ({"username": "alice"}, "invalid_grant", 50126),
        ({"username": "ada@company.example"}, "invalid_grant", 50126),
        ({"client_id": "nobody"}, "unauthorized_client", 700016),
        ({"client_id": EMPLOYEE_PORTAL}, "unauthorized_client", 700016),
        ({"grant_type": "implicit"}, "unsupported_grant_type", 70003),
        ({"grant_type": ""}, "invalid_request", 900144),
        ({"password": ""}, "invalid_request", 900144),
        ({"scope": ""}, "invalid_request", 900144),
        ({"scope": f"api://{CLIENTS_API}/orders.delete"}, "invalid_scope", 70011),
        ({"scope": "orders.readwrite"}, "invalid_scope", 70011),
        ({"scope": f"api://{EMPLOYEES_API}/employee.access"}, "invalid_resource", 500011),
        (
            {"scope": f"api://{CLIENTS_API}/.default api://{CLIENTS_API}/products.read"},
            "invalid_scope",
            70011,
        ),
    ],
)
async def test_a_wrong_request_is_refused_in_the_words_of_entra(
    http: httpx.AsyncClient, changes: dict[str, str], error: str, code: int
) -> None:
    answer = await ask(http, CLIENTS, ALICE | changes)

    assert answer.status_code == 400
    body = answer.json()
    assert body["error"] == error
    assert body["error_codes"] == [code]
    assert body["error_description"].startswith(f"AADSTS{code}: ")
    assert set(body) == {
        "error",
        "error_description",
        "error_codes",
        "timestamp",
        "trace_id",
        "correlation_id",
    }


@pytest.mark.parametrize(
    ("changes", "code"),
    [({"client_secret": "guess"}, 7000215), ({"client_secret": ""}, 7000218)],
)
async def test_a_wrong_or_missing_secret_is_an_invalid_client(
    http: httpx.AsyncClient, changes: dict[str, str], code: int
) -> None:
    answer = await ask(http, EMPLOYEES, PAYMENTS | changes)

    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Basic ")
    assert answer.json()["error"] == "invalid_client"
    assert answer.json()["error_codes"] == [code]


@pytest.mark.parametrize(
    ("changes", "status", "error", "code"),
    [
        ({"scope": f"api://{EMPLOYEES_API}/employee.access"}, 400, "invalid_scope", 1002012),
        ({"scope": f"api://{EMPLOYEES_API}/.default"}, 400, "invalid_grant", 501051),
        ({"client_id": EMPLOYEE_PORTAL}, 401, "invalid_client", 700025),
    ],
)
async def test_an_application_gets_nothing_that_it_was_not_assigned(
    http: httpx.AsyncClient, changes: dict[str, str], status: int, error: str, code: int
) -> None:
    answer = await ask(http, EMPLOYEES, PAYMENTS | changes)

    assert (answer.status_code, answer.json()["error"]) == (status, error)
    assert answer.json()["error_codes"] == [code]


async def test_a_token_request_must_be_one_clean_form(http: httpx.AsyncClient) -> None:
    url = f"/{CLIENTS}/oauth2/v2.0/token"

    as_json = await http.post(url, json=ALICE)
    doubled = await http.post(
        url,
        content="grant_type=password&grant_type=password",
        headers={"Content-Type": "application/x-www-form-urlencoded"},
    )
    huge = await http.post(url, data=ALICE | {"filler": "x" * 40_000})

    assert (as_json.status_code, as_json.json()["error"]) == (400, "invalid_request")
    assert (doubled.status_code, doubled.json()["error"]) == (400, "invalid_request")
    assert huge.status_code == 413


async def test_a_tenant_that_does_not_exist_is_named(http: httpx.AsyncClient) -> None:
    answer = await ask(http, "99999999-9999-4999-8999-999999999999", ALICE)

    assert (answer.status_code, answer.json()["error_codes"]) == (400, [90002])


async def test_the_demo_people_can_sign_in_as_introduced(http: httpx.AsyncClient) -> None:
    people = (await http.get("/people")).json()["people"]

    assert [person["person"] for person in people] == [
        "alice",
        "bruno",
        "chloe",
        "carla",
        "oscar",
        "ada",
    ]
    for person in people:
        form = {
            "grant_type": "password",
            "client_id": person["client_id"],
            "username": person["username"],
            "password": person["password"],
            "scope": person["scope"],
        }
        answer = await http.post(person["token_path"], data=form)
        claims = jwt.decode(answer.json()["access_token"], options={"verify_signature": False})
        assert claims["oid"] == person["oid"]


async def test_a_token_made_to_order_is_a_real_one(http: httpx.AsyncClient) -> None:
    order = {"person": "carla", "claims": {"roles": ["admin"], "name": None}}

    token = (await http.post("/control/tokens", json=order)).json()["access_token"]

    claims = await verified(http, token, EMPLOYEES, EMPLOYEES_API)
    assert claims["oid"] == "ca41a000-0000-4000-8000-000000000004"
    assert claims["roles"] == ["admin"]
    assert claims["auth_time"] == claims["iat"]
    assert "name" not in claims


async def test_a_token_for_nobody_we_know_needs_a_tenant(http: httpx.AsyncClient) -> None:
    claims = {"aud": CLIENTS_API, "oid": "0" * 8, "sub": "s", "azp": "a", "scp": "products.read"}

    without = await http.post("/control/tokens", json={"claims": claims})
    order = {"tenant": "clients", "claims": claims}
    token = (await http.post("/control/tokens", json=order)).json()["access_token"]

    assert without.status_code == 400
    assert (await verified(http, token, CLIENTS, CLIENTS_API))["oid"] == "00000000"


async def test_a_forged_token_fails_verification(http: httpx.AsyncClient) -> None:
    order = {"person": "alice", "forged": True}
    token = (await http.post("/control/tokens", json=order)).json()["access_token"]

    with pytest.raises(jwt.InvalidSignatureError):
        await verified(http, token, CLIENTS, CLIENTS_API)


async def test_an_expired_token_was_good_once(http: httpx.AsyncClient) -> None:
    order = {"person": "alice", "expires_in": -30}
    token = (await http.post("/control/tokens", json=order)).json()["access_token"]

    with pytest.raises(jwt.ExpiredSignatureError):
        await verified(http, token, CLIENTS, CLIENTS_API)
    claims = jwt.decode(token, options={"verify_signature": False})
    assert claims["exp"] - claims["iat"] == 3600
    assert claims["auth_time"] == claims["iat"]


async def test_an_order_for_a_token_that_makes_no_sense_is_refused(
    http: httpx.AsyncClient,
) -> None:
    stranger = await http.post("/control/tokens", json={"person": "mallory"})
    misspelt = await http.post("/control/tokens", json={"persson": "alice"})
    wrong = await http.post("/control/tokens", json={"person": "alice", "claims": {"iss": 7}})
    form = await http.post("/control/tokens", data={"person": "alice"})

    assert [answer.status_code for answer in (stranger, misspelt, wrong, form)] == [
        404,
        400,
        400,
        415,
    ]


async def test_unknown_paths_and_methods_answer_in_json(http: httpx.AsyncClient) -> None:
    missing = await http.get("/nowhere")
    wrong_method = await http.get(f"/{CLIENTS}/oauth2/v2.0/token")

    assert (missing.status_code, missing.json()["error"]["code"]) == (404, "http_404")
    assert (wrong_method.status_code, wrong_method.headers["allow"]) == (405, "POST")


def test_keys_survive_a_kill_and_belong_to_their_owner_only(tmp_path: Path) -> None:
    kids = []
    for _ in range(2):
        with running(MODULE, tmp_path) as part:
            for tenant in (EMPLOYEES, CLIENTS):
                answer = httpx.get(f"{part.url}/{tenant}/discovery/v2.0/keys")
                kids.append(answer.json()["keys"][0]["kid"])

    assert kids[:2] == kids[2:]
    assert kids[0] != kids[1]
    modes = {stat.S_IMODE(key.stat().st_mode) for key in (tmp_path / "identity").iterdir()}
    assert modes == {0o600}


def test_it_drains_on_request_and_reports_health(tmp_path: Path) -> None:
    part = start(MODULE, tmp_path)

    assert httpx.get(f"{part.url}/health").json() == {"status": "ok"}
    assert part.stop() == 0
    assert part.process.stdout is not None
    assert part.process.stdout.read() == ""
    part.process.stdout.close()


async def test_two_client_secrets_are_good_while_one_is_replaced(tmp_path: Path) -> None:
    first, second = "local-payment-client-secret", "another-client-secret"

    async def proofs(http: httpx.AsyncClient) -> list[int]:
        answers = [
            await http.post(
                f"/{EMPLOYEES}/oauth2/v2.0/token", data=PAYMENTS | {"client_secret": secret}
            )
            for secret in (first, second)
        ]
        return [answer.status_code for answer in answers]

    async def replaced(http: httpx.AsyncClient, client_id: str, *secrets: str) -> int:
        order = {"client_id": client_id, "secrets": list(secrets)}
        return (await http.put("/control/client-secrets", json=order)).status_code

    with running(MODULE, tmp_path) as part:
        async with httpx.AsyncClient(base_url=part.url) as http:
            assert await proofs(http) == [200, 401]
            assert await replaced(http, "payment-client", first, second) == 204
            assert await proofs(http) == [200, 200]
            assert await replaced(http, "payment-client", second) == 204
            assert await proofs(http) == [401, 200]
            assert await replaced(http, "nobody", second) == 404
            assert await replaced(http, "payment-client") == 400
    with running(MODULE, tmp_path) as part:
        async with httpx.AsyncClient(base_url=part.url) as http:
            assert await proofs(http) == [401, 200]
