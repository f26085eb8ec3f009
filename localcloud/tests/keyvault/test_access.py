"""Whoever has no good token gets nothing but the way to one."""

import base64
import hmac
import json
from typing import Any

import httpx
import jwt
import pytest
from azure.keyvault.secrets import SecretClient
from cryptography.hazmat.primitives.asymmetric import rsa

from localcloud.identity.directory import EMPLOYEES
from localcloud.keyvault.access import resource_of
from localcloud.tests.keyvault.conftest import OFFICER, Here

PATH = "/secrets/guarded"


@pytest.fixture(autouse=True)
def _guarded(officer: SecretClient) -> None:
    officer.set_secret("guarded", "a secret value")


def ask(http: httpx.Client, token: str | None) -> httpx.Response:
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    return http.get(PATH, headers=headers)


def signed(claims: dict[str, Any], key: Any, algorithm: str, **header: str) -> str:
    return jwt.encode(claims, key, algorithm, header)


def signed_with_text(claims: dict[str, Any], key: str, kid: str) -> str:
    """What no library signs: a public key taken for a shared secret."""
    parts = [
        base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=")
        for part in ({"alg": "HS256", "typ": "JWT", "kid": kid}, claims)
    ]
    signature = hmac.digest(key.encode(), b".".join(parts), "sha256")
    return b".".join([*parts, base64.urlsafe_b64encode(signature).rstrip(b"=")]).decode()


def refused(answer: httpx.Response) -> str:
    """The sentence of a refusal that gave nothing away."""
    assert answer.status_code == 401
    assert "a secret value" not in answer.text
    assert answer.headers["WWW-Authenticate"].startswith('Bearer authorization="http://127.0.0.1:')
    assert answer.json()["error"]["code"] == "Unauthorized"
    message: str = answer.json()["error"]["message"]
    return message


def test_without_a_token_there_is_a_challenge(http: httpx.Client, vault: Here) -> None:
    answer = ask(http, None)
    assert refused(answer) == "AKV10000: Request is missing a Bearer or PoP token."
    assert answer.headers["WWW-Authenticate"] == (
        f'Bearer authorization="{vault.identity.url}/{EMPLOYEES.id}", resource="{vault.resource}"'
    )


@pytest.mark.parametrize(
    ("authority", "resource"),
    [
        ("shop.vault.azure.net", "https://vault.azure.net"),
        ("shop.vault.localhost:7083", "https://vault.localhost:7083"),
        ("127.0.0.1:7083", "https://0.0.1:7083"),
        ("localhost:7083", "https://vault.azure.net"),
        ("[::1]:7083", "https://vault.azure.net"),
    ],
)
def test_the_resource_is_the_domain_that_the_vault_is_in(authority: str, resource: str) -> None:
    assert resource_of(authority) == resource


@pytest.mark.parametrize("resource", ["https://vault.azure.net", "https://vault.azure.net/"])
def test_a_token_for_azures_own_key_vault_is_good(
    http: httpx.Client, vault: Here, resource: str
) -> None:
    answer = ask(http, vault.token(resource=resource))
    assert answer.json()["value"] == "a secret value"


@pytest.mark.parametrize(
    ("claims", "sentence"),
    [
        ({"aud": "https://storage.azure.com"}, "AKV10022: Invalid audience."),
        ({"aud": None}, "Error validating token: MissingRequiredClaimError."),
        ({"iss": "https://elsewhere.example"}, "AKV10032: Invalid issuer."),
        ({"iss": None}, "Error validating token: MissingRequiredClaimError."),
        ({"oid": None}, "Error validating token: MissingRequiredClaimError."),
        ({"exp": None}, "Error validating token: MissingRequiredClaimError."),
        ({"nbf": 2**33}, "Error validating token: ImmatureSignatureError."),
    ],
)
def test_a_token_that_is_not_for_this_is_refused(
    http: httpx.Client, vault: Here, claims: dict[str, Any], sentence: str
) -> None:
    assert refused(ask(http, vault.token(**claims))).startswith(sentence)


def test_a_token_that_has_expired_is_refused(http: httpx.Client, vault: Here) -> None:
    answer = ask(http, vault.token(expires_in=-1))
    assert refused(answer) == "Error validating token: ExpiredSignatureError."


def test_a_forged_token_is_refused(http: httpx.Client, vault: Here) -> None:
    good = vault.token(roles=[OFFICER])
    claims = jwt.decode(good, options={"verify_signature": False})
    kid = jwt.get_unverified_header(good)["kid"]
    foreign = rsa.generate_private_key(65537, 2048)
    public = httpx.get(f"{vault.identity.url}/{EMPLOYEES.id}/discovery/v2.0/keys").text
    for forged in (
        signed(claims, foreign, "RS256", kid=kid),
        signed(claims, foreign, "RS256", kid="../../etc/passwd"),
        signed_with_text(claims, public, kid),
        signed(claims, None, "none", kid=kid),
        good[:-8] + "AAAAAAAA",
        "not.a.token",
        "x" * 20_000,
    ):
        refused(ask(http, forged))


def test_a_role_that_is_no_text_gives_no_right(http: httpx.Client, vault: Here) -> None:
    answer = ask(http, vault.token(roles=[None, 1, [OFFICER], {"role": OFFICER}]))
    assert answer.status_code == 403
    assert answer.json()["error"]["innererror"] == {"code": "ForbiddenByRbac"}


def test_two_tokens_are_one_too_many(http: httpx.Client, vault: Here) -> None:
    token = f"Bearer {vault.token()}"
    answer = http.get(PATH, headers=[("Authorization", token), ("Authorization", token)])
    assert answer.status_code == 400
    assert "a secret value" not in answer.text


def test_nothing_secret_is_in_the_log(http: httpx.Client, vault: Here) -> None:
    token = vault.token()
    assert ask(http, token).status_code == 200
    log = vault.part.log.read_text()
    assert "a secret value" not in log
    assert token[-40:] not in log
