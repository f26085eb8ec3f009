"""The border: who calls, through what, how often. What a caller says of himself does not count."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from shared.auth import ANONYMOUS, PARTNERS, Access, Caller, StepUp
from shared.problem import InvalidRequest, TokenInvalid

FORWARDED = "x-forwarded-authorization"
"""Where the gateway carries the person's token; its own is in Authorization."""
IDENTITY_HEADERS = ("x-user-", "x-ms-client-principal", "x-ms-token-")
"""Beginnings of headers in which other set-ups are told who calls. Here a token tells."""


class Authenticates(Protocol):
    """Tells who calls; shared.auth.Authenticator does."""

    async def authenticate(self, authorization: str | None) -> Caller:
        """The caller by the Authorization header, or a Problem."""
        ...


class Gateway(Protocol):
    """Tells whether a request came through the gateway; shared.auth.Gateway does."""

    async def through(self, authorization: str | None, forwarded: str | None) -> str | None:
        """The header that holds the person's token, or GatewayRequired."""
        ...

    async def partner(self, authorization: str | None) -> None:
        """Nothing if a partner's request may come like this; GatewayRequired otherwise."""
        ...


class Sessions(Protocol):
    """Knows who signed out and who asks too often; shared.auth.Sessions does."""

    async def admit(self, caller: Caller, device: str | None) -> None:
        """Nothing, or SessionEnded or TooManyRequests. `device` is the User-Agent header."""
        ...


class Checks(Protocol):
    """Tells whether a partner sent a body; shared.webhooks.Signatures does."""

    async def check(self, header: str | None, raw: bytes) -> None:
        """Nothing if the signature in `header` fits the body, or a Problem."""
        ...


@dataclass(frozen=True)
class Border:
    """What every request passes before anything of it is read."""

    authenticator: Authenticates
    gateway: Gateway | None = None
    sessions: Sessions | None = None
    step_up: StepUp = field(default_factory=StepUp)

    async def caller(
        self, access: Access, headers: Mapping[str, str], *, recent_sign_in: bool = False
    ) -> Caller:
        """Who calls, if he may. The names in `headers` are in lower case.

        Raises what the authenticator, gateway, sessions and step-up do; Forbidden;
        InvalidRequest for headers that claim an identity.
        """
        if access.anyone:
            return ANONYMOUS
        _refuse_claimed_identity(headers)
        authorization, forwarded = headers.get("authorization"), headers.get(FORWARDED)
        if access.partner:
            if self.gateway is not None:
                await self.gateway.partner(authorization)
            return PARTNERS
        if self.gateway is not None:
            authorization = await self.gateway.through(authorization, forwarded)
        elif forwarded is not None:
            raise TokenInvalid("the access token belongs into the Authorization header")
        caller = await self.authenticator.authenticate(authorization)
        if self.sessions is not None:
            await self.sessions.admit(caller, headers.get("user-agent"))
        access.check(caller)
        if recent_sign_in:
            self.step_up.check(caller)
        return caller


def _refuse_claimed_identity(headers: Mapping[str, str]) -> None:
    """The gateway strips these; whoever gets here with one tries whether somebody believes it."""
    if claimed := [name for name in headers if name.startswith(IDENTITY_HEADERS)]:
        raise InvalidRequest(
            "who calls is told by the access token alone",
            [{"field": name[:100], "message": "is not taken"} for name in sorted(claimed)],
        )
