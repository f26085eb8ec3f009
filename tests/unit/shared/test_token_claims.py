"""Tokens whose claims are missing, of the wrong kind, of the future, or no claims at all."""

import base64
import json
import time
from typing import Any
from uuid import UUID

import pytest
from jwt.algorithms import RSAAlgorithm

from shared.auth import Authenticator
from shared.auth.tokens import REQUIRED, TOKEN_MAX_LENGTH
from shared.problem import TokenExpired, TokenInvalid
from tests.rig.tokens import Tenant, authenticator_of

ALICE = UUID("0195a0a0-0000-7000-8000-00000000a11c")
CARLA = UUID("0195a0a0-0000-7000-8000-00000000ca51")
NOT_THE_WAY = "the token is not signed in the accepted way"
NOT_VALID = "the access token is not valid"
NO_TOKEN = "the Authorization header must hold one Bearer token"


@pytest.fixture
def clients() -> Tenant:
    tid = "22222222-2222-4222-8222-222222222222"
    return Tenant("client", tid, "44444444-4444-4444-8444-444444444444", ALICE)


@pytest.fixture
def employees() -> Tenant:
    tid = "11111111-1111-4111-8111-111111111111"
    return Tenant("employee", tid, "33333333-3333-4333-8333-333333333333", CARLA)


@pytest.fixture
def authenticator(clients: Tenant, employees: Tenant) -> Authenticator:
    return authenticator_of(clients, employees)


async def refusal_of(authenticator: Authenticator, token: str) -> str:
    with pytest.raises(TokenInvalid) as refused:
        await authenticator.authenticate(f"Bearer {token}")
    assert refused.value.status == 401
    return refused.value.detail


def encoded(part: object) -> str:
    raw = part if isinstance(part, bytes) else json.dumps(part).encode()
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def with_parts(token: str, *, header: object = None, claims: object = None) -> str:
    """The token with its header or claims replaced, under its old signature."""
    old_header, old_claims, signature = token.split(".")
    header = old_header if header is None else encoded(header)
    claims = old_claims if claims is None else encoded(claims)
    return f"{header}.{claims}.{signature}"


@pytest.mark.parametrize("claim", REQUIRED)
@pytest.mark.parametrize("value", [None, "", [], {}, True, -1, "x" * 500], ids=str)
async def test_a_claim_that_is_missing_or_of_another_kind_is_refused(
    authenticator: Authenticator, clients: Tenant, claim: str, value: object
) -> None:
    claims = clients.claims()
    if value is None:
        del claims[claim]
    else:
        claims[claim] = value
    token = with_signature(clients, claims)
    try:
        await authenticator.authenticate(f"Bearer {token}")
    except (TokenInvalid, TokenExpired) as refused:
        assert refused.status == 401  # noqa: PT017 - one of two
    else:
        # A time long ago is one: iat and nbf only have to be over.
        assert (claim, value) in {("iat", True), ("iat", -1), ("nbf", True), ("nbf", -1)}


def with_signature(tenant: Tenant, claims: object) -> str:
    """A well-signed token, whatever it says; PyJWT itself would not write some of these."""
    header, _, _ = tenant.token().split(".")
    signed = f"{header}.{encoded(claims)}"
    key = tenant.keys["first"]
    return f"{signed}.{encoded(RSAAlgorithm(RSAAlgorithm.SHA256).sign(signed.encode(), key))}"


@pytest.mark.parametrize("claim", ["nbf", "iat"])
@pytest.mark.parametrize("ahead_s", [60, 3600, 10**9, 10**18])
async def test_a_token_of_the_future_is_refused(
    authenticator: Authenticator, clients: Tenant, claim: str, ahead_s: int
) -> None:
    changes: dict[str, Any] = {claim: int(time.time()) + ahead_s}
    token = clients.token(**changes)
    assert await refusal_of(authenticator, token) == NOT_VALID


@pytest.mark.parametrize(
    "claims",
    [
        b"null",
        b"[]",
        b'"text"',
        b"7",
        b"{",
        b"\xff\xfe",
        b"",
        b'{"exp": Infinity}',
        b'{"exp": NaN}',
        b'{"exp": ' + b"9" * 5000 + b"}",
        b"[" * 5000,
        b'{"iss":' * 600,
    ],
    ids=lambda claims: claims[:12].decode("ascii", "replace"),
)
async def test_claims_that_are_no_claims_are_refused(
    authenticator: Authenticator, clients: Tenant, claims: bytes
) -> None:
    assert await refusal_of(authenticator, with_parts(clients.token(), claims=claims)) in {
        NOT_VALID,
        NO_TOKEN,
        "the token was not issued by a trusted issuer",
    }
    if len(encoded(claims)) < TOKEN_MAX_LENGTH // 2:
        header = claims
        token = with_parts(clients.token(), header=header)
        assert await refusal_of(authenticator, token) in {NOT_VALID, NOT_THE_WAY, NO_TOKEN}


@pytest.mark.parametrize("exp", ["Infinity", "-Infinity", "NaN", "1e400", "9" * 4000])
async def test_a_signed_token_without_a_real_end_is_refused(
    authenticator: Authenticator, clients: Tenant, exp: str
) -> None:
    claims = json.dumps(clients.claims(exp="@")).replace('"@"', exp).encode()
    with pytest.raises((TokenInvalid, TokenExpired)):
        await authenticator.authenticate(f"Bearer {with_signature(clients, claims)}")
