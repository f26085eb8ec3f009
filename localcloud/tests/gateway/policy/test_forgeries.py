"""Tokens that nobody we trust has signed."""

import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from typing import Any

import jwt as pyjwt
import pytest
from cryptography.hazmat.primitives import serialization

from localcloud.tests.gateway.policy.door import accepted, refused, validate_jwt
from localcloud.tests.gateway.policy.doubles import Signer
from localcloud.tests.gateway.policy.stage import Staged


def _raw(header: dict[str, Any], payload: dict[str, Any], signature: bytes = b"") -> str:
    def part(value: bytes) -> str:
        return base64.urlsafe_b64encode(value).rstrip(b"=").decode()

    return ".".join(
        [part(json.dumps(header).encode()), part(json.dumps(payload).encode()), part(signature)]
    )


def _claims(signer: Signer) -> dict[str, Any]:
    claims: dict[str, Any] = pyjwt.decode(signer.token(), options={"verify_signature": False})
    return claims


def _alg_none(signer: Signer) -> str:
    return _raw({"alg": "none", "kid": "first"}, _claims(signer))


def _hmac_with_the_public_key(signer: Signer) -> str:
    public = (
        signer.keys["first"]
        .public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    unsigned = _raw({"alg": "HS256", "kid": "first"}, _claims(signer)).rpartition(".")[0]
    digest = hmac.new(public, unsigned.encode(), hashlib.sha256).digest()
    return f"{unsigned}.{base64.urlsafe_b64encode(digest).rstrip(b'=').decode()}"


def _foreign_key_in_the_header(signer: Signer) -> str:
    foreign = Signer()
    jwk = pyjwt.algorithms.RSAAlgorithm.to_jwk(foreign.keys["first"].public_key(), as_dict=True)
    headers = {
        "kid": "first",
        "jwk": jwk,
        "jku": "https://evil.test/keys",
        "x5u": "https://evil.test",
    }
    return pyjwt.encode(_claims(signer), foreign.keys["first"], "RS256", headers)


def _other_payload(signer: Signer) -> str:
    head, _, signature = signer.token().split(".")
    _, payload, _ = signer.token(sub="somebody else").split(".")
    return f"{head}.{payload}.{signature}"


@pytest.mark.parametrize(
    ("forge", "reason"),
    [
        (_alg_none, "TokenSignatureInvalid"),
        (_hmac_with_the_public_key, "TokenSignatureInvalid"),
        (_foreign_key_in_the_header, "TokenSignatureInvalid"),
        (_other_payload, "TokenSignatureInvalid"),
        (lambda signer: signer.token()[:-6], "TokenSignatureInvalid"),
        (
            lambda signer: pyjwt.encode(
                _claims(signer), signer.keys["first"], "PS384", {"kid": "first"}
            ),
            "TokenSignatureInvalid",
        ),
        (
            lambda _: _raw({"alg": "RS256", "kid": "../../dev/null"}, {}),
            "TokenSignatureKeyNotFound",
        ),
        (lambda _: _raw({"alg": "RS256", "kid": "' OR 1=1 --"}, {}), "TokenSignatureKeyNotFound"),
        (lambda _: _raw({"alg": "RS256"}, {}), "TokenSignatureKeyNotFound"),
        (lambda _: _raw({"alg": "RS256", "kid": {"a": 1}}, {}), "JwtInvalid"),
        (lambda _: _raw({"alg": ["RS256"], "kid": "first"}, {}), "TokenSignatureInvalid"),
        (lambda _: "a.b.c", "JwtInvalid"),
        (lambda _: "garbage", "JwtInvalid"),
        (lambda signer: signer.token() + ".more", "JwtInvalid"),
    ],
)
async def test_a_forged_token_is_refused(
    staged: Staged, signer: Signer, forge: Callable[[Signer], str], reason: str
) -> None:
    stage = staged(api=validate_jwt())
    await accepted(stage, f"Bearer {signer.token()}")
    before = len(signer.fetched)
    assert await refused(stage, f"Bearer {forge(signer)}") == (401, reason)
    assert [url for url in signer.fetched[before:] if "evil" in url] == []


async def test_two_authorization_headers_are_refused(staged: Staged, signer: Signer) -> None:
    good = f"Bearer {signer.token()}"
    stage = staged(api=validate_jwt())
    pairs = [("Authorization", good), ("authorization", good)]
    assert await refused(stage, headers=pairs) == (401, "JwtInvalid")
