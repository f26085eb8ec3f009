"""Tickets: what stands in a URL instead of an access token, worth nothing after its use.

Redis holds them by their digest, so that whoever reads Redis has no ticket. A ticket is good for
one audience. With it a client negotiates; the connection token that it gets is good only beside
the ticket, once, on any replica.
"""

import hashlib
import secrets
import time
from typing import Literal

from redis.asyncio import Redis
from redis.exceptions import RedisError

from notifier.people import Person
from notifier.problems import TicketInvalid
from notifier.sign_outs import SignOuts
from shared import telemetry
from shared.problem import NotFound, ServiceUnavailable, TokenExpired

type Audience = Literal["ws", "hub", "stream"]

NEGOTIATING_S = 60
"""How long a client that was redirected may negotiate, with all transports it tries."""
STREAM_S = 30
CONNECTING_S = 30
"""How long a negotiated connection waits to be opened."""
TICKET_BYTES = 32
TICKET_MAX_LENGTH = 256

_log = telemetry.logger(__name__)


class Tickets:
    """Tickets and connection tokens of all replicas.

    Every method raises ServiceUnavailable while Redis does not answer. Who tells whose a ticket is
    raises SessionEnded if that person signed out since.
    """

    def __init__(self, redis: Redis, sign_outs: SignOuts) -> None:
        self._redis, self._sign_outs = redis, sign_outs

    async def issue(self, person: Person, audience: Audience) -> str:
        """A new ticket. Raises TokenExpired when the person's token is at its end."""
        kept_s = STREAM_S if audience == "stream" else NEGOTIATING_S
        ticket = secrets.token_urlsafe(TICKET_BYTES)
        await self._keep(_ticket_key(audience, ticket), person, kept_s)
        return ticket

    async def look_at(self, ticket: str, audience: Audience) -> Person:
        """Whose ticket it is; it stays good. Raises TicketInvalid."""
        key = _ticket_key(audience, ticket)
        return await self._sign_outs.check(_person(await self._ask("GET", key)))

    async def use(self, ticket: str, audience: Audience) -> Person:
        """Whose ticket it was. Raises TicketInvalid."""
        found = await self._ask("GETDEL", _ticket_key(audience, ticket))
        return await self._sign_outs.check(_person(found))

    async def expect(self, person: Person, audience: Audience, ticket: str) -> str:
        """A token for a connection that the holder of `ticket` is about to open."""
        token = secrets.token_urlsafe(TICKET_BYTES)
        await self._keep(_connection_key(audience, token, ticket), person, CONNECTING_S)
        return token

    async def admit(self, token: str, ticket: str, audience: Audience) -> Person:
        """Who opens the connection; after this neither token nor ticket is good for anything.

        Raises NotFound when no such connection is expected.
        """
        found = await self._ask("GETDEL", _connection_key(audience, token, ticket))
        if found is None:
            raise NotFound("no such connection is expected: negotiate again")
        await self._ask("DEL", _ticket_key(audience, ticket))
        return await self._sign_outs.check(_person(found))

    async def _keep(self, key: str, person: Person, kept_s: float) -> None:
        left_ms = int(min(kept_s, person.expires_at - time.time()) * 1000)
        if left_ms <= 0:
            raise TokenExpired("the access token has expired")
        await self._ask("SET", key, person.to_text(), "PX", left_ms)

    async def _ask(self, *command: str | int) -> str | None:
        try:
            answer = await self._redis.execute_command(*command)  # type: ignore[no-untyped-call]
        except (RedisError, OSError, TimeoutError) as fault:
            _log.warning("tickets unavailable: %s", type(fault).__qualname__)
            raise ServiceUnavailable("connections cannot be made just now") from fault
        return None if answer is None else str(answer)


def digest(*secret: str) -> str:
    """What is kept of a secret, or of several that belong together."""
    # A length before each: no two lists of secrets make the same text.
    text = "".join(f"{len(part)}:{part}" for part in secret)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _ticket_key(audience: Audience, ticket: str) -> str:
    if not ticket or len(ticket) > TICKET_MAX_LENGTH:
        raise TicketInvalid("this needs a ticket")
    return f"{{live}}:ticket:{audience}:{digest(ticket)}"


def _connection_key(audience: Audience, token: str, ticket: str) -> str:
    if len(token) > TICKET_MAX_LENGTH or len(ticket) > TICKET_MAX_LENGTH:
        raise TicketInvalid("this needs a ticket")
    return f"{{live}}:connection:{audience}:{digest(token, ticket)}"


def _person(found: str | None) -> Person:
    if found is None:
        raise TicketInvalid("the ticket is not, or no longer, good")
    person = Person.from_text(found)
    if person.expires_at <= time.time():
        raise TokenExpired("the access token has expired")
    return person
