"""A stage for policies: a folder written on the spot, and requests through its one operation."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from localcloud.gateway.policy import Context, Headers, PolicySet, Request, Response
from localcloud.tests.gateway.policy.doubles import FixedBody, Services

FORWARD = "<forward-request />"


def section(**sections: str) -> str:
    """A whole document; what is not given inherits. `on_error` is the section on-error."""
    parts = {
        "inbound": "<base/>",
        "backend": "<base/>",
        "outbound": "<base/>",
        "on_error": "<base/>",
    }
    parts.update(sections)
    inner = "".join(
        f"<{name.replace('_', '-')}>{text}</{name.replace('_', '-')}>\n"
        for name, text in parts.items()
    )
    return f"<policies>\n{inner}</policies>"


GLOBAL = section(
    inbound="<set-backend-service backend-id='main'/>", backend=FORWARD, outbound="", on_error=""
)


@dataclass
class Folder:
    """A policy folder with one HTTP API of one operation `look` (GET /things/{id})."""

    path: Path
    api: str = section()
    operation: str = ""
    everywhere: str = GLOBAL
    fragments: Mapping[str, str] = field(default_factory=dict)
    named: Mapping[str, Any] = field(default_factory=dict)
    kind: str = "http"

    def written(self) -> Path:
        """The folder, once its files are there."""
        (self.path / "fragments").mkdir(parents=True, exist_ok=True)
        for name, text in self.fragments.items():
            (self.path / "fragments" / f"{name}.xml").write_text(text, "utf-8")
        (self.path / "global.xml").write_text(self.everywhere, "utf-8")
        (self.path / "api.xml").write_text(self.api, "utf-8")
        if self.operation:
            (self.path / "operation.xml").write_text(self.operation, "utf-8")
        (self.path / "apis.json").write_text(json.dumps(self.catalogue(), indent=1), "utf-8")
        return self.path

    def catalogue(self) -> dict[str, Any]:
        """What `apis.json` says."""
        operation = {
            "id": "look",
            "method": "GET",
            "template": "/things/{id}",
            "displayName": "Look",
            "policy": "operation.xml" if self.operation else "",
        }
        return {
            "namedValues": {
                name: {"description": name, "value": value} for name, value in self.named.items()
            },
            "backends": {
                "main": {"description": "the backend", "url": "http://backend.test/api/v1/"}
            },
            "globalPolicy": "global.xml",
            "diagnostics": {"maskedHeaders": ["Cookie"], "maskedQuery": ["Q"], "bodyBytes": 0},
            "versionSets": {"shop": {"displayName": "Shop", "scheme": "Segment"}},
            "apis": [
                {
                    "name": "shop-v1",
                    "displayName": "Shop",
                    "description": "A shop",
                    "gateway": "external",
                    "kind": self.kind,
                    "path": "shop",
                    "version": "v1",
                    "versionSet": "shop",
                    "policy": "api.xml",
                    "operations": [operation] if self.kind == "http" else [],
                }
            ],
        }

    def load(self, **given: str) -> PolicySet:
        """The policy set. Raises PolicyFault."""
        return PolicySet.load(
            self.written(), {name.replace("_", "-"): value for name, value in given.items()}
        )


class Stage:
    """Runs requests through the one operation of a folder."""

    def __init__(self, policies: PolicySet, services: Services) -> None:
        self.policies, self.services = policies, services

    def context(
        self,
        *,
        method: str = "GET",
        path: str = "/things/7",
        query: str = "",
        headers: Mapping[str, str] | Sequence[tuple[str, str]] = (),
        ip: str = "10.0.0.5",
        body: bytes = b"",
    ) -> Context:
        pairs = list(headers.items()) if isinstance(headers, Mapping) else list(headers)
        if body:
            pairs.append(("Content-Length", str(len(body))))
        api = self.policies.apis["shop-v1"]
        request = Request(
            method=method,
            scheme="http",
            host="shop.test",
            port=8080,
            target=f"/shop/v1{path}",
            path=path,
            query=query,
            headers=Headers.of(pairs),
            ip=ip,
            matched={"id": "7"},
            body=FixedBody(body),
        )
        return Context(
            api=api,
            operation_id="look" if api.kind == "http" else "onHandshake",
            request=request,
            services=self.services,
            request_id="0f0e0d0c-0000-4000-8000-000000000001",
        )

    async def ask(self, **request: Any) -> Response:
        """The answer to a request."""
        return await self.run(self.context(**request))

    async def run(self, context: Context) -> Response:
        return await self.policies.pipeline("shop-v1", context.operation_id).run(context)


type Staged = Callable[..., Stage]
"""Builds a stage from the arguments of Folder."""
