"""Policies that ask for a token, and what comes of showing them one."""

from typing import Any

from localcloud.gateway.policy.jwt import Jwt
from localcloud.tests.gateway.policy.doubles import APPLICATION, AUDIENCE, CONFIGURATION, ISSUER
from localcloud.tests.gateway.policy.stage import Stage, section

JWT = "learn:azure/api-management/validate-jwt-policy"
ENTRA = "learn:azure/api-management/validate-azure-ad-token-policy"
ERRORS = "learn:azure/api-management/api-management-error-handling-policies"
FROM_HEADER = 'header-name="Authorization" require-scheme="Bearer"'


def validate_jwt(*, claims: str = "", attributes: str = FROM_HEADER) -> str:
    required = f"<required-claims>{claims}</required-claims>" if claims else ""
    return section(
        inbound=f"""<base/>
<set-backend-service backend-id="main"/>
<validate-jwt {attributes} output-token-variable-name="jwt">
  <openid-config url="{CONFIGURATION}"/>
  <audiences><audience>other</audience><audience>{AUDIENCE}</audience></audiences>
  <issuers><issuer>{ISSUER}</issuer></issuers>
  {required}
</validate-jwt>"""
    )


def validate_entra(claims: str = "") -> str:
    required = f"<required-claims>{claims}</required-claims>" if claims else ""
    return section(
        inbound=f"""<base/>
<set-backend-service backend-id="main"/>
<validate-azure-ad-token tenant-id="" authentication-endpoint="https://issuer.test">
  <client-application-ids><application-id>{APPLICATION}</application-id></client-application-ids>
  <audiences><audience>{AUDIENCE}</audience></audiences>
  {required}
</validate-azure-ad-token>"""
    )


async def refused(
    stage: Stage, authorization: str | None = None, **request: Any
) -> tuple[int, str]:
    """Status and reason of the refusal; nothing may have reached the backend."""
    if authorization is not None:
        request["headers"] = {"Authorization": authorization}
    context = stage.context(**request)
    before = len(stage.services.upstream.sent)
    answer = await stage.run(context)
    assert len(stage.services.upstream.sent) == before
    assert context.last_error is not None
    return answer.status, context.last_error.reason


async def accepted(stage: Stage, authorization: str) -> Jwt:
    context = stage.context(headers={"Authorization": authorization})
    answer = await stage.run(context)
    assert answer.status == 200, context.last_error
    token = context.variables["jwt"]
    assert isinstance(token, Jwt)
    return token
