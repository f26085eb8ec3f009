"""What every part of the identity provider shares: where it lives, its keys, who may ask."""

import ipaddress
from pathlib import Path

from starlette.exceptions import HTTPException
from starlette.requests import Request

from localcloud.dashboard.guard import is_loopback
from localcloud.identity import directory
from localcloud.identity.client_secrets import ClientSecrets
from localcloud.identity.errors import OAuthError
from localcloud.identity.keys import KeyRing
from localcloud.identity.people import People
from localcloud.identity.sessions import Sessions
from localcloud.identity.store import Store
from localcloud.identity.throttle import Throttle

BODY_LIMIT = 32 * 1024

NO_STORE = {"Cache-Control": "no-store", "Pragma": "no-cache"}


class Site:
    """Both tenants on one address, with what they keep."""

    def __init__(self, state: Path, public_url: str | None) -> None:
        self._store = Store(state / "identity")
        self.keys = KeyRing(self._store, directory.TENANTS.values())
        self.client_secrets = ClientSecrets(self._store)
        self.people = People(self._store)
        self.sessions = Sessions(self._store)
        self.throttle = Throttle()
        self._public_url = public_url.rstrip("/") if public_url else None

    def close(self) -> None:
        """Close what is kept."""
        self._store.close()

    def check_host(self, request: Request) -> None:
        """OAuthError for a request that names this place otherwise than it is called.

        A page from anywhere may give its own name the address 127.0.0.1 (DNS rebinding), and
        would then be of the same origin.
        """
        hosts = request.headers.getlist("host")
        called = self._public_url.partition("://")[2].partition("/")[0] if self._public_url else ""
        if len(hosts) != 1 or not (is_loopback(hosts[0]) or hosts[0] == called):
            raise OAuthError(403, "access_denied", 900561, "This place has another name.")

    def base(self, request: Request) -> str:
        """Where issuers live: as configured, or the address this process is bound to.

        Never the Host header: an issuer that changes with the name a client happens to use would
        make tokens that the product refuses.
        """
        if self._public_url is not None:
            return self._public_url
        host, port = request.scope["server"]
        return f"http://{host}:{port}"


async def body_of(request: Request) -> bytes:
    """The whole body. HTTPException 413 as soon as it is longer than the limit."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > BODY_LIMIT:
            raise HTTPException(413, f"the body may have at most {BODY_LIMIT} bytes")
    return bytes(body)


def only_from_here(request: Request) -> None:
    """HTTPException 403 for whoever is not on this machine, whatever address we listen on.

    The Host header too must name this machine: a page from anywhere may give its own name the
    address 127.0.0.1 (DNS rebinding), and would then be of the same origin.
    """
    peer = request.client.host if request.client else ""
    hosts = request.headers.getlist("host")
    if not peer or not ipaddress.ip_address(peer).is_loopback:
        raise HTTPException(403, "this answers only to this machine")
    if len(hosts) != 1 or not is_loopback(hosts[0]):
        raise HTTPException(403, "this answers only to localhost, 127.0.0.1 and [::1]")
