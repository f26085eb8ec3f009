"""Verifies access tokens: RS256 only, exact issuer, its audience, its keys, in time."""

import hashlib
import re
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal
from uuid import NAMESPACE_URL, UUID, uuid5

from shared.auth.caller import Caller
from shared.auth.keys import Fetch, KeySet, fetch_json
from shared.problem import TokenExpired, TokenInvalid, TokenMissing

LEEWAY_S = 30
"""How far clocks may differ."""
TOKEN_MAX_LENGTH = 8192
REQUIRED = ["aud", "exp", "iat", "iss", "nbf", "oid", "tid", "ver"]
VERIFIED_TOKENS_KEPT = 4096
SESSION_MAX_LENGTH = 128

_BEARER = re.compile(r"(?i:bearer) +([A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+)")
# A header that brings its key along, or names where to get it, is how forgers ask for trust; `crit`
# names rules that we do not know (RFC 7515 §4.1.2-4.1.6, §4.1.11).
_REFUSED_HEADERS = frozenset({"crit", "jku", "jwk", "x5c", "x5u"})


@dataclass(frozen=True, slots=True)
class TrustedIssuer:
    """A tenant whose tokens are accepted, for one audience, as callers of one kind."""

    kind: Literal["client", "employee", "gateway"]
    issuer: str
    audience: str
    jwks_url: str


@dataclass(frozen=True, slots=True)
class _Verified[T]:
    bearer: T
    expires_at: float
    keys: KeySet
    kid: str


class Verifier[T]:
    """Turns an Authorization header into whom `read` finds in the verified claims."""

    def __init__(
        self,
        issuers: Sequence[TrustedIssuer],
        read: Callable[[Mapping[str, Any], TrustedIssuer], T],
        *,
        fetch: Fetch = fetch_json,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._issuers = {
            trusted.issuer: (trusted, KeySet(trusted.jwks_url, fetch=fetch, clock=clock))
            for trusted in issuers
        }
        if len(self._issuers) != len(issuers):
            raise ValueError("each issuer is trusted once, as one kind of caller")
        self._read, self._clock = read, clock
        self._verified: OrderedDict[bytes, _Verified[T]] = OrderedDict()

    async def bearer(self, authorization: str | None) -> T:
        """Whom the token was issued to.

        Raises TokenMissing without a header, TokenExpired for a token that was good once,
        TokenInvalid for anything else, ServiceUnavailable while no signing key can be fetched.
        """
        if authorization is None or not authorization.strip():
            raise TokenMissing("this needs an access token in the Authorization header")
        bearer = _BEARER.fullmatch(authorization.strip())
        if bearer is None or len(bearer[1]) > TOKEN_MAX_LENGTH:
            raise TokenInvalid("the Authorization header must hold one Bearer token")
        token = bearer[1]
        digest = hashlib.sha256(token.encode("ascii")).digest()
        if known := self._recall(digest):
            return known.bearer
        verified = await self._verify(token)
        self._verified[digest] = verified
        while len(self._verified) > VERIFIED_TOKENS_KEPT:
            self._verified.popitem(last=False)
        return verified.bearer

    def _recall(self, digest: bytes) -> _Verified[T] | None:
        """A token verified before, while it has not expired and its key is not withdrawn."""
        known = self._verified.get(digest)
        if known is None:
            return None
        if self._clock() >= known.expires_at or not known.keys.holds(known.kid):
            del self._verified[digest]
            return None
        self._verified.move_to_end(digest)
        return known

    async def _verify(self, token: str) -> _Verified[T]:
        import jwt  # noqa: PLC0415 - heavy; only a process that verifies tokens pays for it

        try:
            kid, issuer = _claimed(token)
            known = self._issuers.get(issuer)
            if known is None:
                raise TokenInvalid("the token was not issued by a trusted issuer")
            trusted, keys = known
            key = await keys.key(kid)
            if key is None:
                raise TokenInvalid("the token was signed with an unknown key")
            claims = jwt.decode(
                token,
                key,
                algorithms=["RS256"],
                audience=trusted.audience,
                issuer=trusted.issuer,
                leeway=LEEWAY_S,
                options={"require": REQUIRED, "strict_aud": True},
            )
            bearer = self._read(claims, trusted)
            expires_at = float(claims["exp"])
        except jwt.ExpiredSignatureError as fault:
            raise TokenExpired("the access token has expired") from fault
        # What JSON can hold beyond JWT: numbers without end, brackets without end, wrong types.
        except (jwt.PyJWTError, ValueError, TypeError, OverflowError, RecursionError) as fault:
            raise TokenInvalid("the access token is not valid") from fault
        return _Verified(bearer, expires_at, keys, kid)


class Authenticator(Verifier[Caller]):
    """Turns an Authorization header into a Caller."""

    def __init__(
        self,
        issuers: Sequence[TrustedIssuer],
        *,
        fetch: Fetch = fetch_json,
        clock: Callable[[], float] = time.time,
    ) -> None:
        super().__init__(issuers, _caller, fetch=fetch, clock=clock)

    async def authenticate(self, authorization: str | None) -> Caller:
        """The person whom the token was issued to; raises what `bearer` does."""
        return await self.bearer(authorization)


def _claimed(token: str) -> tuple[str, str]:
    """The key id and issuer that a token claims, nothing of it verified. Raises TokenInvalid."""
    import jwt  # noqa: PLC0415 - heavy, see above

    header = jwt.get_unverified_header(token)
    kid = header.get("kid")
    if (
        header.get("alg") != "RS256"
        or not isinstance(kid, str)
        or not _REFUSED_HEADERS.isdisjoint(header)
    ):
        raise TokenInvalid("the token is not signed in the accepted way")
    issuer = jwt.decode(token, options={"verify_signature": False}).get("iss")
    return kid, str(issuer)


def _caller(claims: Mapping[str, Any], trusted: TrustedIssuer) -> Caller:
    """The caller that verified claims speak of (Entra access tokens, version 2.0)."""
    assert trusted.kind != "gateway", "the gateway is nobody who calls"
    if claims["ver"] != "2.0":
        raise TokenInvalid("the token is not of version 2.0")
    if not trusted.issuer.endswith(f"/{claims['tid']}/v2.0"):
        raise TokenInvalid("the token's tenant is not its issuer's")
    scopes, roles = claims.get("scp", ""), claims.get("roles", [])
    if not isinstance(scopes, str) or not isinstance(roles, list):
        raise TokenInvalid("the token's scopes and roles are not well-formed")
    return Caller(
        trusted.kind,
        object_id(claims),
        frozenset(map(str, roles)),
        frozenset(scopes.split()),
        _session(claims.get("sid")),
        _seconds(claims.get("auth_time")),
        int(claims["iat"]),
    )


def object_id(claims: Mapping[str, Any]) -> UUID:
    """Who a token was issued to. Raises TokenInvalid."""
    try:
        return UUID(claims["oid"])
    except (AttributeError, TypeError, ValueError) as fault:
        raise TokenInvalid("the token names no person") from fault


def _session(sid: object) -> UUID | None:
    """The session's id: a GUID as Entra sends it, else one made of what another directory sends."""
    if sid is None:
        return None
    if not isinstance(sid, str) or not 1 <= len(sid) <= SESSION_MAX_LENGTH:
        raise TokenInvalid("the token's session is not well-formed")
    try:
        return UUID(sid)
    except ValueError:
        return uuid5(NAMESPACE_URL, f"urn:session:{sid}")


def _seconds(auth_time: object) -> int | None:
    if auth_time is None:
        return None
    if isinstance(auth_time, bool) or not isinstance(auth_time, int):
        raise TokenInvalid("the time of the sign-in is not well-formed")
    return auth_time
