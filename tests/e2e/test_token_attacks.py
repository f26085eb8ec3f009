"""Forged tokens and claimed identities, straight at the running service: all fail closed."""

import asyncio
import base64
import json
import uuid
from collections.abc import Mapping
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

from tests.rig.platform import Platform
from tests.rig.postgres import contents
from tests.rig.tokens import hs256, key_of

CLIENTS = "22222222-2222-4222-8222-222222222222"
EMPLOYEES = "11111111-1111-4111-8111-111111111111"
INVALID = (401, "token-invalid")


async def minted(platform: Platform, person: str = "alice", **order: Any) -> str:
    """A token made to order by the directory itself."""
    answer = await platform.shop._http.post(
        f"{platform.shop.identity}/control/tokens", json={"person": person, **order}
    )
    assert answer.is_success, answer.text
    return str(answer.json()["access_token"])


async def public_key(platform: Platform) -> tuple[str, rsa.RSAPublicKey]:
    """The key of the clients' tenant as everybody can read it, with its name."""
    answer = await platform.shop._http.get(
        f"{platform.shop.identity}/{CLIENTS}/discovery/v2.0/keys"
    )
    jwk = answer.json()["keys"][0]
    key = RSAAlgorithm.from_jwk({name: jwk[name] for name in ("kty", "n", "e")})
    assert isinstance(key, rsa.RSAPublicKey)
    return jwk["kid"], key


def claims_of(token: str) -> dict[str, Any]:
    claims: dict[str, Any] = jwt.decode(token, options={"verify_signature": False})
    return claims


def reheaded(token: str, header: Mapping[str, Any]) -> str:
    encoded = base64.urlsafe_b64encode(json.dumps(header).encode()).decode().rstrip("=")
    return f"{encoded}.{token.split('.', 1)[1]}"


async def ask(platform: Platform, headers: Any) -> tuple[int, str | None]:
    """What a request that would place an order gets."""
    async with httpx.AsyncClient(trust_env=False, timeout=30) as http:
        answer = await http.post(
            f"{platform.shop.api}/orders",
            headers=[*headers, ("Idempotency-Key", str(uuid.uuid4()))],
            json={"lines": [{"product_id": platform.product(), "quantity": 1}]},
        )
    problem = answer.json()
    assert problem["correlation_id"] == answer.headers["X-Correlation-Id"]
    if answer.status_code == 401:
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    return answer.status_code, problem["code"]


async def test_no_forged_token_is_taken(platform: Platform) -> None:
    await platform.quiet()
    before = await contents(platform.db)
    good = await minted(platform)
    claims, (kid, public) = claims_of(good), await public_key(platform)
    pem = public.public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    stranger = key_of("attacker", "first")
    jwk = json.loads(RSAAlgorithm.to_jwk(stranger.public_key()))
    header = {"alg": "RS256", "typ": "JWT", "kid": kid}

    def by_stranger(**headers: Any) -> str:
        return jwt.encode(claims, stranger, algorithm="RS256", headers={"kid": kid} | headers)

    forged = {
        "alg none": reheaded(good, header | {"alg": "none"}),
        "no signature": good.rpartition(".")[0] + ".",
        "HS256 with the public key": hs256(claims, pem, kid=kid),
        "a stranger's key": by_stranger(),
        "a stranger's key in the header": by_stranger(jwk=jwk),
        "a stranger's key set": by_stranger(jku=f"{platform.shop.identity}/attacker/keys"),
        "a stranger's certificate": by_stranger(x5u="http://127.0.0.1:1/chain.pem"),
        "a key by path": by_stranger(kid="../../../../dev/null"),
        "a key by SQL": by_stranger(kid="' UNION SELECT 'secret' --"),
        "a key of the other tenant": await minted(
            platform,
            "carla",
            claims={"iss": claims["iss"], "aud": claims["aud"], "tid": CLIENTS, "scp": "x"},
        ),
        "other claims under an old signature": ".".join(
            [
                good.split(".")[0],
                reheaded(good, claims | {"oid": platform.bruno.id}).split(".")[0],
                good.split(".")[2],
            ]
        ),
        "not yet": await minted(platform, claims={"nbf": claims["nbf"] + 7200}),
        "issued in the future": await minted(platform, claims={"iat": claims["iat"] + 7200}),
        "oversized": await minted(platform, claims={"padding": "x" * 9000}),
        "for another audience": await minted(platform, claims={"aud": "api://order-platform"}),
        "of another issuer": await minted(platform, claims={"iss": "https://evil.test/v2.0"}),
        "of another tenant": await minted(platform, claims={"tid": EMPLOYEES}),
        "of version 1.0": await minted(platform, claims={"ver": "1.0"}),
        "brackets without end": reheaded(good, header).split(".")[0] + "." + "W1tb" * 1500 + ".AA",
    }
    for claim in ("aud", "exp", "iat", "iss", "nbf", "oid", "tid", "ver"):
        forged[f"without {claim}"] = await minted(platform, claims={claim: None})
    answers = await asyncio.gather(
        *(ask(platform, [("Authorization", f"Bearer {token}")]) for token in forged.values())
    )
    assert dict(zip(forged, answers, strict=True)) == dict.fromkeys(forged, INVALID)
    assert await contents(platform.db) == before


async def test_a_second_authorization_header_spoils_the_first(platform: Platform) -> None:
    good, other = await minted(platform), await minted(platform, "bruno")
    for second in (good, other, "nonsense"):
        for pair in ((good, second), (second, good)):
            headers = [("Authorization", f"Bearer {token}") for token in pair]
            assert await ask(platform, headers) == INVALID


@pytest.mark.parametrize(
    "name",
    ["X-User-Id", "X-User-Roles", "x-ms-client-principal", "X-MS-CLIENT-PRINCIPAL-ID"],
)
async def test_a_claimed_identity_is_refused_with_a_token_and_counts_for_nothing_without(
    platform: Platform, name: str
) -> None:
    good = await minted(platform)
    claimed = base64.b64encode(b'{"userRoles":["admin"]}').decode()
    headers = [("Authorization", f"Bearer {good}"), (name, claimed)]
    assert await ask(platform, headers) == (400, "invalid-request")
    assert await ask(platform, [(name, claimed)]) == (400, "invalid-request")


async def test_only_the_gateway_carries_somebody_else_s_token(platform: Platform) -> None:
    alice, bruno = await minted(platform), await minted(platform, "bruno")

    async def workload(name: str, **order: Any) -> str:
        answer = await platform.shop._http.post(
            f"{platform.shop.identity}/control/tokens",
            json={"workload": name, "resource": "api://order-platform", **order},
        )
        assert answer.is_success, answer.text
        return str(answer.json()["access_token"])

    async def carried_by(token: str | None) -> tuple[int, str | None]:
        own = [] if token is None else [("Authorization", f"Bearer {token}")]
        return await ask(platform, [*own, ("X-Forwarded-Authorization", f"Bearer {bruno}")])

    refused = (401, "gateway-required")
    assert await carried_by(None) == refused
    assert await carried_by(alice) == refused
    assert await carried_by(await workload("platform")) == refused
    assert await carried_by(await workload("gateway", expires_in=-600)) == refused
    assert await carried_by(await workload("gateway", forged=True)) == refused
    # In; what the request lacks comes to light only then.
    assert await carried_by(await workload("gateway")) == (400, "invalid-request")


async def through_the_gateway(platform: Platform, *headers: tuple[str, str]) -> httpx.Response:
    """What a request for the caller's own record gets by the clients' proxy."""
    port = platform.cloud.ports["gateway-external"]
    async with httpx.AsyncClient(trust_env=False, timeout=30) as http:
        return await http.get(
            f"http://127.0.0.1:{port}/external-api/v1/customers/me", headers=[*headers]
        )


@pytest.mark.parametrize(
    "name",
    [
        "X-User-Id",
        "X-User-Roles",
        "x-ms-client-principal",
        "X-MS-CLIENT-PRINCIPAL-ID",
        "X-Forwarded-Authorization",
    ],
)
async def test_what_a_caller_says_of_himself_ends_at_the_gateway(
    platform: Platform, name: str
) -> None:
    alice, bruno = await minted(platform), await minted(platform, "bruno")
    claimed = f"Bearer {bruno}" if name == "X-Forwarded-Authorization" else platform.bruno.id

    answer = await through_the_gateway(
        platform, ("Authorization", f"Bearer {alice}"), (name, claimed)
    )
    without = await through_the_gateway(platform, (name, claimed))

    assert (answer.status_code, answer.json()["id"]) == (200, platform.alice.id)
    assert (without.status_code, without.json()["code"]) == (401, "token-missing")


async def test_the_gateway_does_not_choose_between_two_tokens(platform: Platform) -> None:
    alice, bruno = await minted(platform), await minted(platform, "bruno")
    for pair in ((alice, bruno), (bruno, alice), (alice, alice)):
        headers = [("Authorization", f"Bearer {token}") for token in pair]
        answer = await through_the_gateway(platform, *headers)
        assert answer.status_code in {400, 401}, answer.text
        assert answer.headers["content-type"] == "application/problem+json"


async def test_the_gateway_s_own_token_opens_nothing_by_itself(platform: Platform) -> None:
    answer = await platform.shop._http.post(
        f"{platform.shop.identity}/control/tokens",
        json={"workload": "gateway", "resource": "api://order-platform"},
    )
    own = answer.json()["access_token"]
    by_proxy = await through_the_gateway(platform, ("Authorization", f"Bearer {own}"))
    assert (by_proxy.status_code, by_proxy.json()["code"]) == INVALID
    assert await ask(platform, [("Authorization", f"Bearer {own}")]) == INVALID
