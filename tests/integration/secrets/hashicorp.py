"""HashiCorp Vault on the wire: Kubernetes sign-in and KV version 2, as its HTTP API has them.

https://developer.hashicorp.com/vault/api-docs/auth/kubernetes
https://developer.hashicorp.com/vault/api-docs/secret/kv/kv-v2
"""

import ssl
import uuid

from aiohttp import web
from aiohttp.test_utils import TestServer


class Hashicorp:
    """One vault: who may sign in, which tokens are good, what it holds."""

    def __init__(self) -> None:
        self.role, self.jwt = "platform", "service-account-token"
        self.held: dict[str, list[str | None]] = {}
        self.tokens: set[str] = set()
        self.sign_ins: list[str] = []
        self.sealed = False
        app = web.Application()
        app.router.add_post("/v1/auth/kubernetes/login", self._login)
        app.router.add_get("/v1/secret/data/{path:.+}", self._read)
        self._app = app
        self.server: TestServer | None = None

    async def start(self, tls: ssl.SSLContext | None = None) -> str:
        """Serve; the address."""
        self.server = TestServer(self._app, scheme="https" if tls else "http", host="127.0.0.1")
        await self.server.start_server(ssl=tls)
        return str(self.server.make_url("")).rstrip("/")

    async def stop(self) -> None:
        if self.server is not None:
            await self.server.close()

    async def _login(self, request: web.Request) -> web.Response:
        given = await request.json()
        self.sign_ins.append(given["jwt"])
        if self.sealed:
            return web.json_response({"errors": ["Vault is sealed"]}, status=503)
        if given != {"role": self.role, "jwt": self.jwt}:
            return web.json_response({"errors": ["permission denied"]}, status=403)
        token = f"hvs.{uuid.uuid4().hex}"
        self.tokens.add(token)
        auth = {
            "client_token": token,
            "accessor": uuid.uuid4().hex,
            "policies": ["default", "platform"],
            "metadata": {"role": self.role},
            "lease_duration": 3600,
            "renewable": True,
        }
        return web.json_response({"request_id": str(uuid.uuid4()), "auth": auth})

    async def _read(self, request: web.Request) -> web.Response:
        if self.sealed:
            return web.json_response({"errors": ["Vault is sealed"]}, status=503)
        if request.headers.get("X-Vault-Token") not in self.tokens:
            return web.json_response({"errors": ["permission denied"]}, status=403)
        versions = self.held.get(request.match_info["path"])
        if versions is None:
            return web.json_response({"errors": []}, status=404)
        value = versions[-1]
        metadata = {"version": len(versions), "destroyed": False, "deletion_time": ""}
        if value is None:
            metadata["deletion_time"] = "2026-11-24T03:04:05.678Z"
            data = {"data": None, "metadata": metadata}
            return web.json_response({"data": data}, status=404)
        return web.json_response({"data": {"data": {"value": value}, "metadata": metadata}})
