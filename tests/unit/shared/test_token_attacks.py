"""Forged tokens, as they are known from the wild: each is refused, and nothing else happens."""

import base64
import json
import time
from collections.abc import Mapping
from typing import Any
from uuid import UUID

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import RSAAlgorithm

from shared.auth import Authenticator
from shared.auth.tokens import TOKEN_MAX_LENGTH
from shared.problem import TokenInvalid
from tests.rig.tokens import Tenant, authenticator_of, hs256, key_of, refusal_of, with_parts

ALICE = UUID("0195a0a0-0000-7000-8000-00000000a11c")
NOT_THE_WAY = "the token is not signed in the accepted way"
UNKNOWN_KEY = "the token was signed with an unknown key"
NOT_VALID = "the access token is not valid"
NO_TOKEN = "the Authorization header must hold one Bearer token"


@pytest.mark.parametrize("alg", ["none", "None", "NONE", "nOnE", "", None, 7, ["RS256"]])
async def test_an_algorithm_that_signs_nothing_is_refused(
    authenticator: Authenticator, clients: Tenant, alg: object
) -> None:
    header = {"alg": alg, "typ": "JWT", "kid": "first"}
    unsigned = with_parts(clients.token(), header=header)
    assert await refusal_of(authenticator, unsigned) in {NOT_THE_WAY, NOT_VALID}
    assert await refusal_of(authenticator, unsigned.rpartition(".")[0] + ".") == NO_TOKEN


@pytest.mark.parametrize("form", ["pem", "der", "pkcs1", "jwk", "n"])
async def test_the_public_key_in_any_form_is_no_shared_secret(
    authenticator: Authenticator, clients: Tenant, form: str
) -> None:
    public = clients.keys["first"].public_key()
    spki, pkcs1 = (
        serialization.PublicFormat.SubjectPublicKeyInfo,
        serialization.PublicFormat.PKCS1,
    )
    jwk = json.loads(RSAAlgorithm.to_jwk(public))
    secret = {
        "pem": public.public_bytes(serialization.Encoding.PEM, spki),
        "der": public.public_bytes(serialization.Encoding.DER, spki),
        "pkcs1": public.public_bytes(serialization.Encoding.PEM, pkcs1),
        "jwk": json.dumps(jwk).encode(),
        "n": base64.urlsafe_b64decode(jwk["n"] + "=="),
    }[form]
    forged = hs256(clients.claims(), secret, kid="first")
    assert await refusal_of(authenticator, forged) == NOT_THE_WAY
    pretending = with_parts(forged, header={"alg": "RS256", "typ": "JWT", "kid": "first"})
    assert await refusal_of(authenticator, pretending) == NOT_VALID


@pytest.mark.parametrize("alg", ["RS384", "RS512", "PS256", "PS512"])
async def test_the_right_key_by_another_algorithm_is_refused(
    authenticator: Authenticator, clients: Tenant, alg: str
) -> None:
    key = clients.keys["first"]
    token = jwt.encode(clients.claims(), key, algorithm=alg, headers={"kid": "first"})
    assert await refusal_of(authenticator, token) == NOT_THE_WAY


async def test_a_key_of_another_kind_is_refused(
    authenticator: Authenticator, clients: Tenant
) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    token = jwt.encode(clients.claims(), key, algorithm="ES256", headers={"kid": "first"})
    assert await refusal_of(authenticator, token) == NOT_THE_WAY


@pytest.mark.parametrize(
    "kid",
    [
        "../../../../../../dev/null",
        "/proc/sys/kernel/randomize_va_space",
        "file:///dev/null",
        "http://attacker.test/key.pem",
        "' UNION SELECT 'secret' --",
        "first'; DROP TABLE orders.orders; --",
        "first | id",
        "first\x00",
        "FIRST",
        " first",
        "first ",
        "",
        "k" * 4000,
        "ключ",
    ],
)
async def test_a_key_id_is_a_name_and_nothing_else(
    authenticator: Authenticator, clients: Tenant, kid: str
) -> None:
    stranger = key_of("attacker", "first")
    token = jwt.encode(clients.claims(), stranger, algorithm="RS256", headers={"kid": kid})
    assert await refusal_of(authenticator, token) == UNKNOWN_KEY
    for secret in (b"", b"secret", b"\x00"):  # what such a file or query would have given
        assert await refusal_of(authenticator, hs256(clients.claims(), secret, kid=kid)) == (
            NOT_THE_WAY
        )


@pytest.mark.parametrize("kid", [None, 7, True, ["first"], {"first": "first"}])
async def test_a_key_id_that_is_no_text_is_refused(
    authenticator: Authenticator, clients: Tenant, kid: object
) -> None:
    header = {"alg": "RS256", "typ": "JWT", "kid": kid}
    token = with_parts(clients.token(), header=header)
    assert await refusal_of(authenticator, token) in {NOT_THE_WAY, NOT_VALID}


async def test_a_token_without_a_key_id_is_refused(
    authenticator: Authenticator, clients: Tenant
) -> None:
    token = jwt.encode(clients.claims(), clients.keys["first"], algorithm="RS256")
    assert await refusal_of(authenticator, token) == NOT_THE_WAY


@pytest.mark.parametrize("signer", ["stranger", "tenant"])
@pytest.mark.parametrize("name", ["jku", "x5u", "jwk", "x5c", "crit"])
async def test_a_token_does_not_say_itself_which_key_to_trust(
    authenticator: Authenticator, clients: Tenant, name: str, signer: str
) -> None:
    stranger = key_of("attacker", "first")
    key = stranger if signer == "stranger" else clients.keys["first"]
    brought: Mapping[str, Any] = {
        "jku": "http://attacker.test/keys",
        "x5u": "http://attacker.test/chain.pem",
        "jwk": json.loads(RSAAlgorithm.to_jwk(stranger.public_key())),
        "x5c": ["MIIB"],
        "crit": ["exp"],
    }
    headers = {"kid": "first", name: brought[name]}
    token = jwt.encode(clients.claims(), key, algorithm="RS256", headers=headers)
    assert await refusal_of(authenticator, token) in {NOT_THE_WAY, NOT_VALID}
    assert clients.fetches == 0


async def test_a_stranger_s_key_under_a_known_name_signs_nothing(
    authenticator: Authenticator, clients: Tenant
) -> None:
    stranger = key_of("attacker", "first")
    token = jwt.encode(clients.claims(), stranger, algorithm="RS256", headers={"kid": "first"})
    assert await refusal_of(authenticator, token) == NOT_VALID


@pytest.mark.parametrize("size", [TOKEN_MAX_LENGTH, 10 * TOKEN_MAX_LENGTH, 1_000_000])
async def test_an_oversized_token_is_not_even_read(
    authenticator: Authenticator, clients: Tenant, size: int
) -> None:
    assert await refusal_of(authenticator, clients.token(padding="x" * size)) == NO_TOKEN
    assert clients.fetches == 0


@pytest.mark.parametrize(
    "twice",
    [
        "Bearer {0}, Bearer {0}",
        "Bearer {0},Bearer {0}",
        "Bearer {0}; Bearer {0}",
        "Bearer {0} Bearer {0}",
        "Bearer {0}\r\nAuthorization: Bearer {0}",
        "Bearer {0}\x00",
        "Bearer Bearer {0}",
        "Basic YTpi, Bearer {0}",
        "Bearer\t{0}",
        "Bearer {0}=",
        "{0}",
    ],
)
async def test_one_header_holds_one_token(
    authenticator: Authenticator, clients: Tenant, twice: str
) -> None:
    with pytest.raises(TokenInvalid) as refused:
        await authenticator.authenticate(twice.format(clients.token()))
    assert refused.value.detail == NO_TOKEN


async def test_a_key_that_was_rotated_out_opens_nothing_even_for_tokens_known_before(
    clients: Tenant,
) -> None:
    now = time.time()
    authenticator = authenticator_of(clients, clock=lambda: now)
    before, unused = clients.token(), clients.token(uti="never used before the rotation")
    await authenticator.authenticate(f"Bearer {before}")
    clients.rotate("second")
    now += 31
    assert (await authenticator.authenticate(f"Bearer {clients.token()}")).id == ALICE
    assert await refusal_of(authenticator, before) == UNKNOWN_KEY
    assert await refusal_of(authenticator, unused) == UNKNOWN_KEY


async def test_while_keys_change_tokens_of_both_are_good(clients: Tenant) -> None:
    authenticator = authenticator_of(clients)
    clients.keys = {kid: key_of(clients.tid, kid) for kid in ("first", "second")}
    old = clients.token()
    clients.keys = {kid: key_of(clients.tid, kid) for kid in ("second", "first")}
    new = clients.token()
    assert jwt.get_unverified_header(old)["kid"] != jwt.get_unverified_header(new)["kid"]
    for token in (old, new):
        assert (await authenticator.authenticate(f"Bearer {token}")).id == ALICE
    assert clients.fetches == 1


async def test_a_tenant_s_token_is_good_for_that_tenant_only(
    authenticator: Authenticator, clients: Tenant, employees: Tenant
) -> None:
    for forged in (
        clients.token(aud=employees.audience),
        clients.token(tid=employees.tid),
        clients.token(iss=employees.issuer, aud=employees.audience, tid=employees.tid),
        employees.token(iss=clients.issuer, aud=clients.audience, tid=clients.tid),
        employees.token(aud=[employees.audience, clients.audience]),
    ):
        await refusal_of(authenticator, forged)


async def test_a_client_does_not_become_an_employee_by_claims_of_one(
    authenticator: Authenticator, clients: Tenant
) -> None:
    token = clients.token(roles=["admin"], scp="employee.access orders.readwrite")
    caller = await authenticator.authenticate(f"Bearer {token}")
    assert (caller.kind, caller.has_role("admin")) == ("client", False)


@pytest.mark.parametrize(
    "changes",
    [
        {"sid": 7},
        {"sid": ""},
        {"sid": "s" * 129},
        {"auth_time": "1764000000"},
        {"auth_time": True},
        {"auth_time": 1.5},
    ],
    ids=str,
)
async def test_a_session_that_cannot_be_ended_is_refused(
    authenticator: Authenticator, clients: Tenant, changes: dict[str, Any]
) -> None:
    await refusal_of(authenticator, clients.token(**changes))


async def test_a_weak_key_of_the_right_tenant_is_not_trusted(
    authenticator: Authenticator, clients: Tenant
) -> None:
    weak = rsa.generate_private_key(public_exponent=65537, key_size=1024)  # noqa: S505 - to be refused
    clients.keys = {"first": weak}
    with pytest.warns(jwt.InsecureKeyLengthWarning):
        token = clients.token()
    assert await refusal_of(authenticator, token) == UNKNOWN_KEY
