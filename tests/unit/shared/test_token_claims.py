"""Tokens whose claims are missing, of the wrong kind, of the future, or no claims at all."""

import json
import time
from typing import Any

import pytest
from jwt.algorithms import RSAAlgorithm

from shared.auth import Authenticator
from shared.auth.tokens import REQUIRED, TOKEN_MAX_LENGTH
from shared.problem import TokenExpired, TokenInvalid
from tests.rig.tokens import Tenant, encoded, refusal_of, with_parts

NOT_THE_WAY = "the token is not signed in the accepted way"
NOT_VALID = "the access token is not valid"
NO_TOKEN = "the Authorization header must hold one Bearer token"


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
