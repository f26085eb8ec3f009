"""Access tokens: verified against an issuer's keys, and as `Jwt` expressions see them."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any

import jwt as pyjwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from localcloud.gateway.policy.faults import Refusal

ALGORITHMS = ("RS256", "RS512", "PS256")
"""What API Management verifies with keys from an OpenID configuration."""
REFRESH_AFTER_S = 3600.0
REFRESH_AT_MOST_EVERY_S = 30.0
"""API Management says five minutes, and that this may change; a rotation is seen sooner here."""
RETRY_FIRST_FETCH_AFTER_S = 1.0
MINIMUM_KEY_BITS = 2048
REMEMBERED = 4096
"""Verified tokens that one issuer's verifier keeps; each is a few kilobytes."""

type Fetch = Callable[[str], Awaitable[bytes]]


@dataclass(frozen=True, slots=True)
class Jwt:
    """A verified token. Claims are texts as .NET reads them; times are seconds since 1970."""

    claims: Mapping[str, list[str]]
    issuer: str
    subject: str
    id: str
    audiences: list[str]
    expires: float | None
    not_before: float | None


def invalid(source: str, reason: str, message: str, status: int = 401) -> Refusal:
    """The refusal of a token."""
    return Refusal(source=source, reason=reason, message=message, status=status)


class Issuer:
    """An OpenID provider: its name and keys, fetched when needed and never in a stampede."""

    def __init__(self, url: str, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._url, self._clock = url, clock
        self._keys: dict[str, RSAPublicKey] = {}
        self._tokens: dict[str, tuple[str, Jwt]] = {}
        self._fetched_at: float | None = None
        self._tried_at: float | None = None
        self._in_flight: asyncio.Task[None] | None = None
        self.name = ""
        """The provider's own `issuer`; empty until its configuration was read."""

    async def verified(self, token: str, fetch: Fetch, source: str) -> Jwt:
        """The token if this provider signed it; time, issuer and audience are not looked at.

        Raises Refusal: TokenSignatureKeyNotFound, TokenSignatureInvalid, JwtInvalid, and
        OpenIdConfigurationUnavailable (503) as long as the provider could never be read.
        """
        known = self._tokens.get(token)
        if known is not None and not self._stale():
            return known[1]
        header = _header(token, source)
        kid = header["kid"]
        key = await self._key(kid, fetch)
        if key is None and self._fetched_at is None:
            raise invalid(
                source, "OpenIdConfigurationUnavailable", "The keys cannot be read now.", 503
            )
        if key is None:
            raise invalid(source, "TokenSignatureKeyNotFound", "No signing key of that name.")
        try:
            payload = pyjwt.api_jws.decode(token, key, algorithms=list(ALGORITHMS))
        except pyjwt.InvalidTokenError as error:
            raise invalid(source, "TokenSignatureInvalid", "The signature is not valid.") from error
        found = _read(payload, source)
        if len(self._tokens) >= REMEMBERED:
            del self._tokens[next(iter(self._tokens))]
        self._tokens[token] = (kid, found)
        return found

    def _stale(self) -> bool:
        return self._fetched_at is None or self._clock() - self._fetched_at > REFRESH_AFTER_S

    async def _key(self, kid: str, fetch: Fetch) -> RSAPublicKey | None:
        if (self._stale() or kid not in self._keys) and (self._in_flight or self._may_fetch()):
            await self._refresh(fetch)
        return self._keys.get(kid)

    def _may_fetch(self) -> bool:
        if self._tried_at is None:
            return True
        pause = RETRY_FIRST_FETCH_AFTER_S if self._fetched_at is None else REFRESH_AT_MOST_EVERY_S
        return self._clock() - self._tried_at >= pause

    async def _refresh(self, fetch: Fetch) -> None:
        """One fetch at a time; whoever comes meanwhile waits for the same, even if others leave."""
        if self._in_flight is None:
            self._tried_at = self._clock()
            self._in_flight = asyncio.create_task(self._fetch_once(fetch))
        task = self._in_flight
        try:
            await asyncio.shield(task)
        finally:
            if task.done():
                self._in_flight = None

    async def _fetch_once(self, fetch: Fetch) -> None:
        """Keeps the keys it has when the provider cannot be read."""
        try:
            configuration = json.loads(await fetch(self._url))
            document = json.loads(await fetch(configuration["jwks_uri"]))
            keys = dict(_signing_keys(document["keys"]))
            self.name = str(configuration["issuer"])
        except (OSError, ValueError, KeyError, TypeError):
            return
        self._keys, self._fetched_at = keys, self._clock()
        self._tokens = {text: known for text, known in self._tokens.items() if known[0] in keys}


def _signing_keys(entries: Sequence[Mapping[str, Any]]) -> list[tuple[str, RSAPublicKey]]:
    """RSA keys for signatures, of at least 2048 bits; others are passed over."""
    found: list[tuple[str, RSAPublicKey]] = []
    for entry in entries:
        if entry.get("kty") != "RSA" or entry.get("use", "sig") != "sig" or "kid" not in entry:
            continue
        key = pyjwt.algorithms.RSAAlgorithm.from_jwk(dict(entry))
        if isinstance(key, RSAPublicKey) and key.key_size >= MINIMUM_KEY_BITS:
            found.append((str(entry["kid"]), key))
    return found


def _header(token: str, source: str) -> Mapping[str, Any]:
    """The token's header; keys that it brings or points to are never looked at."""
    try:
        header = pyjwt.get_unverified_header(token)
    except pyjwt.InvalidTokenError as error:
        raise invalid(source, "JwtInvalid", "The token is not a JWT.") from error
    if header.get("alg") not in ALGORITHMS:
        raise invalid(source, "TokenSignatureInvalid", "The algorithm is not accepted.")
    if not isinstance(header.get("kid"), str):
        raise invalid(source, "TokenSignatureKeyNotFound", "The token names no key.")
    return header


def _read(payload: bytes, source: str) -> Jwt:
    try:
        claims = dict(json.loads(payload).items())
        texts = {name: _texts(value) for name, value in claims.items()}
        return Jwt(
            claims=texts,
            issuer=_one(claims, "iss"),
            subject=_one(claims, "sub"),
            id=_one(claims, "jti"),
            audiences=texts.get("aud", []),
            expires=_time(claims, "exp"),
            not_before=_time(claims, "nbf"),
        )
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise invalid(source, "JwtInvalid", "The claims cannot be read.") from error


def _one(claims: Mapping[str, Any], name: str) -> str:
    """A claim that is one text; empty for anything else, a list of one included."""
    value = claims.get(name)
    return value if isinstance(value, str) else ""


def _time(claims: Mapping[str, Any], name: str) -> float | None:
    """RFC 7519 §2: a NumericDate, which is finite."""
    value = claims.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
        raise TypeError(f"{name} is no time")
    return value


def _texts(value: Any) -> list[str]:
    if isinstance(value, list):
        return [text for item in value for text in _texts(item)]
    if isinstance(value, str):
        return [value]
    return [json.dumps(value, separators=(",", ":"))]
