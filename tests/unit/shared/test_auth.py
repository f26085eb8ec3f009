"""Access tokens, with real keys and no network."""

import asyncio
import base64
import hashlib
import json
import time
from collections.abc import Mapping
from typing import Any
from uuid import UUID

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from shared.auth import ADMIN, Authenticator, Caller
from shared.problem import (
    ServiceUnavailable,
    TokenExpired,
    TokenInvalid,
    TokenMissing,
)
from tests.rig.tokens import Tenant, authenticator_of, hs256

ALICE = UUID("0195a0a0-0000-7000-8000-00000000a11c")
CARLA = UUID("0195a0a0-0000-7000-8000-00000000ca51")
CLIENTS_TID = "22222222-2222-4222-8222-222222222222"
YEAR_2100 = 4102444800
EMPLOYEES_TID = "11111111-1111-4111-8111-111111111111"


@pytest.fixture
def clients() -> Tenant:
    return Tenant("client", CLIENTS_TID, "44444444-4444-4444-8444-444444444444", ALICE)


@pytest.fixture
def employees() -> Tenant:
    return Tenant("employee", EMPLOYEES_TID, "33333333-3333-4333-8333-333333333333", CARLA)


@pytest.fixture
def authenticator(clients: Tenant, employees: Tenant) -> Authenticator:
    return authenticator_of(clients, employees)


class Clock:
    def __init__(self) -> None:
        self.now = time.time()

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


async def refusal_of(authenticator: Authenticator, token: str) -> str:
    with pytest.raises(TokenInvalid) as refused:
        await authenticator.authenticate(f"Bearer {token}")
    return refused.value.detail


async def test_a_client_is_known_by_object_id_and_scopes(
    authenticator: Authenticator, clients: Tenant
) -> None:
    caller = await authenticator.authenticate(f"Bearer {clients.token()}")
    scopes = frozenset({"orders.readwrite", "products.read"})
    assert caller == Caller("client", ALICE, frozenset(), scopes)
    assert (caller.is_client, caller.is_employee) == (True, False)


async def test_an_employee_is_known_by_object_id_and_roles(
    authenticator: Authenticator, employees: Tenant
) -> None:
    token = employees.token(roles=["admin", "customer-service"])
    caller = await authenticator.authenticate(f"bearer {token}")
    roles = frozenset({"admin", "customer-service"})
    assert caller == Caller("employee", CARLA, roles, frozenset({"employee.access"}))
    assert caller.has_role(ADMIN, "order-manager")
    assert not caller.has_role("order-manager")


@pytest.mark.parametrize("header", [None, "", "   "])
async def test_without_a_token_there_is_no_caller(
    authenticator: Authenticator, header: str | None
) -> None:
    with pytest.raises(TokenMissing) as refused:
        await authenticator.authenticate(header)
    assert refused.value.headers() == {"WWW-Authenticate": "Bearer"}


@pytest.mark.parametrize(
    "header",
    ["Basic YTpi", "Bearer", "Bearer abc", "Bearer a.b", "Bearer a.b.c", "a.b.c", "Bearer a.b.c.d"],
)
async def test_what_is_no_token_is_refused(authenticator: Authenticator, header: str) -> None:
    with pytest.raises(TokenInvalid):
        await authenticator.authenticate(header)


async def test_two_authorization_headers_are_refused(
    authenticator: Authenticator, clients: Tenant
) -> None:
    token = clients.token()
    with pytest.raises(TokenInvalid):  # the host joins repeated headers with a comma
        await authenticator.authenticate(f"Bearer {token}, Bearer {token}")


async def test_a_token_too_long_to_be_ours_is_refused(
    authenticator: Authenticator, clients: Tenant
) -> None:
    assert (
        await refusal_of(authenticator, clients.token(padding="x" * 8192))
        == "the Authorization header must hold one Bearer token"
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"aud": "99999999-9999-4999-8999-999999999999"},
        {"aud": ["44444444-4444-4444-8444-444444444444"]},
        {"iss": "https://identity.test/evil/v2.0"},
        {"iss": "https://identity.test/22222222-2222-4222-8222-222222222222/v2.0/"},
        {"tid": EMPLOYEES_TID},
        {"ver": "1.0"},
        {"oid": "not-a-uuid"},
        {"oid": 7},
        {"scp": ["orders.readwrite"]},
        {"roles": "admin"},
        {"nbf": YEAR_2100},
        {"iat": YEAR_2100},
        *({name: None} for name in ("aud", "exp", "iat", "iss", "oid", "tid", "ver")),
    ],
    ids=str,
)
async def test_a_token_with_wrong_claims_is_refused(
    authenticator: Authenticator, clients: Tenant, changes: dict[str, Any]
) -> None:
    await refusal_of(authenticator, clients.token(**changes))


async def test_a_token_of_the_other_tenant_s_audience_is_refused(
    authenticator: Authenticator, clients: Tenant, employees: Tenant
) -> None:
    await refusal_of(authenticator, employees.token(aud=clients.audience))


async def test_a_key_of_one_tenant_does_not_sign_for_the_other(
    authenticator: Authenticator, clients: Tenant, employees: Tenant
) -> None:
    forged = clients.token(iss=employees.issuer, aud=employees.audience, tid=employees.tid)
    await refusal_of(authenticator, forged)


async def test_an_expired_token_is_told_apart(
    authenticator: Authenticator, clients: Tenant
) -> None:
    with pytest.raises(TokenExpired) as refused:
        await authenticator.authenticate(f"Bearer {clients.token(exp=int(time.time()) - 31)}")
    assert refused.value.headers()["WWW-Authenticate"] == (
        'Bearer error="invalid_token", error_description="the access token has expired"'
    )


async def test_clocks_may_differ_a_little(authenticator: Authenticator, clients: Tenant) -> None:
    late = clients.token(exp=int(time.time()) - 20)
    early = clients.token(nbf=int(time.time()) + 20, iat=int(time.time()) + 20)
    assert (await authenticator.authenticate(f"Bearer {late}")).id == ALICE
    assert (await authenticator.authenticate(f"Bearer {early}")).id == ALICE


async def test_a_forged_signature_is_refused(authenticator: Authenticator, clients: Tenant) -> None:
    stranger = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    forged = jwt.encode(clients.claims(), stranger, algorithm="RS256", headers={"kid": "first"})
    assert await refusal_of(authenticator, forged) == "the access token is not valid"


async def test_changed_claims_are_refused(authenticator: Authenticator, clients: Tenant) -> None:
    header, _, signature = clients.token().split(".")
    claims = json.dumps(clients.claims(oid=str(CARLA))).encode()
    payload = base64.urlsafe_b64encode(claims).decode().rstrip("=")
    await refusal_of(authenticator, f"{header}.{payload}.{signature}")


async def test_an_unsigned_token_is_refused(authenticator: Authenticator, clients: Tenant) -> None:
    unsigned = jwt.encode(clients.claims(), "", algorithm="none", headers={"kid": "first"})
    with pytest.raises(TokenInvalid):
        await authenticator.authenticate(f"Bearer {unsigned}")
    signed = f"{unsigned}{clients.token().rpartition('.')[2]}"
    assert await refusal_of(authenticator, signed) == "the token is not signed in the accepted way"


async def test_the_public_key_is_no_shared_secret(
    authenticator: Authenticator, clients: Tenant
) -> None:
    public = clients.keys["first"].public_key()
    pem = public.public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    forged = hs256(clients.claims(), pem, kid="first")
    assert await refusal_of(authenticator, forged) == "the token is not signed in the accepted way"


async def test_other_algorithms_of_the_same_key_are_refused(
    authenticator: Authenticator, clients: Tenant
) -> None:
    key = clients.keys["first"]
    for algorithm in ("RS512", "PS256"):
        token = jwt.encode(clients.claims(), key, algorithm=algorithm, headers={"kid": "first"})
        assert (
            await refusal_of(authenticator, token) == "the token is not signed in the accepted way"
        )


async def test_a_critical_header_that_we_do_not_know_is_refused(
    authenticator: Authenticator, clients: Tenant
) -> None:
    await refusal_of(authenticator, clients.token(headers={"crit": ["b64"], "b64": False}))


async def test_a_weak_key_is_not_taken_from_the_key_set(
    authenticator: Authenticator, clients: Tenant
) -> None:
    clients.keys = {"weak": rsa.generate_private_key(public_exponent=65537, key_size=1024)}  # noqa: S505 - to be refused
    with pytest.warns(jwt.InsecureKeyLengthWarning):
        token = clients.token()
    assert await refusal_of(authenticator, token) == "the token was signed with an unknown key"


async def test_keys_are_fetched_once_for_many_callers(
    authenticator: Authenticator, clients: Tenant
) -> None:
    tokens = [clients.token(uti=str(number)) for number in range(20)]
    callers = await asyncio.gather(*(authenticator.authenticate(f"Bearer {t}") for t in tokens))
    assert {caller.id for caller in callers} == {ALICE}
    assert clients.fetches == 1


async def test_a_rotated_key_is_found_by_fetching_again(clients: Tenant, clock: Clock) -> None:
    authenticator = authenticator_of(clients, clock=clock)
    await authenticator.authenticate(f"Bearer {clients.token()}")
    clients.rotate("second")
    clock.now += 31
    caller = await authenticator.authenticate(f"Bearer {clients.token()}")
    assert (caller.id, clients.fetches) == (ALICE, 2)


async def test_unknown_keys_do_not_make_us_hammer_the_issuer(clients: Tenant, clock: Clock) -> None:
    authenticator = authenticator_of(clients, clock=clock)
    await authenticator.authenticate(f"Bearer {clients.token()}")
    for number in range(50):
        forged = clients.token(headers={"kid": f"made-up-{number}"})
        assert await refusal_of(authenticator, forged) == "the token was signed with an unknown key"
    assert clients.fetches == 1
    clock.now += 31
    await asyncio.gather(
        *(
            refusal_of(authenticator, clients.token(headers={"kid": f"made-up-{number}"}))
            for number in range(50)
        )
    )
    assert clients.fetches == 2


async def test_a_token_verified_before_is_not_accepted_past_its_expiry(
    clients: Tenant, clock: Clock
) -> None:
    authenticator = authenticator_of(clients, clock=clock)
    token = clients.token(exp=int(time.time()) - 20)  # accepted within the leeway
    await authenticator.authenticate(f"Bearer {token}")
    assert authenticator._recall(sha256(token)) is None


async def test_a_token_verified_before_falls_with_its_key(clients: Tenant, clock: Clock) -> None:
    authenticator = authenticator_of(clients, clock=clock)
    old = clients.token()
    await authenticator.authenticate(f"Bearer {old}")
    clients.rotate("second")
    clock.now += 31
    await authenticator.authenticate(f"Bearer {clients.token()}")
    assert await refusal_of(authenticator, old) == "the token was signed with an unknown key"


async def test_only_so_many_verified_tokens_are_remembered(
    authenticator: Authenticator, clients: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.auth.tokens.VERIFIED_TOKENS_KEPT", 2)
    tokens = [clients.token(uti=str(number)) for number in range(3)]
    for token in tokens:
        await authenticator.authenticate(f"Bearer {token}")
    kept = [authenticator._recall(sha256(token)) is not None for token in tokens]
    assert kept == [False, True, True]


async def test_an_issuer_that_is_away_is_not_the_caller_s_fault(clients: Tenant) -> None:
    async def fetch(_url: str) -> Mapping[str, Any]:
        raise OSError

    authenticator = Authenticator([clients.trusted()], fetch=fetch)
    with pytest.raises(ServiceUnavailable):
        await authenticator.authenticate(f"Bearer {clients.token()}")


async def test_known_keys_outlive_an_issuer_that_is_away(clients: Tenant, clock: Clock) -> None:
    answers = [clients.key_set()]

    async def fetch(_url: str) -> Mapping[str, Any]:
        return answers.pop()  # IndexError from the second time on

    authenticator = Authenticator([clients.trusted()], fetch=fetch, clock=clock)
    await authenticator.authenticate(f"Bearer {clients.token()}")
    clock.now += 3601  # the key set is due to be read again; PyJWT itself looks at the real time
    caller = await authenticator.authenticate(f"Bearer {clients.token(uti='other')}")
    assert caller.id == ALICE


def sha256(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
