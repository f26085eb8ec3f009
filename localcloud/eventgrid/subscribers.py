"""Subscriptions at work: each with its state, its handshake and its courier."""

import asyncio
import contextlib
import logging
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from localcloud.eventgrid.courier import Courier
from localcloud.eventgrid.endpoints import Endpoints
from localcloud.eventgrid.events import Event
from localcloud.eventgrid.handshake import HandshakeFailed, shake_hands
from localcloud.eventgrid.pace import HANDSHAKE_BY_HAND_S, HANDSHAKE_RETRY_S, Pace
from localcloud.eventgrid.records import BY_HAND, CREATING, FAILED, SUCCEEDED, Records
from localcloud.eventgrid.specs import SubscriptionSpec, TopicSpec
from localcloud.eventgrid.store import Store

LONGEST_HANDSHAKE_WAIT_S: Final = 300
DRAIN_S: Final = 5.0

log = logging.getLogger(__name__)


@dataclass
class Surroundings:
    """What every subscriber needs. `base` is this part's own address."""

    store: Store
    records: Records
    endpoints: Endpoints
    pace: Pace
    base: Callable[[], str]


@dataclass
class Subscriber:
    """One subscription. `code` proves a handshake that a person completes."""

    key: int
    spec: SubscriptionSpec
    topic: TopicSpec
    around: Surroundings
    declared: bool
    state: str
    code: str = field(default_factory=lambda: secrets.token_urlsafe(24))

    def __post_init__(self) -> None:
        self.wants: Callable[[Event], bool] = self.spec.filter.compiled(self.topic.schema)
        self._jobs: list[asyncio.Task[None]] = []
        self._agreed = asyncio.Event()
        around = self.around
        self._courier = Courier(
            self.key,
            self.spec,
            self.topic.schema,
            sender=around.endpoints.sender(self.spec),
            store=around.store,
            pace=around.pace,
        )

    @property
    def takes_events(self) -> bool:
        """One that is declared gets what is published while its webhook is not yet up."""
        expires = self.spec.expires_at
        if expires is not None and expires <= time.time():
            return False
        return self.state == SUCCEEDED or (self.state == CREATING and self.declared)

    @property
    def callback(self) -> str:
        """Whose GET completes the handshake."""
        path = f"{self.spec.topic}/eventsubscriptions/{self.spec.name}/validate"
        return f"{self.around.base()}/{path}?id={self.code}"

    def start(self) -> None:
        """Begin to deliver, after the handshake if that is still to come."""
        if self.state in {CREATING, BY_HAND}:
            self._jobs.append(asyncio.create_task(self._come_to_terms()))
        if self.state == SUCCEEDED:
            self._jobs.append(asyncio.create_task(self._courier.run()))

    def wake(self) -> None:
        self._courier.wake()

    async def ask(self) -> None:
        """One handshake; the state says how it went. Raises HandshakeFailed."""
        at_once = await shake_hands(
            self.around.endpoints.http, self.topic, self.spec, self.code, self.callback
        )
        if not self._agreed.is_set():
            self._become(SUCCEEDED if at_once else BY_HAND)

    def agree(self, code: str) -> bool:
        """Complete the handshake by hand; whether the code was right and in time."""
        if self.state not in {BY_HAND, CREATING} or not secrets.compare_digest(
            code.encode(), self.code.encode()
        ):
            return False
        self._agreed.set()
        self._become(SUCCEEDED)
        if self._jobs:
            self._jobs.append(asyncio.create_task(self._courier.run()))
        return True

    async def stop(self, within_s: float = DRAIN_S) -> None:
        """Begin nothing new, and let sends in flight come to their end."""
        for job in self._jobs:
            job.cancel()
        for job in self._jobs:
            with contextlib.suppress(asyncio.CancelledError):
                await job
        await self._courier.drain(within_s)

    async def _come_to_terms(self) -> None:
        """Ask until the webhook answers; then wait for a person, if it wants that."""
        wait_s = float(HANDSHAKE_RETRY_S)
        while self.state == CREATING:
            try:
                await self.ask()
            except HandshakeFailed as refusal:
                self._become(CREATING, str(refusal))
                await asyncio.sleep(self.around.pace.scaled(wait_s))
                wait_s = min(wait_s * 2, LONGEST_HANDSHAKE_WAIT_S)
        if self.state == BY_HAND:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self.around.pace.scaled(HANDSHAKE_BY_HAND_S)):
                    await self._agreed.wait()
            if not self._agreed.is_set():
                self._become(FAILED, "nobody opened the validation URL in time")
        elif self.state == SUCCEEDED and not self._agreed.is_set():
            self._jobs.append(asyncio.create_task(self._courier.run()))

    def _become(self, state: str, error: str | None = None) -> None:
        if error is not None:
            log.warning("subscription %s/%s: %s", self.spec.topic, self.spec.name, error)
        self.state = state
        self.around.records.set_state(self.key, state, error, time.time())
