"""Valkey's door: TLS, and signing in with an object id and a token, as Azure Managed Redis does it.

Source: https://learn.microsoft.com/azure/redis/entra-for-authentication
The protocol: https://valkey.io/topics/protocol/
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Collection
from typing import Final

from localcloud.front.relay import Streams, hang_up, pump
from localcloud.servicebus.bearer import BearerTokens
from localcloud.servicebus.cbs import TokenRefused

AUDIENCE: Final = "https://redis.azure.com"
ROLES: Final = frozenset({"Data Owner", "Data Contributor", "Data Reader"})
"""An identity must have one of these access policies; the door does not tell them apart."""

SIGN_IN_WITHIN_S: Final = 10.0
_MOST_WORDS, _LONGEST_WORD = 1024 * 1024, 512 * 1024 * 1024
_MOST_BEFORE, _LONGEST_BEFORE = 10, 16 * 1024
"""Of a command of somebody who has not signed in yet."""

_NO_AUTH = b"-NOAUTH Authentication required.\r\n"
_WRONG = b"-WRONGPASS invalid username-password pair or user is disabled.\r\n"
_OK = b"+OK\r\n"
_ANSWERS_OK = (b"CLIENT", b"REPLY", b"ON")
_ANSWERS_WRONG = (b"AUTH", b"nobody", b"nothing")

log = logging.getLogger(__name__)

type Command = tuple[bytes, ...]


class BadCommand(Exception):
    """What the client sends is not the protocol; the text is what it is told."""


class ValkeyDoor:
    """Lets identities in, for as long as their tokens are good."""

    def __init__(self, tokens: BearerTokens, connect: Callable[[], Awaitable[Streams]]) -> None:
        self._tokens, self._connect = tokens, connect

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One client, from its first byte to its last."""
        there: Streams | None = None
        try:
            there = await self._connect()
            visit = _Visit(self._tokens, (reader, writer), there)
            await visit.run()
        except BadCommand as fault:
            writer.write(b"-ERR Protocol error: " + str(fault).encode() + b"\r\n")
        except (OSError, EOFError, TimeoutError) as fault:
            log.debug("a client is gone: %s", type(fault).__name__)
        finally:
            if there is not None:
                await hang_up(there[1])
            await hang_up(writer)


class _Visit:
    """One connection. What the server answers goes to the client untouched, so it keeps its order:
    a command that the door must answer itself becomes one that the server answers so.
    """

    def __init__(self, tokens: BearerTokens, here: Streams, there: Streams) -> None:
        self._tokens = tokens
        self._reader, self._writer = here
        self._there = there
        self._good_until = 0.0
        self._end: asyncio.Timeout | None = None

    async def run(self) -> None:
        """Until either side ends, or the token does."""
        answers = asyncio.create_task(pump(self._there[0], self._writer))
        try:
            async with asyncio.timeout(SIGN_IN_WITHIN_S) as self._end:
                commands = asyncio.create_task(self._commands())
                await _first_of(commands, answers)
        except TimeoutError:
            log.info("a connection ends with its token")
        finally:
            answers.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await answers

    async def _commands(self) -> None:
        while True:
            known = self._good_until > 0
            command = await _read(self._reader, known=known)
            if command:
                passed = await self._passed(command)
                if passed is not None:
                    self._there[1].write(_written(passed))
                    await self._there[1].drain()

    async def _passed(self, command: Command) -> Command | None:
        """What the server gets instead of the command; None when it has been answered here."""
        name = command[0].upper()
        if name == b"AUTH":
            return await self._sign_in(command[1:])
        if name == b"HELLO":
            return await self._hello(command)
        if self._good_until == 0:
            # Nothing is on its way from the server yet.
            self._writer.write(_NO_AUTH)
            return None
        return command

    async def _sign_in(self, words: Command) -> Command:
        user, token = words if len(words) == 2 else (b"", words[-1] if words else b"")  # noqa: PLR2004
        return _ANSWERS_OK if await self._is_good(user, token) else _ANSWERS_WRONG

    async def _hello(self, command: Command) -> Command | None:
        """`HELLO protocol [AUTH name password] [SETNAME name]`; the server is not told who."""
        words = list(command)
        if len(words) > 4 and words[2].upper() == b"AUTH":  # noqa: PLR2004 - see above
            if not await self._is_good(words[3], words[4]):
                return _ANSWERS_WRONG
            del words[2:5]
        elif self._good_until == 0:
            self._writer.write(
                b"-NOAUTH HELLO must be called with the client already authenticated\r\n"
            )
            return None
        return tuple(words)

    async def _is_good(self, user: bytes, token: bytes) -> bool:
        """Whether the token is that of the user; then the connection lives as long as it does."""
        try:
            claims = await self._tokens.claims(token.decode(errors="replace"))
        except TokenRefused as why:
            log.info("a token was refused: %s", why)
            return False
        roles = claims.get("roles")
        if claims.get("oid") != user.decode(errors="replace"):
            log.info("the user name is not the object id of the token's identity")
            return False
        if not isinstance(roles, Collection) or ROLES.isdisjoint(roles):
            log.info("the identity has no access policy here")
            return False
        self._good_until = float(claims["exp"])
        if self._end is not None:
            loop = asyncio.get_running_loop()
            self._end.reschedule(loop.time() + self._good_until - time.time())
        return True


async def _first_of(commands: asyncio.Task[None], answers: asyncio.Task[None]) -> None:
    """Wait for either; raise what the commands' task did."""
    try:
        await asyncio.wait({commands, answers}, return_when=asyncio.FIRST_COMPLETED)
        if commands.done():
            commands.result()
    finally:
        commands.cancel()
        with contextlib.suppress(asyncio.CancelledError, BadCommand, OSError, EOFError):
            await commands


async def _read(reader: asyncio.StreamReader, *, known: bool) -> Command:
    """The next command: an array of bulk strings, or the words of a line. BadCommand otherwise."""
    most, longest = (_MOST_WORDS, _LONGEST_WORD) if known else (_MOST_BEFORE, _LONGEST_BEFORE)
    line = await _line(reader)
    if line[:1] != b"*":
        return tuple(line.split())
    words = []
    for _ in range(_number(line[1:], most, "multibulk length")):
        head = await _line(reader)
        if head[:1] != b"$":
            raise BadCommand("expected '$'")
        length = _number(head[1:], longest, "bulk length")
        words.append((await reader.readexactly(length + 2))[:-2])
    return tuple(words)


async def _line(reader: asyncio.StreamReader) -> bytes:
    try:
        return (await reader.readuntil(b"\n")).rstrip(b"\r\n")
    except asyncio.LimitOverrunError as fault:
        raise BadCommand("too big inline request") from fault


def _number(digits: bytes, most: int, what: str) -> int:
    if not digits.isdigit() or int(digits[:20]) > most:
        raise BadCommand(f"invalid {what}")
    return int(digits)


def _written(command: Command) -> bytes:
    parts = [b"*%d\r\n" % len(command)]
    for word in command:
        parts += (b"$%d\r\n" % len(word), word, b"\r\n")
    return b"".join(parts)
