"""What every request must pass: origin, credentials, size; and where the gateway shows us."""

import asyncio
import base64
import json
import re
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.requests import HTTPConnection, Request

from notifier.people import ACCESS, Person
from notifier.problems import OriginRefused
from notifier.settings import Settings
from notifier.sign_outs import SignOuts
from shared.auth import Authenticator
from shared.problem import BodyTooLarge, InvalidRequest, TokenMissing

BODY_LIMIT = 32 * 1024
"""The same for a frame of a WebSocket."""

_PREFIX = re.compile(r"(/[A-Za-z0-9._~\-]+)+")
_HOST = re.compile(r"[A-Za-z0-9.\-]+(:[0-9]{1,5})?|\[[0-9A-Fa-f:.]+\](:[0-9]{1,5})?")


class Door:
    """Lets requests in."""

    def __init__(
        self, settings: Settings, authenticator: Authenticator, sign_outs: SignOuts
    ) -> None:
        self._settings, self._authenticator = settings, authenticator
        self._sign_outs = sign_outs
        self._allowed = frozenset(settings.notifier_allowed_origins)

    async def person(self, connection: HTTPConnection) -> Person:
        """Whose access token came in the Authorization header.

        Raises what Authenticator and SignOuts do, and Forbidden for who has no business here.
        """
        authorization = connection.headers.get("authorization")
        caller = await self._authenticator.authenticate(authorization)
        ACCESS.check(caller)
        assert authorization is not None
        return await self._sign_outs.check(Person(caller, _expiry(authorization)))

    def check_origin(self, connection: HTTPConnection) -> None:
        """Raises OriginRefused for a page of a site that is neither ours nor on the list.

        A browser lets any page open a WebSocket to anywhere; the Origin header tells which.
        """
        origin = connection.headers.get("origin")
        if origin is None or origin in self._allowed:
            return
        if urlsplit(origin).netloc.lower() != urlsplit(self.base(connection)).netloc.lower():
            raise OriginRefused("pages of this origin may not connect")

    def base(self, connection: HTTPConnection) -> str:
        """The URL under which the client sees the notifier, without a slash at its end.

        The client of SignalR follows only whole URLs. Headers of a proxy count only where a
        setting says that one is there.
        """
        settings, headers = self._settings, connection.headers
        scheme = {"ws": "http", "wss": "https"}.get(connection.url.scheme, connection.url.scheme)
        host, path = headers.get("host", ""), settings.notifier_public_path
        if settings.notifier_trust_forwarded:
            scheme = _first(headers, "x-forwarded-proto") or scheme
            host = _first(headers, "x-forwarded-host") or host
            prefix = _first(headers, "x-forwarded-prefix").rstrip("/")
            path = prefix if _PREFIX.fullmatch(prefix) else path
        if settings.notifier_public_origin is not None:
            return settings.notifier_public_origin + path
        if scheme not in {"http", "https"} or not _HOST.fullmatch(host):
            raise InvalidRequest("the request does not say which host it is for")
        return f"{scheme}://{host}{path}"


def bearer(connection: HTTPConnection) -> str:
    """The ticket in the Authorization header. Raises TokenMissing."""
    scheme, _, ticket = connection.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not ticket.strip():
        raise TokenMissing("this needs a ticket in the Authorization header")
    return ticket.strip()


async def body(request: Request, *, within_s: float) -> bytes:
    """The body. Raises BodyTooLarge as soon as that is known; no more of it is read then.

    Raises InvalidRequest when it has not come to its end `within_s`.
    """
    announced = request.headers.get("content-length", "0")
    if not announced.isdecimal() or len(announced) > 12 or int(announced) > BODY_LIMIT:  # noqa: PLR2004 - digits
        raise BodyTooLarge(f"the body may have at most {BODY_LIMIT} bytes")
    read = bytearray()
    try:
        async with asyncio.timeout(within_s):
            async for chunk in request.stream():
                read += chunk
                if len(read) > BODY_LIMIT:
                    raise BodyTooLarge(f"the body may have at most {BODY_LIMIT} bytes")
    except TimeoutError:
        raise InvalidRequest("the body took too long") from None
    return bytes(read)


def _expiry(authorization: str) -> float:
    """When a token that was verified just now expires."""
    claims = authorization.split(".")[1]
    padded = claims + "=" * (-len(claims) % 4)
    return float(json.loads(base64.urlsafe_b64decode(padded))["exp"])


def _first(headers: Headers, name: str) -> str:
    """The first of a header's comma-separated values: what the outermost proxy saw."""
    return headers.get(name, "").partition(",")[0].strip()
