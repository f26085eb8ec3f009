"""The deployed policies, run against services that remember what they were asked."""

import json
from collections.abc import Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from localcloud.gateway.policy import Context, Headers, PolicySet, Request, Response
from localcloud.tests.gateway.policy.doubles import (
    CONFIGURATION,
    ISSUER,
    FixedBody,
    Services,
    Signer,
)

ROOT = Path(__file__).parents[3]
APIM = ROOT / "apim"
CLIENTS_API = "44444444-4444-4444-8444-444444444444"
EMPLOYEES_API = "33333333-3333-4333-8333-333333333333"
EMPLOYEE_PORTAL = "66666666-6666-4666-8666-666666666666"
ADMIN_ADDRESS = "10.1.0.7"
NAMED = {
    "platform-url": "http://platform.test",
    "notifier-url": "http://notifier.test",
    "clients-openid-config": CONFIGURATION,
    "clients-issuer": ISSUER,
    "employees-authority": ISSUER.removesuffix("/v2.0"),
    "employees-tenant-id": "",
    "admin-network-from": "10.1.0.1",
    "admin-network-to": "10.1.0.9",
}
SCOPES = (
    "customers.readwrite notifications.readwrite orders.readwrite payments.readwrite products.read"
)
ROLES = ("admin", "customer-service", "order-manager")


@dataclass(frozen=True)
class Described:
    """An operation of a document."""

    api: str
    id: str
    method: str
    path: str
    scope: str
    roles: frozenset[str]

    def __str__(self) -> str:
        return f"{self.api}:{self.id}"


def described(proxy: str) -> Iterator[Described]:
    """Every operation of a proxy's documents, of both versions where there are two."""
    for version, suffix in (("v1", ""), ("v2", "-v2")):
        file = APIM / "openapi" / f"{proxy}{suffix}.json"
        if not file.exists():
            continue
        document = json.loads(file.read_bytes())
        for path, operations in document["paths"].items():
            for method, operation in operations.items():
                yield Described(
                    api=f"{proxy}-{version}",
                    id=operation["operationId"],
                    method=method.upper(),
                    path=path,
                    scope=operation.get("x-scope", ""),
                    roles=frozenset(operation.get("x-roles", ())),
                )


class Gate:
    """The deployed policies with some named values of one's own."""

    def __init__(self, signer: Signer, *, folder: Path = APIM, **named: str) -> None:
        given = {name.replace("_", "-"): value for name, value in named.items()}
        self.policies = PolicySet.load(folder, NAMED | given)
        self.services = Services(signer)
        self.signer = signer

    def fresh(self) -> "Gate":
        """The same policies with services that remember nothing yet."""
        other = copy(self)
        other.services = Services(self.signer)
        return other

    def client(self, scopes: str = SCOPES, **claims: Any) -> str:
        """The Authorization of a customer."""
        return f"Bearer {self.signer.token(aud=CLIENTS_API, scp=scopes, without='roles', **claims)}"

    def employee(self, *roles: str, **claims: Any) -> str:
        """The Authorization of an employee with these roles."""
        said = {"aud": EMPLOYEES_API, "azp": EMPLOYEE_PORTAL, "roles": list(roles)} | claims
        return f"Bearer {self.signer.token(**said)}"

    def context(
        self,
        api: str,
        operation: str,
        authorization: str | None = None,
        *,
        method: str = "GET",
        path: str = "/orders",
        query: str = "",
        headers: Mapping[str, str] | Sequence[tuple[str, str]] = (),
        ip: str = "10.0.0.5",
        body: bytes = b"",
    ) -> Context:
        pairs = list(headers.items()) if isinstance(headers, Mapping) else list(headers)
        pairs.append(("Host", "api.shop.test:8080"))
        if authorization is not None:
            pairs.append(("Authorization", authorization))
        if body:
            pairs.append(("Content-Length", str(len(body))))
        found = self.policies.apis[api]
        request = Request(
            method=method,
            scheme="http",
            host="api.shop.test",
            port=8080,
            target=found.prefix + path,
            path=path,
            query=query,
            headers=Headers.of(pairs),
            ip=ip,
            matched={"order_id": "0190"},
            body=FixedBody(body),
        )
        return Context(
            api=found,
            operation_id=operation,
            request=request,
            services=self.services,
            request_id="0f0e0d0c-0000-4000-8000-000000000001",
        )

    async def run(self, context: Context) -> Response:
        assert context.api is not None
        return await self.policies.pipeline(context.api.name, context.operation_id).run(context)

    async def ask(self, *call: Any, **request: Any) -> Response:
        """The answer to a request; arguments as `context`."""
        return await self.run(self.context(*call, **request))

    async def call(
        self, operation: Described, authorization: str | None, **request: Any
    ) -> Response:
        """The answer to a call of a described operation."""
        return await self.ask(
            operation.api,
            operation.id,
            authorization,
            method=operation.method,
            path=operation.path,
            **request,
        )


def problem(answer: Response) -> dict[str, Any]:
    """The problem document of a refusal, once its form is checked."""
    assert isinstance(answer.body, bytes)
    found: dict[str, Any] = json.loads(answer.body)
    assert answer.headers.values("Content-Type") == ["application/problem+json"]
    assert answer.headers.values("Cache-Control") == ["no-store"]
    assert found["status"] == answer.status
    assert found["type"] == f"urn:problem-type:order-platform:{found['code']}"
    assert answer.headers.values("X-Correlation-Id") == [found["correlation_id"]]
    return found
