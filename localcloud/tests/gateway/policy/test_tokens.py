"""`validate-jwt` and `validate-azure-ad-token`: which tokens open the door."""

import time
from typing import Any

import pytest

from localcloud.gateway.policy import PolicyFault
from localcloud.tests.gateway.policy.door import (
    ENTRA,
    ERRORS,
    FROM_HEADER,
    JWT,
    accepted,
    refused,
    validate_entra,
    validate_jwt,
)
from localcloud.tests.gateway.policy.doubles import (
    AUDIENCE,
    CONFIGURATION,
    ISSUER,
    Services,
    Signer,
)
from localcloud.tests.gateway.policy.stage import Staged, section


@pytest.mark.conforms("validate-jwt", "the token is there as `Jwt` afterwards", source=JWT)
async def test_a_good_token_passes_and_its_claims_can_be_read(
    staged: Staged, signer: Signer
) -> None:
    token = await accepted(
        staged(api=validate_jwt()), f"Bearer {signer.token(aud=['x', AUDIENCE])}"
    )
    assert (token.subject, token.issuer, token.audiences) == ("subject", ISSUER, ["x", AUDIENCE])
    assert token.claims["roles"] == ["reader", "writer"]


@pytest.mark.conforms("validate-jwt", "JWT not present: TokenNotPresent", source=ERRORS)
@pytest.mark.parametrize("authorization", [None, "", "Bearer", "Bearer ", "Basic YTpi", "TOKEN"])
async def test_without_a_token_in_the_scheme_there_is_none(
    staged: Staged, signer: Signer, authorization: str | None
) -> None:
    if authorization == "TOKEN":
        authorization = signer.token()
    stage = staged(api=validate_jwt())
    assert await refused(stage, authorization) == (401, "TokenNotPresent")


@pytest.mark.parametrize(
    ("claims", "reason"),
    [
        ({"aud": "someone-else"}, "TokenAudienceNotAllowed"),
        ({"without": "aud"}, "TokenAudienceNotAllowed"),
        ({"iss": "https://elsewhere.test/v2.0"}, "TokenIssuerNotAllowed"),
        ({"without": "iss"}, "TokenIssuerNotAllowed"),
        ({"iss": [ISSUER]}, "TokenIssuerNotAllowed"),
        ({"exp": int(time.time()) - 5}, "TokenExpired"),
        ({"without": "exp"}, "JwtInvalid"),
        ({"exp": "tomorrow"}, "JwtInvalid"),
        ({"exp": True}, "JwtInvalid"),
        ({"exp": float("inf")}, "JwtInvalid"),
        ({"exp": float("nan")}, "JwtInvalid"),
        ({"nbf": int(time.time()) + 3600}, "JwtInvalid"),
        ({"nbf": "yesterday"}, "JwtInvalid"),
    ],
)
@pytest.mark.conforms(
    "validate-jwt", "each failed check has its reason in LastError", source=ERRORS
)
async def test_a_signed_token_with_wrong_claims_is_refused(
    staged: Staged, signer: Signer, claims: dict[str, Any], reason: str
) -> None:
    stage = staged(api=validate_jwt())
    assert await refused(stage, f"Bearer {signer.token(**claims)}") == (401, reason)


@pytest.mark.conforms("validate-jwt", "clock-skew is allowed on both ends", source=JWT)
async def test_clocks_may_differ_by_the_skew(staged: Staged, signer: Signer) -> None:
    now = int(time.time())
    late, early = signer.token(exp=now - 30), signer.token(nbf=now + 30)
    strict = staged(api=validate_jwt())
    assert await refused(strict, f"Bearer {late}") == (401, "TokenExpired")
    lenient = staged(api=validate_jwt(attributes=FROM_HEADER + ' clock-skew="60"'))
    await accepted(lenient, f"Bearer {late}")
    await accepted(lenient, f"Bearer {early}")
    assert (await refused(strict, f"Bearer {signer.token(exp=now - 90)}"))[1] == "TokenExpired"


CLAIM = '<claim name="{}" match="{}" separator="{}">{}</claim>'
ALL_OF = "<value>orders.read</value><value>orders.write</value>"
SOME_OF = "<value>orders.read</value><value>orders.none</value>"


@pytest.mark.conforms(
    "validate-jwt", "match all wants every value, any at least one; a separator splits", source=JWT
)
@pytest.mark.parametrize(
    ("claim", "reason"),
    [
        (CLAIM.format("scp", "all", " ", ALL_OF), None),
        (CLAIM.format("scp", "any", " ", SOME_OF), None),
        (CLAIM.format("scp", "all", " ", SOME_OF), "TokenClaimValueNotAllowed"),
        (CLAIM.format("scp", "any", "", SOME_OF), "TokenClaimValueNotAllowed"),
        ('<claim name="roles"><value>reader</value><value>writer</value></claim>', None),
        ('<claim name="roles"><value>Reader</value></claim>', "TokenClaimValueNotAllowed"),
        ('<claim name="groups"><value>x</value></claim>', "TokenClaimNotFound"),
        ('<claim name="oid"/>', None),
    ],
)
async def test_required_claims(
    staged: Staged, signer: Signer, claim: str, reason: str | None
) -> None:
    stage = staged(api=validate_jwt(claims=claim))
    if reason is None:
        await accepted(stage, f"Bearer {signer.token()}")
    else:
        assert await refused(stage, f"Bearer {signer.token()}") == (401, reason)


async def test_the_status_and_the_message_of_a_refusal_can_be_set(staged: Staged) -> None:
    attributes = FROM_HEADER + (
        ' failed-validation-httpcode="403" failed-validation-error-message="Stay out."'
    )
    answer = await staged(api=validate_jwt(attributes=attributes)).ask()
    assert (answer.status, answer.body) == (403, b'{"statusCode": 403, "message": "Stay out."}')


async def test_a_token_may_stand_in_the_query_or_come_from_an_expression(
    staged: Staged, signer: Signer
) -> None:
    token = signer.token()
    by_query = staged(api=validate_jwt(attributes='query-parameter-name="access_token"'))
    assert (await by_query.ask(query=f"access_token={token}")).status == 200
    assert (await by_query.ask(query="access_token=")).status == 401
    value = "@(context.Request.Headers.GetValueOrDefault(&quot;X-Token&quot;, &quot;&quot;))"
    by_value = staged(api=validate_jwt(attributes=f'token-value="{value}"'))
    assert (await by_value.ask(headers={"X-Token": token})).status == 200
    by_header = staged(api=validate_jwt(attributes='header-name="X-Token" require-scheme="Bearer"'))
    assert (await by_header.ask(headers={"X-Token": token})).status == 200


@pytest.mark.conforms(
    "validate-azure-ad-token",
    "the client application is one of client-application-ids",
    source=ENTRA,
)
async def test_an_entra_token_is_for_one_of_the_applications(
    staged: Staged, signer: Signer
) -> None:
    stage = staged(
        api=validate_entra('<claim name="roles" match="any"><value>writer</value></claim>')
    )
    answer = await stage.ask(headers={"Authorization": f"Bearer {signer.token()}"})
    assert answer.status == 200
    other = signer.token(azp="another-app")
    assert await refused(stage, f"Bearer {other}") == (401, "TokenClaimValueNotAllowed")
    assert await refused(stage, f"Bearer {signer.token(without='azp')}") == (
        401,
        "TokenClaimValueNotAllowed",
    )
    assert await refused(stage, f"Bearer {signer.token(roles=['reader'])}") == (
        401,
        "TokenClaimValueNotAllowed",
    )
    assert await refused(stage, f"Bearer {signer.token(iss='https://other.test')}") == (
        401,
        "TokenIssuerNotAllowed",
    )


SOMEBODYS = f'<openid-config url="{CONFIGURATION}"/><audiences><audience>a</audience></audiences>'


@pytest.mark.parametrize(
    ("policy", "fault"),
    [
        ("<validate-jwt/>", "needs one <openid-config>"),
        (
            f'<validate-jwt><openid-config url="{CONFIGURATION}"/></validate-jwt>',
            "needs <audiences>",
        ),
        (f"<validate-jwt>{SOMEBODYS}</validate-jwt>", "needs one of header-name"),
        ("<validate-jwt><issuer-signing-keys/></validate-jwt>", "<issuer-signing-keys> is unknown"),
        (
            f'<validate-jwt header-name="a" token-value="b">{SOMEBODYS}</validate-jwt>',
            "needs one of header-name",
        ),
        (
            '<validate-azure-ad-token tenant-id="a"/>',
            "needs <client-application-ids> and <audiences>",
        ),
    ],
)
def test_a_check_of_tokens_that_would_let_too_much_in_is_refused(
    staged: Staged, policy: str, fault: str
) -> None:
    with pytest.raises(PolicyFault) as found:
        staged(api=section(inbound="<base/>" + policy))
    assert fault in str(found.value)


async def test_keys_are_fetched_once_for_many_tokens(staged: Staged, services: Services) -> None:
    services.signer = Signer()
    stage = staged(api=validate_jwt())
    for number in range(5):
        await accepted(stage, f"Bearer {services.signer.token(sub=str(number))}")
    assert services.signer.fetched == [CONFIGURATION, f"{ISSUER}/keys"]
