"""An application that signs people in: what a front end does, without a browser."""

import base64
import hashlib
import secrets
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx

CLIENTS = "22222222-2222-4222-8222-222222222222"
EMPLOYEES = "11111111-1111-4111-8111-111111111111"
CLIENTS_API = "44444444-4444-4444-8444-444444444444"
EMPLOYEES_API = "33333333-3333-4333-8333-333333333333"
CUSTOMER_PORTAL = "55555555-5555-4555-8555-555555555555"
EMPLOYEE_PORTAL = "66666666-6666-4666-8666-666666666666"
REDIRECT_URI = "http://localhost:3000/auth/callback"
STANDARD = "openid profile email offline_access"


@dataclass(frozen=True)
class Application:
    """The customer portal, or another one."""

    http: httpx.AsyncClient
    tenant: str = CLIENTS
    client_id: str = CUSTOMER_PORTAL
    scope: str = f"{STANDARD} api://{CLIENTS_API}/.default"
    verifier: str = field(default_factory=lambda: secrets.token_urlsafe(48))

    @property
    def authorize(self) -> str:
        return f"/{self.tenant}/oauth2/v2.0/authorize"

    def query(self, **changes: str | None) -> dict[str, str]:
        """An authorization request; None takes a parameter away."""
        digest = hashlib.sha256(self.verifier.encode()).digest()
        usual: dict[str, str | None] = {
            "client_id": self.client_id,
            "response_type": "code",
            "redirect_uri": REDIRECT_URI,
            "scope": self.scope,
            "state": "a state",
            "nonce": "a nonce",
            "code_challenge": base64.urlsafe_b64encode(digest).rstrip(b"=").decode(),
            "code_challenge_method": "S256",
        }
        return {name: value for name, value in (usual | changes).items() if value is not None}

    async def visit(self, **changes: str | None) -> httpx.Response:
        """What a browser is answered at first."""
        return await self.http.get(self.authorize, params=self.query(**changes))

    async def submit(self, form: dict[str, str], **changes: str | None) -> httpx.Response:
        """What it is answered when the person fills a form in."""
        return await self.http.post(self.authorize, params=self.query(**changes), data=form)

    async def code(self, person: str) -> str:
        """A fresh code of a demo person."""
        return brought(await self.submit({"person": person}))["code"]

    async def redeem(self, code: str, /, **changes: str) -> httpx.Response:
        """What the token endpoint answers to the code."""
        form = {
            "grant_type": "authorization_code",
            "client_id": self.client_id,
            "code": code,
            "redirect_uri": REDIRECT_URI,
            "code_verifier": self.verifier,
        }
        return await self.post(form | changes)

    async def refresh(self, token: str, /, **changes: str) -> httpx.Response:
        """What the token endpoint answers to a refresh token."""
        form = {
            "grant_type": "refresh_token",
            "client_id": self.client_id,
            "refresh_token": token,
        }
        return await self.post(form | changes)

    async def signed_in(self, person: str) -> dict[str, Any]:
        """The tokens of a demo person who just signed in."""
        answer = await self.redeem(await self.code(person))
        assert answer.status_code == 200, answer.text
        tokens: dict[str, Any] = answer.json()
        return tokens

    async def post(self, form: dict[str, str]) -> httpx.Response:
        return await self.http.post(f"/{self.tenant}/oauth2/v2.0/token", data=form)


def brought(answer: httpx.Response) -> dict[str, str]:
    """What a redirect brings to the application."""
    assert answer.status_code in (302, 303), answer.text
    parts = urlsplit(answer.headers["location"])
    assert f"{parts.scheme}://{parts.netloc}{parts.path}" == REDIRECT_URI
    pairs = parse_qs(parts.query or parts.fragment, strict_parsing=True)
    assert all(len(values) == 1 for values in pairs.values())
    return {name: values[0] for name, values in pairs.items()}
