"""A small client of the HTTP API: signs people in, registers them, places and follows orders."""

import asyncio
import base64
import hashlib
import secrets
import time
import uuid
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

import httpx
import jwt

CLIENT_TENANT = "22222222-2222-4222-8222-222222222222"
EMPLOYEE_TENANT = "11111111-1111-4111-8111-111111111111"
CLIENT_PORTAL = "55555555-5555-4555-8555-555555555555"
EMPLOYEE_PORTAL = "66666666-6666-4666-8666-666666666666"
CLIENT_SCOPE = "api://44444444-4444-4444-8444-444444444444/.default"
EMPLOYEE_SCOPE = "api://33333333-3333-4333-8333-333333333333/.default"

CALLBACK = "http://127.0.0.1/auth/callback"
"""Where the portals' sign-in ends; nothing listens there, the code is read from the redirect."""

SETTLED = frozenset({"confirmed", "cancelled", "stuck"})
"""Statuses in which the saga has nothing left to do."""

ADDRESS = {
    "name": "Alice Example",
    "line1": "Lindenallee 5",
    "city": "Berlin",
    "postal_code": "10115",
    "country": "DE",
}


class Unexpected(Exception):
    """The API answered something else than the script relies on."""


@dataclass(frozen=True)
class Person:
    """Somebody from the local directory, with a token that the API accepts."""

    name: str
    id: str
    token: str

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}


@dataclass
class Shop:
    """The platform as its callers see it.

    `api` is the base of the operations, such as the gateway's `/external-api/v1` or the service's
    own `/api/v1`; `identity` is the directory.
    """

    api: str
    identity: str
    _http: httpx.AsyncClient = field(
        default_factory=lambda: httpx.AsyncClient(timeout=30, trust_env=False)
    )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.aclose()

    async def sign_in(self, name: str, *, employee: bool = False) -> Person:
        """The demo person `name`, signed in as the portals do it. Unexpected if refused.

        Authorization code with PKCE (RFC 7636); the page's form is posted without a browser.
        """
        directory = f"{self.identity}/{EMPLOYEE_TENANT if employee else CLIENT_TENANT}/oauth2/v2.0"
        portal = EMPLOYEE_PORTAL if employee else CLIENT_PORTAL
        verifier, state = secrets.token_urlsafe(48), secrets.token_urlsafe(16)
        challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest())
        page = await self._http.post(
            f"{directory}/authorize",
            params={
                "client_id": portal,
                "response_type": "code",
                "redirect_uri": CALLBACK,
                "scope": EMPLOYEE_SCOPE if employee else CLIENT_SCOPE,
                "state": state,
                "code_challenge": challenge.rstrip(b"=").decode(),
                "code_challenge_method": "S256",
            },
            data={"person": name},
        )
        back = parse_qs(urlsplit(page.headers.get("location", "")).query)
        if "code" not in back or back["state"] != [state]:
            raise Unexpected(f"the directory did not sign {name} in: {page.status_code}")
        answer = await self._http.post(
            f"{directory}/token",
            data={
                "grant_type": "authorization_code",
                "client_id": portal,
                "code": back["code"][0],
                "redirect_uri": CALLBACK,
                "code_verifier": verifier,
            },
        )
        token = self._expect(answer, 200)["access_token"]
        claims = jwt.decode(token, options={"verify_signature": False})
        return Person(name, claims["oid"], token)

    async def register(self, person: Person) -> dict[str, Any]:
        """The person's customer record; made if this is the first sign-in."""
        answer = await self.call(
            "POST",
            "/customers",
            person,
            json={
                "name": f"{person.name.title()} Example",
                "email": f"{person.name}@clients.example",
            },
            key=f"register-{person.id}",
        )
        return self._expect(answer, 200, 201)

    async def call(
        self,
        method: str,
        path: str,
        person: Person | None = None,
        *,
        json: Any = None,
        key: str | None = None,
        if_match: str | None = None,
        params: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        content: bytes | None = None,
    ) -> httpx.Response:
        """One request as `person`, whatever the answer."""
        sent = dict(person.headers) if person else {}
        if key is not None:
            sent["Idempotency-Key"] = key
        if if_match is not None:
            sent["If-Match"] = if_match
        sent |= headers or {}
        return await self._http.request(
            method,
            f"{self.api}{path}",
            json=json,
            content=content,
            headers=sent,
            params=params,
        )

    async def products(self, person: Person, **params: Any) -> list[dict[str, Any]]:
        """One page of the catalogue."""
        answer = await self.call("GET", "/products", person, params=params)
        return list(self._expect(answer, 200)["items"])

    async def product_with_sku(self, person: Person, sku: str) -> dict[str, Any]:
        """The product with exactly this SKU. Unexpected if the catalogue has none."""
        answer = await self.call("GET", "/products/search", person, params={"q": sku})
        for product in self._expect(answer, 200)["items"]:
            if product["sku"] == sku:
                return dict(product)
        raise Unexpected(f"the catalogue has no {sku}")

    async def try_place(
        self,
        person: Person,
        lines: Mapping[str, int],
        *,
        payment_method: str = "tok_success",
        key: str | None = None,
        address: Mapping[str, str] = ADDRESS,
        service: str = "standard",
    ) -> httpx.Response:
        """The answer to an order for `lines` (product id → quantity)."""
        return await self.call(
            "POST",
            "/orders",
            person,
            key=key or str(uuid.uuid4()),
            json={
                "lines": [{"product_id": p, "quantity": q} for p, q in lines.items()],
                "shipping_address": dict(address),
                "shipping_service": service,
                "payment_method": payment_method,
            },
        )

    async def place(self, person: Person, lines: Mapping[str, int], **how: Any) -> dict[str, Any]:
        """The placed order. Unexpected if it was refused."""
        return self._expect(await self.try_place(person, lines, **how), 201)

    async def order(self, person: Person, order_id: str) -> dict[str, Any]:
        """The order as it is now."""
        return self._expect(await self.call("GET", f"/orders/{order_id}", person), 200)

    async def timeline(self, person: Person, order_id: str) -> list[dict[str, Any]]:
        """What happened to the order so far, oldest first."""
        answer = await self.call("GET", f"/orders/{order_id}/timeline", person)
        return list(self._expect(answer, 200)["items"])

    async def follow(
        self, person: Person, order_id: str, *, within_s: float = 60
    ) -> AsyncIterator[dict[str, Any]]:
        """Timeline entries as they appear, until the saga has settled, else TimeoutError."""
        deadline = time.monotonic() + within_s
        seen: set[tuple[str, ...]] = set()
        while True:
            settled = (await self.order(person, order_id))["status"] in SETTLED
            for entry in await self.timeline(person, order_id):
                # What became of a message changes in its place.
                key = tuple(str(entry[name]) for name in ("area", "what", "detail", "amount"))
                if key not in seen:
                    seen.add(key)
                    yield entry
            if settled:
                return
            if time.monotonic() > deadline:
                raise TimeoutError(f"order {order_id} did not settle within {within_s} s")
            await asyncio.sleep(0.1)

    async def settled(
        self, person: Person, order_id: str, *, within_s: float = 60
    ) -> dict[str, Any]:
        """The order once the saga has nothing left to do. TimeoutError after `within_s`."""
        deadline = time.monotonic() + within_s
        while (order := await self.order(person, order_id))["status"] not in SETTLED:
            if time.monotonic() > deadline:
                raise TimeoutError(
                    f"order {order_id} is still {order['status']} after {within_s} s"
                )
            await asyncio.sleep(0.1)
        return order

    @staticmethod
    def _expect(answer: httpx.Response, *statuses: int) -> dict[str, Any]:
        if answer.status_code not in statuses:
            request = f"{answer.request.method} {answer.request.url.path}"
            raise Unexpected(f"{request} answered {answer.status_code}: {answer.text[:400]}")
        return dict(answer.json())
