"""Who the caller is: `validate-jwt` and `validate-azure-ad-token`."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal
from urllib.parse import parse_qs

from localcloud.gateway.policy.building import Builder, Step, check
from localcloud.gateway.policy.context import Context
from localcloud.gateway.policy.expressions import Run
from localcloud.gateway.policy.faults import Refusal
from localcloud.gateway.policy.jwt import Issuer, Jwt, invalid
from localcloud.gateway.policy.xml import Element

_FROM = ("header-name", "query-parameter-name", "token-value")


@dataclass(frozen=True, slots=True)
class _Claim:
    """A claim that a token must have, with all or any of the values."""

    name: str
    values: frozenset[str]
    match: Literal["all", "any"]
    separator: str

    def held_by(self, token: Jwt) -> bool:
        found = set(token.claims[self.name])
        if self.separator:
            found = {part for text in found for part in text.split(self.separator)}
        if not self.values:
            return True
        return self.values <= found if self.match == "all" else bool(self.values & found)


@dataclass(frozen=True, slots=True)
class _Rules:
    """What a token is held against, once its signature is good."""

    source: str
    status: int
    message: str
    skew_s: int
    needs_expiry: bool
    audiences: frozenset[str]
    issuers: frozenset[str]
    applications: frozenset[str]
    claims: Sequence[_Claim]

    def refused(self, reason: str, message: str) -> Refusal:
        return invalid(self.source, reason, self.message or message, self.status)

    def hold(self, token: Jwt, issuer: str) -> None:
        """Raises Refusal; the order is that of .NET's token handler: time, audience, issuer."""
        self._hold_time(token)
        if self.audiences and self.audiences.isdisjoint(token.audiences):
            raise self.refused("TokenAudienceNotAllowed", "The audience is not accepted.")
        if token.issuer not in (self.issuers or (issuer,)):
            raise self.refused("TokenIssuerNotAllowed", "The issuer is not accepted.")
        if self.applications:
            named = token.claims.get("azp") or token.claims.get("appid") or []
            if self.applications.isdisjoint(named):
                raise self.refused("TokenClaimValueNotAllowed", "The application is not accepted.")
        for claim in self.claims:
            if claim.name not in token.claims:
                raise self.refused(
                    "TokenClaimNotFound",
                    f"JWT token is missing the following claims: {claim.name}.",
                )
            if not claim.held_by(token):
                raise self.refused(
                    "TokenClaimValueNotAllowed", f"Claim {claim.name} has no value that is allowed."
                )

    def _hold_time(self, token: Jwt) -> None:
        now = time.time()
        if token.expires is None:
            if self.needs_expiry:
                raise self.refused("JwtInvalid", "The token does not say when it expires.")
        elif now >= token.expires + self.skew_s:
            raise self.refused("TokenExpired", "The token has expired.")
        if token.not_before is not None and now < token.not_before - self.skew_s:
            raise self.refused("JwtInvalid", "The token is not valid yet.")


def validate_jwt(element: Element, builder: Builder) -> Step:
    """A token signed by the provider of `openid-config`, with audience, issuer and claims.

    When issuers are listed they replace the provider's own. Keys come from an OpenID configuration
    only, so symmetric algorithms and keys written into a policy are outside the subset.
    Source: https://learn.microsoft.com/azure/api-management/validate-jwt-policy
    """
    check(
        element,
        optional=(
            *_FROM,
            "failed-validation-httpcode",
            "failed-validation-error-message",
            "require-expiration-time",
            "require-scheme",
            "clock-skew",
            "output-token-variable-name",
        ),
        children=("openid-config", "audiences", "issuers", "required-claims"),
    )
    urls = []
    for child in element.named("openid-config"):
        check(child, required=("url",))
        urls.append(builder.attribute(child, "url"))
    if len(urls) != 1:
        raise element.fault("<validate-jwt> needs one <openid-config>")
    rules = _Rules(
        source="validate-jwt",
        status=builder.number(element, "failed-validation-httpcode", 401, 400, 599),
        message=builder.attribute(element, "failed-validation-error-message"),
        skew_s=builder.number(element, "clock-skew", 0, 0, 600),
        needs_expiry=builder.flag(element, "require-expiration-time", default=True),
        audiences=frozenset(_listed(element, builder, "audiences", "audience")),
        issuers=frozenset(_listed(element, builder, "issuers", "issuer")),
        applications=frozenset(),
        claims=_claims(element, builder),
    )
    if not rules.audiences:
        raise element.fault("<validate-jwt> needs <audiences>: another API's token is no key here")
    scheme = builder.attribute(element, "require-scheme")
    return _step(element, builder, rules, scheme, builder.shared.issuer(urls[0]))


def validate_azure_ad_token(element: Element, builder: Builder) -> Step:
    """A token of one Entra tenant for one of the client applications.

    `authentication-endpoint` is where the tenant signs in; the issuer is the tenant's own.
    Source: https://learn.microsoft.com/azure/api-management/validate-azure-ad-token-policy
    """
    check(
        element,
        required=("tenant-id",),
        optional=(
            *_FROM,
            "authentication-endpoint",
            "failed-validation-httpcode",
            "failed-validation-error-message",
            "output-token-variable-name",
        ),
        children=("client-application-ids", "audiences", "required-claims"),
    )
    endpoint = builder.attribute(
        element, "authentication-endpoint", "https://login.microsoftonline.com"
    ).rstrip("/")
    tenant = builder.attribute(element, "tenant-id")
    rules = _Rules(
        source="validate-azure-ad-token",
        status=builder.number(element, "failed-validation-httpcode", 401, 400, 599),
        message=builder.attribute(element, "failed-validation-error-message"),
        skew_s=0,
        needs_expiry=True,
        audiences=frozenset(_listed(element, builder, "audiences", "audience")),
        issuers=frozenset(),
        applications=frozenset(
            _listed(element, builder, "client-application-ids", "application-id")
        ),
        claims=_claims(element, builder),
    )
    if not rules.applications or not rules.audiences:
        raise element.fault(
            "<validate-azure-ad-token> needs <client-application-ids> and <audiences>"
        )
    url = f"{endpoint}/{tenant}/v2.0/.well-known/openid-configuration"
    return _step(element, builder, rules, "Bearer", builder.shared.issuer(url))


def _step(element: Element, builder: Builder, rules: _Rules, scheme: str, issuer: Issuer) -> Step:
    presented = _presented(element, builder, rules, scheme)
    variable = builder.attribute(element, "output-token-variable-name")

    async def step(context: Context) -> None:
        text = presented(context)
        if not text:
            raise rules.refused("TokenNotPresent", "JWT not present.")
        try:
            token = await issuer.verified(text, context.services.fetch, rules.source)
        except Refusal as refusal:
            if refusal.status == 401:  # noqa: PLR2004 - what Issuer says of a bad token
                refusal.status = rules.status
            raise
        rules.hold(token, issuer.name)
        if variable:
            context.variables[variable] = token

    return step


def _presented(element: Element, builder: Builder, rules: _Rules, scheme: str) -> Run:
    """Where the token stands; a second Authorization header is no token but an attempt."""
    given = [name for name in _FROM if name in element.attributes]
    if len(given) > 1 or (not given and rules.source == "validate-jwt"):
        raise element.fault(f"<{element.tag}> needs one of {', '.join(_FROM)}")
    if given == ["token-value"]:
        return builder.value(element, element.attributes["token-value"]).run
    if given == ["query-parameter-name"]:
        name = builder.attribute(element, "query-parameter-name")
        return lambda context: parse_qs(context.request.query).get(name, [""])[0]
    header = builder.attribute(element, "header-name", "Authorization")
    wanted = scheme if header.lower() == "authorization" else ""

    def read(context: Context) -> str:
        values = context.request.headers.values(header)
        if len(values) > 1:
            raise rules.refused("JwtInvalid", f"The header {header} stands twice.")
        first, _, rest = (values[0] if values else "").strip().partition(" ")
        if not rest:
            return "" if wanted else first
        if wanted and first.lower() != wanted.lower():
            return ""
        return rest.strip()

    return read


def _listed(element: Element, builder: Builder, tag: str, item: str) -> list[str]:
    found: list[str] = []
    for part in element.named(tag):
        check(part, children=(item,))
        found += builder.constants(part, item)
        if not found:
            raise part.fault(f"<{tag}> needs <{item}>")
    return found


def _claims(element: Element, builder: Builder) -> list[_Claim]:
    found: list[_Claim] = []
    for part in element.named("required-claims"):
        check(part, children=("claim",))
        for child in part.children:
            check(child, required=("name",), optional=("match", "separator"), children=("value",))
            match = builder.choice(child, "match", "all", "all", "any")
            found.append(
                _Claim(
                    name=builder.attribute(child, "name"),
                    values=frozenset(builder.constants(child, "value")),
                    match="all" if match == "all" else "any",
                    separator=builder.attribute(child, "separator"),
                )
            )
    return found
