"""The engine's services as doubles that remember, and an OpenID provider with real keys."""

import asyncio
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import jwt as pyjwt
from cryptography.hazmat.primitives.asymmetric import rsa

from localcloud.gateway.policy import Context, Headers, Refusal, Response, Taken, Violation

ISSUER = "https://issuer.test/v2.0"
CONFIGURATION = f"{ISSUER}/.well-known/openid-configuration"
AUDIENCE = "api-audience"
APPLICATION = "portal-id"


class FixedBody:
    """A request's body that counts how often it was read."""

    def __init__(self, content: bytes = b"") -> None:
        self.content, self.reads = content, 0

    async def read(self, limit: int) -> bytes:
        self.reads += 1
        if len(self.content) > limit:
            raise Refusal(source="request", reason="BodyTooLarge", status=413)
        return self.content


class Limits:
    """Allows `calls` calls for each key and remembers what was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, int, int]] = []
        self._counts: dict[str, int] = {}

    async def take(self, key: str, calls: int, period_s: int) -> Taken:
        self.asked.append((key, calls, period_s))
        count = self._counts.get(key, 0)
        if count >= calls:
            return Taken(allowed=False, remaining=0, retry_after_s=17)
        self._counts[key] = count + 1
        return Taken(allowed=True, remaining=calls - count - 1, retry_after_s=0)


@dataclass
class Sent:
    """What the backend got."""

    method: str
    url: str
    headers: dict[str, str]
    body: bytes
    timeout_s: float
    buffered: bool


class Upstream:
    """Answers with `answers` in turn (the last one for ever); an exception among them is raised."""

    def __init__(self) -> None:
        self.sent: list[Sent] = []
        self.closed = 0
        self.let_go = asyncio.Event()
        self.answers: list[int | Refusal] = [200]
        self.headers: Mapping[str, str] = {"Content-Type": "text/plain"}

    async def forward(self, context: Context, *, timeout_s: float, buffer_body: bool) -> Response:
        request = context.request
        query = f"?{request.query}" if request.query else ""
        url = context.backend_url + request.path + query
        body = await request.body.read(1 << 20)
        headers = dict(request.headers.pairs())
        self.sent.append(Sent(request.method, url, headers, body, timeout_s, buffer_body))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Refusal):
            raise answer
        return Response(answer, Headers.of(self.headers.items()), b"from afar", close=self._close)

    async def _close(self) -> None:
        self.closed += 1
        self.let_go.set()


class ManagedIdentity:
    """Gives a token that names its resource; refuses while `away`."""

    away = False

    async def token(self, resource: str, client_id: str | None) -> str:
        if self.away:
            raise Refusal(source="authentication-managed-identity", reason="ManagedIdentityFailure")
        return f"token-for-{resource}-as-{client_id}"


class Contract:
    """Says of every request what it was told to say."""

    def __init__(self) -> None:
        self.violations: list[Violation] = []
        self.body: Violation | None = None
        self.places: frozenset[str] = frozenset()
        self.seen: list[bytes] = []

    def parameters(self, context: Context, places: frozenset[str]) -> Sequence[Violation]:  # noqa: ARG002 - the protocol's
        self.places = places
        return [violation for violation in self.violations if violation.place in places]

    def content(self, context: Context, media_type: str, body: bytes) -> Violation | None:  # noqa: ARG002 - the protocol's
        self.seen.append(body)
        return self.body

    def media_types(self, context: Context) -> frozenset[str]:  # noqa: ARG002 - the protocol's
        return frozenset({"application/json"})


class Signer:
    """An OpenID provider with keys that can be rotated."""

    def __init__(self) -> None:
        self.keys: dict[str, rsa.RSAPrivateKey] = {}
        self.fetched: list[str] = []
        self.away = False
        self.add("first")

    def add(self, kid: str) -> None:
        self.keys[kid] = rsa.generate_private_key(65537, 2048)

    async def fetch(self, url: str) -> bytes:
        self.fetched.append(url)
        if self.away:
            raise OSError("the provider is away")
        if url.endswith("openid-configuration"):
            return json.dumps({"issuer": ISSUER, "jwks_uri": f"{ISSUER}/keys"}).encode()
        return json.dumps({"keys": [_jwk(kid, key) for kid, key in self.keys.items()]}).encode()

    def token(self, *, kid: str = "first", without: str = "", **claims: Any) -> str:
        """A good token for the API, with these claims instead of or besides the usual ones."""
        now = int(time.time())
        said = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "azp": APPLICATION,
            "exp": now + 600,
            "nbf": now,
            "sub": "subject",
            "oid": "person",
            "scp": "orders.read orders.write",
            "roles": ["reader", "writer"],
            **claims,
        }
        said.pop(without, None)
        payload = json.dumps(said).encode()
        return pyjwt.api_jws.encode(payload, self.keys[kid], "RS256", {"kid": kid})


def _jwk(kid: str, key: rsa.RSAPrivateKey) -> dict[str, Any]:
    public = pyjwt.algorithms.RSAAlgorithm.to_jwk(key.public_key(), as_dict=True)
    return {**public, "kid": kid, "use": "sig"}


@dataclass
class Services:
    """Everything the engine asks for."""

    signer: Signer
    limits: Limits = field(default_factory=Limits)
    upstream: Upstream = field(default_factory=Upstream)
    identity: ManagedIdentity = field(default_factory=ManagedIdentity)
    contract: Contract = field(default_factory=Contract)
    traced: list[tuple[str, str, str, Mapping[str, str]]] = field(default_factory=list)

    async def fetch(self, url: str) -> bytes:
        return await self.signer.fetch(url)

    def trace(
        self,
        context: Context,  # noqa: ARG002 - the protocol's
        source: str,
        severity: str,
        message: str,
        metadata: Mapping[str, str],
    ) -> None:
        self.traced.append((source, severity, message, metadata))
