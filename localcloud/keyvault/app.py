"""The vault's REST API, as the SDKs call it.

https://learn.microsoft.com/rest/api/keyvault/secrets/operation-groups
"""

import json
import re
import uuid
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from localcloud.keyvault.access import Access, Challenged
from localcloud.keyvault.backup import Backups
from localcloud.keyvault.errors import VaultError, bad_parameter, disabled
from localcloud.keyvault.listing import Page, page_of
from localcloud.keyvault.records import Change, NewVersion, checked_name, checked_version
from localcloud.keyvault.store import SecretStore

BODY_LIMIT = 256 * 1024
MOST_VERSIONS = 10_000
_API_VERSION = re.compile(r"2016-10-01|7\.[0-6]|20\d\d-\d\d-\d\d(-preview)?|7\.\d-preview\.\d")
_AUTHORITY = re.compile(r"[A-Za-z0-9.\-]+(:\d+)?|\[[0-9a-fA-F:]+\](:\d+)?")


class Vault:
    """One vault, whatever name it is called by."""

    def __init__(self, store: SecretStore, access: Access, backups: Backups) -> None:
        self._store, self._access, self._backups = store, access, backups

    async def set(self, request: Request) -> Response:
        vault = await self._allowed(request, "setSecret")
        new = NewVersion.read(await _body(request))
        return _json(self._store.set(_name(request), new).shown(vault, value=True))

    async def get(self, request: Request) -> Response:
        vault = await self._allowed(request, "getSecret")
        found = self._store.get(_name(request), _version(request))
        if not found.enabled:
            raise disabled()
        return _json(found.shown(vault, value=True))

    async def update(self, request: Request) -> Response:
        vault = await self._allowed(request, "update")
        change = Change.read(await _body(request))
        changed = self._store.change(_name(request), _version(request), change)
        return _json(changed.shown(vault))

    async def list(self, request: Request) -> Response:
        vault = await self._allowed(request, "readMetadata")
        page = Page.of(request)
        found = self._store.latest(after=page.after, limit=page.size + 1)
        shown = [(one.name, one.shown(vault, versioned=False)) for one in found]
        return _json(page_of(shown, page, f"{vault}/secrets"))

    async def list_versions(self, request: Request) -> Response:
        vault = await self._allowed(request, "readMetadata")
        name, page = _name(request), Page.of(request)
        found = self._store.versions(name, after=page.place, limit=page.size + 1)
        shown = [(str(place), one.shown(vault)) for place, one in found]
        return _json(page_of(shown, page, f"{vault}/secrets/{name}/versions"))

    async def delete(self, request: Request) -> Response:
        vault = await self._allowed(request, "delete")
        return _json(self._store.delete(_name(request)).shown(vault))

    async def get_deleted(self, request: Request) -> Response:
        vault = await self._allowed(request, "readMetadata")
        return _json(self._store.deleted(_name(request)).shown(vault))

    async def list_deleted(self, request: Request) -> Response:
        vault = await self._allowed(request, "readMetadata")
        page = Page.of(request)
        found = self._store.all_deleted(after=page.after, limit=page.size + 1)
        shown = [(one.latest.name, one.shown(vault, versioned=False)) for one in found]
        return _json(page_of(shown, page, f"{vault}/deletedsecrets"))

    async def recover(self, request: Request) -> Response:
        vault = await self._allowed(request, "recover")
        return _json(self._store.recover(_name(request)).shown(vault))

    async def purge(self, request: Request) -> Response:
        await self._allowed(request, "purge")
        self._store.purge(_name(request))
        return Response(status_code=204)

    async def backup(self, request: Request) -> Response:
        await self._allowed(request, "backup")
        found = self._store.versions(_name(request), after=0, limit=MOST_VERSIONS)
        return _json({"value": self._backups.sealed([one for _, one in found])})

    async def restore(self, request: Request) -> Response:
        vault = await self._allowed(request, "restore")
        try:
            text = json.loads(await _body(request))["value"]
        except (ValueError, KeyError, TypeError):
            text = None
        if not isinstance(text, str):
            raise bad_parameter("Property value is missing.")
        return _json(self._store.restore(self._backups.opened(text)).shown(vault))

    async def _allowed(self, request: Request, action: str) -> str:
        """The vault's URL as the caller knows it, once the caller may do this."""
        authority = request.headers.get("host", "")
        if not _AUTHORITY.fullmatch(authority):
            raise bad_parameter("The request has no valid host.")
        authorization = request.headers.getlist("authorization")
        if len(authorization) > 1:
            raise bad_parameter("The request has several Authorization headers.")
        caller = await self._access.caller(next(iter(authorization), None), authority)
        version = request.query_params.get("api-version")
        if version is None:
            raise bad_parameter("api-version must be specified")
        if not _API_VERSION.fullmatch(version):
            raise bad_parameter(f"The specified version ({version[:32]}) is not recognized.")
        caller.must(action)
        return f"https://{authority}"


def _name(request: Request) -> str:
    return checked_name(request.path_params["name"])


def _version(request: Request) -> str | None:
    version = request.path_params.get("version")
    return None if version is None else checked_version(version)


async def _body(request: Request) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > BODY_LIMIT:
            raise VaultError(413, "RequestTooLarge", "The request body is too large.")
    return bytes(body)


def _json(shown: dict[str, Any]) -> Response:
    return JSONResponse(shown)


async def _health(_request: Request) -> Response:
    return JSONResponse({"status": "ok"})


async def _refused(_request: Request, error: Exception) -> Response:
    assert isinstance(error, VaultError)
    headers = {"WWW-Authenticate": error.challenge} if isinstance(error, Challenged) else {}
    return JSONResponse(error.body(), error.status, headers)


async def _http_error(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    code = "MethodNotAllowed" if error.status_code == 405 else "NotFound"  # noqa: PLR2004
    return JSONResponse(VaultError(error.status_code, code, error.detail).body(), error.status_code)


class _Stamped:
    """Says on every answer what Key Vault says, and that no cache may keep it."""

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        async def stamped(message: Any) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [
                    *message["headers"],
                    (b"cache-control", b"no-store"),
                    (b"x-ms-keyvault-region", b"local"),
                    (b"x-ms-request-id", str(uuid.uuid4()).encode()),
                    (b"x-content-type-options", b"nosniff"),
                ]
            await send(message)

        await self._app(scope, receive, stamped)


def create_app(store: SecretStore, access: Access, backups: Backups) -> Any:
    """The ASGI application."""
    vault = Vault(store, access, backups)
    name, version = "/secrets/{name}", "/secrets/{name}/{version}"
    deleted = "/deletedsecrets/{name}"

    def route(path: str, method: str, answer: Any) -> Route:
        return Route(path, answer, methods=[method])

    app = Starlette(
        routes=[
            Route("/health", _health),
            route("/secrets", "GET", vault.list),
            route("/secrets/restore", "POST", vault.restore),
            route(f"{name}/versions", "GET", vault.list_versions),
            route(f"{name}/backup", "POST", vault.backup),
            # The SDKs leave the version out and keep the slash.
            *(route(path, "GET", vault.get) for path in (name, f"{name}/", version)),
            *(route(path, "PATCH", vault.update) for path in (name, f"{name}/", version)),
            route(name, "PUT", vault.set),
            route(name, "DELETE", vault.delete),
            route("/deletedsecrets", "GET", vault.list_deleted),
            route(f"{deleted}/recover", "POST", vault.recover),
            route(deleted, "GET", vault.get_deleted),
            route(deleted, "DELETE", vault.purge),
        ],
        exception_handlers={VaultError: _refused, HTTPException: _http_error},
    )
    return _Stamped(app)
