"""PostgreSQL's door: TLS, and an access token for the password, which is looked at when one enters.

Source: https://learn.microsoft.com/azure/postgresql/flexible-server/security-entra-concepts
The protocol: https://www.postgresql.org/docs/current/protocol-flow.html
"""

import asyncio
import logging
import ssl
import struct
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final

from localcloud.front.relay import Streams, hang_up, relay
from localcloud.front.scram import MECHANISM, Scram, ScramFailed
from localcloud.servicebus.bearer import BearerTokens
from localcloud.servicebus.cbs import TokenRefused

AUDIENCE: Final = "https://ossrdbms-aad.database.windows.net"
ENTER_WITHIN_S: Final = 10.0

_SSL_REQUEST, _GSS_REQUEST, _CANCEL, _PROTOCOL_3 = 80877103, 80877104, 80877102, 3
_LONGEST_STARTUP, _LONGEST_MESSAGE = 10_000, 64 * 1024
_OK, _CLEARTEXT, _SASL, _SASL_CONTINUE, _SASL_FINAL = 0, 3, 10, 11, 12

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Principal:
    """A role that identities enter as: in Azure `pgaadauth_create_principal_with_oid` makes one."""

    object_id: str
    password: str
    """The server's own, which nobody outside needs."""


class Refused(Exception):
    """What the client is told: SQLSTATE and message."""

    def __init__(self, state: str, message: str) -> None:
        super().__init__(message)
        self.state = state


class PostgresDoor:
    """Lets identities in, each as the role that is theirs."""

    def __init__(
        self,
        tokens: BearerTokens,
        principals: Mapping[str, Principal],
        context: ssl.SSLContext,
        connect: Callable[[], Awaitable[Streams]],
    ) -> None:
        """`principals` by the name of their role; `connect` leads to the server."""
        self._tokens, self._principals = tokens, principals
        self._context, self._connect = context, connect

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One client, from its first byte to its last."""
        there: Streams | None = None
        try:
            async with asyncio.timeout(ENTER_WITHIN_S):
                startup = await self._encrypted_startup(reader, writer)
                there = await self._connect()
                if _code(startup) == _CANCEL:
                    await _pass(there, startup)
                    return
                await self._enter(reader, writer, startup, there)
            await relay((reader, writer), there)
        except Refused as refusal:
            writer.write(_error(refusal))
        except (OSError, EOFError, TimeoutError, ScramFailed) as fault:
            log.debug("a client did not get through: %s", type(fault).__name__)
        finally:
            if there is not None:
                await hang_up(there[1])
            await hang_up(writer)

    async def _encrypted_startup(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bytes:
        """The first message that says something, which nobody else could read."""
        first = await _startup(reader)
        if _code(first) == _GSS_REQUEST:
            writer.write(b"N")
            first = await _startup(reader)
        if _code(first) != _SSL_REQUEST:
            raise Refused("28000", "no pg_hba.conf entry: the server wants an encrypted connection")
        if reader._buffer:  # type: ignore[attr-defined]  # noqa: SLF001 - what somebody slipped in before the encryption
            raise Refused("08P01", "received unencrypted data after SSL request")
        writer.write(b"S")
        await writer.drain()
        await writer.start_tls(self._context, ssl_handshake_timeout=ENTER_WITHIN_S)
        return await _startup(reader)

    async def _enter(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        startup: bytes,
        there: Streams,
    ) -> None:
        if _code(startup) >> 16 != _PROTOCOL_3:
            raise Refused("0A000", "unsupported frontend protocol")
        principal = self._principals.get(role := _parameters(startup).get("user", ""))
        writer.write(_message(b"R", struct.pack("!I", _CLEARTEXT)))
        kind, password = await _read(reader)
        if kind != b"p":
            raise Refused("08P01", "expected password response")
        await self._check(role, principal, password.rstrip(b"\0").decode(errors="replace"))
        assert principal is not None
        there[1].write(startup)
        await _log_in(there, principal.password)
        writer.write(_message(b"R", struct.pack("!I", _OK)))

    async def _check(self, role: str, principal: Principal | None, token: str) -> None:
        """Refused, unless it is a token of the identity that enters as this role."""
        try:
            claims = await self._tokens.claims(token)
        except TokenRefused as why:
            log.info("a token was refused: %s", why)
            raise _refused(role) from why
        if principal is None or claims.get("oid") != principal.object_id:
            log.info("the token is of another identity than that of role %r", role)
            raise _refused(role)


async def _log_in(there: Streams, password: str) -> None:
    """Become the role on the server. What it says about that, it says to the front alone."""
    reader, writer = there
    scram = Scram(password)
    while True:
        kind, body = await _read(reader)
        if kind != b"R":
            raise Refused("08006", f"the server refuses: {_told(body)}")
        code, rest = struct.unpack_from("!I", body)[0], body[4:]
        if code == _OK:
            return
        if code == _SASL:
            first = scram.first()
            begin = MECHANISM.encode() + b"\0" + struct.pack("!I", len(first)) + first
            writer.write(_message(b"p", begin))
        elif code == _SASL_CONTINUE:
            writer.write(_message(b"p", scram.final(rest)))
        elif code == _SASL_FINAL:
            scram.verify(rest)
        else:
            raise ScramFailed(f"the server wants authentication {code}")


async def _pass(there: Streams, startup: bytes) -> None:
    """Hand on a request to cancel a query, which bears its own proof and gets no answer."""
    there[1].write(startup)
    await there[1].drain()
    await there[0].read(1)


def _refused(role: str) -> Refused:
    return Refused("28P01", f'password authentication failed for user "{role}"')


async def _startup(reader: asyncio.StreamReader) -> bytes:
    """A message without a type, length included. Refused when it is longer than any."""
    head = await reader.readexactly(4)
    (length,) = struct.unpack("!I", head)
    if not 8 <= length <= _LONGEST_STARTUP:  # noqa: PLR2004 - length and code
        raise Refused("08P01", "invalid length of startup packet")
    return head + await reader.readexactly(length - 4)


def _code(startup: bytes) -> int:
    return int(struct.unpack_from("!I", startup, 4)[0])


def _parameters(startup: bytes) -> dict[str, str]:
    words = startup[8:].decode(errors="replace").split("\0")
    return dict(zip(words[::2], words[1::2], strict=False))


async def _read(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    """A message: its type and its body. Refused when it is longer than a log-in's."""
    head = await reader.readexactly(5)
    (length,) = struct.unpack_from("!I", head, 1)
    if not 4 <= length <= _LONGEST_MESSAGE:  # noqa: PLR2004 - the length itself
        raise Refused("08P01", "invalid message length")
    return head[:1], await reader.readexactly(length - 4)


def _message(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("!I", len(body) + 4) + body


def _error(refusal: Refused) -> bytes:
    told = {"S": "FATAL", "V": "FATAL", "C": refusal.state, "M": str(refusal)}
    fields = "".join(f"{name}{value}\0" for name, value in told.items())
    return _message(b"E", fields.encode() + b"\0")


def _told(body: bytes) -> str:
    """The message of an error response."""
    for field in body.split(b"\0"):
        if field[:1] == b"M":
            return field[1:].decode(errors="replace")
    return "no reason given"
