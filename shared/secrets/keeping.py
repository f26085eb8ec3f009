"""Secrets by name: kept for a while, asked for again when due or when a partner refuses one."""

import asyncio
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from shared import telemetry
from shared.secrets.secret import Secret, SecretMissing, SecretUnavailable, StoreAway

TTL_S = 300.0
ASK_TIMEOUT_S = 5.0
AWAY_PAUSE_S = 5.0
"""How long a store that did not answer is left alone."""
REFUSED_PAUSE_S = 5.0
"""How long the store is left alone after it had no other value than the one a partner refuses: who
sends us wrong signatures must not make us ask each time."""

_log = telemetry.logger(__name__)


class Store(Protocol):
    """Where secrets come from."""

    async def fetch(self, name: str) -> str:
        """The current value of the secret. Raises SecretMissing or StoreAway."""
        ...

    async def close(self) -> None:
        """Let go of connections; the next fetch opens new ones."""
        ...


@dataclass(slots=True)
class _Kept:
    secret: Secret | None = None
    due_at: float = -math.inf
    pressed_at: float = -math.inf
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)


class Secrets:
    """The secrets of one store, each kept for `ttl_s` seconds.

    One caller asks at a time; the others go on with what is known. While the store is away the
    last value is kept; a secret that the store has no more, or has disabled, is forgotten.
    """

    def __init__(
        self, store: Store, *, ttl_s: float = TTL_S, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._store, self._ttl_s, self._clock = store, ttl_s, clock
        self._kept: dict[str, _Kept] = {}

    def named(self, name: str) -> "NamedSecret":
        """One secret, for who needs only this one."""
        return NamedSecret(self, name)

    async def value(self, name: str, *, other_than: Secret | None = None) -> Secret:
        """The secret's value. Raises SecretUnavailable while none is known.

        `other_than` is a value that was just refused: if it is still the one known, the store is
        asked at once. The answer may be the same value, when the store has no other.
        """
        kept = self._kept.setdefault(name, _Kept())
        if not self._is_due(kept, other_than):
            return _known(name, kept)
        if kept.turn.locked() and kept.secret is not None and kept.secret != other_than:
            return kept.secret
        async with kept.turn:
            if self._is_due(kept, other_than):
                pressed = other_than is not None and kept.secret == other_than
                await self._ask(name, kept, pressed=pressed)
            return _known(name, kept)

    async def close(self) -> None:
        """Let go of the store; what is known is kept."""
        await self._store.close()

    def _is_due(self, kept: _Kept, other_than: Secret | None) -> bool:
        now = self._clock()
        if other_than is not None and kept.secret == other_than:
            return now >= kept.pressed_at + REFUSED_PAUSE_S
        return now >= kept.due_at

    async def _ask(self, name: str, kept: _Kept, *, pressed: bool) -> None:
        asked_at = self._clock()
        try:
            async with asyncio.timeout(ASK_TIMEOUT_S):
                value = await self._store.fetch(name)
        except SecretMissing as fault:
            _log.error("secret %s is not used any more: %s", name, fault)
            kept.secret, kept.due_at = None, asked_at + AWAY_PAUSE_S
        except (StoreAway, TimeoutError) as fault:
            known = "none is known" if kept.secret is None else "the last one is kept"
            reason = str(fault) or "no answer in time"
            _log.warning("secret %s cannot be read, %s: %s", name, known, reason)
            kept.due_at = asked_at + AWAY_PAUSE_S
        else:
            secret = Secret(value)
            if kept.secret is not None and kept.secret != secret:
                _log.info("secret %s has a new value", name)
                pressed = False
            kept.secret, kept.due_at = secret, asked_at + self._ttl_s
        if pressed:
            kept.pressed_at = asked_at


class NamedSecret:
    """One secret by its name, always current."""

    __slots__ = ("_name", "_secrets")

    def __init__(self, secrets: Secrets, name: str) -> None:
        self._secrets, self._name = secrets, name

    async def value(self, *, other_than: Secret | None = None) -> Secret:
        """As `Secrets.value`."""
        return await self._secrets.value(self._name, other_than=other_than)


def _known(name: str, kept: _Kept) -> Secret:
    if kept.secret is None:
        raise SecretUnavailable(f"no value of the secret {name} is at hand")
    return kept.secret
