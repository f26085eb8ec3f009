"""Where people may be sent back to after signing in or out, and which pages may ask for tokens."""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Final
from urllib.parse import urlsplit

from localcloud.identity.directory import APPLICATIONS, Application, Kind

_LOOPBACK: Final = re.compile(r"(http://(?:localhost|127\.0\.0\.1)(?::\d{1,5})?)(/[\w./-]*)?")
"""The port does not count, as ports of this machine come and go.

Source: https://learn.microsoft.com/entra/identity-platform/reply-url#localhost-exceptions
"""
SIGN_IN_PATHS: Final = (
    "/",
    "/auth/callback",
    "/auth/silent",
    "/external-api/docs/oauth2-redirect.html",
    "/internal-api/docs/oauth2-redirect.html",
)
SIGN_OUT_PATHS: Final = ("/", "/signed-out")


class BadRedirectUri(ValueError):
    """A redirect URI that cannot be registered."""


class Redirects:
    """The redirect URIs of every application: paths on this machine, and URIs given by name."""

    def __init__(self, more: Iterable[str] = ()) -> None:
        """`more` are `CLIENT_ID=URI`. Raises BadRedirectUri for one that makes no sense."""
        self._named: Mapping[str, set[str]] = defaultdict(set)
        known = {application.client_id for application in APPLICATIONS}
        for entry in more:
            client_id, _, uri = entry.partition("=")
            parts = urlsplit(uri)
            if client_id not in known:
                raise BadRedirectUri(f"{entry!r}: no application has the id {client_id!r}")
            if parts.scheme not in ("http", "https") or not parts.hostname or parts.fragment:
                raise BadRedirectUri(f"{entry!r}: write CLIENT_ID=https://host/path")
            self._named[client_id].add(uri)

    def sign_in(self, client: Application, uri: str) -> str | None:
        """The URI to send codes to, when it is registered for the application."""
        return self._registered(client, uri, SIGN_IN_PATHS)

    def sign_out(self, tenant: Kind, client: Application | None, uri: str) -> str | None:
        """The URI to go to afterwards, when it is registered for the application.

        Without one, it has to be registered for some application of the tenant.
        """
        for candidate in (client,) if client else APPLICATIONS:
            if candidate.tenant == tenant and (
                found := self._registered(candidate, uri, SIGN_OUT_PATHS)
            ):
                return found
        return None

    def is_page_of(self, tenant: Kind, origin: str) -> bool:
        """Whether pages of that origin belong to an application of the tenant."""
        if (local := _LOOPBACK.fullmatch(origin)) and local[2] is None:
            return True
        return any(
            origin == origin_of(uri)
            for client in APPLICATIONS
            if client.tenant == tenant
            for uri in self._named.get(client.client_id, ())
        )

    def _registered(self, client: Application, uri: str, paths: Iterable[str]) -> str | None:
        if uri in self._named.get(client.client_id, ()):
            return uri
        local = _LOOPBACK.fullmatch(uri) if client.delegated else None
        if local is None or (local[2] or "/") not in paths:
            return None
        return local[1] + (local[2] or "/")  # Entra too answers an empty path with a slash


def origin_of(uri: str) -> str:
    """Scheme, host and port of a registered URI, as a browser writes them in Origin."""
    parts = urlsplit(uri)
    return f"{parts.scheme}://{parts.netloc.lower()}"
