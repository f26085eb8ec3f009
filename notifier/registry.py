"""The clients of this replica, by group; the one place where a message meets its receivers."""

import asyncio
import contextlib
import time
from collections import Counter, defaultdict, deque
from collections.abc import Collection, Iterator

from notifier.client import Client
from notifier.entries import Entry
from notifier.metrics import Metrics
from notifier.settings import Settings
from notifier.sign_outs import Ending
from shared import telemetry

TICK_S = 0.5
DRAIN_STEP_S = 0.05
ENDINGS_KEPT = 256
"""Sign-outs that are remembered for who is just coming in; all others Redis knows."""

_log = telemetry.logger(__name__)


class Registry:
    """Who is here. `position` is where the feed stood when last read; None before."""

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        self._settings, self._metrics = settings, metrics
        self._clients: set[Client] = set()
        self._groups: defaultdict[str, set[Client]] = defaultdict(set)
        self._per_person: Counter[object] = Counter()
        self._endings: deque[Ending] = deque(maxlen=ENDINGS_KEPT)
        self.position: str | None = None
        self.draining = False
        metrics.watch_queues(lambda: sum(client.outbox.bytes for client in self._clients))

    @property
    def clients(self) -> Collection[Client]:
        """Everyone connected."""
        return self._clients

    @property
    def full(self) -> bool:
        """Whether this replica takes no more clients."""
        return len(self._clients) >= self._settings.notifier_connections_max

    def crowded(self, client: Client) -> bool:
        """Whether its person has more connections here than one may have."""
        mine = self._per_person[client.person.caller.id]
        return mine > self._settings.notifier_connections_per_person

    @contextlib.contextmanager
    def present(self, client: Client) -> Iterator[None]:
        """The client is here, in the groups of its person, while the block runs."""
        self.add(client)
        try:
            yield
        finally:
            self.remove(client)

    def add(self, client: Client) -> None:
        """The client is here from now on."""
        self._clients.add(client)
        self._per_person[client.person.caller.id] += 1
        self._metrics.connections.labels(client.transport).inc()
        for group in client.person.groups:
            self.join(client, group)
        if any(ending.covers(client.person.caller) for ending in self._endings):
            client.close("signed_out")

    def remove(self, client: Client) -> None:
        """The client is gone; a second time does nothing."""
        if client not in self._clients:
            return
        self._clients.discard(client)
        for group in list(client.groups):
            self.leave(client, group)
        person = client.person.caller.id
        self._per_person[person] -= 1
        if not self._per_person[person]:
            del self._per_person[person]
        reason = client.reason or "gone"
        self._metrics.connections.labels(client.transport).dec()
        self._metrics.closed.labels(client.transport, reason).inc()
        _log.debug("connection ended: %s, %s", client.transport, reason)

    def join(self, client: Client, group: str) -> None:
        """Let a client that is here have the messages of `group` from now on."""
        if group not in client.groups and client in self._clients:
            client.groups[group] = self.position
            self._groups[group].add(client)

    def leave(self, client: Client, group: str) -> None:
        """No more messages of `group`."""
        client.groups.pop(group, None)
        members = self._groups[group]
        members.discard(client)
        if not members:
            del self._groups[group]

    def fan_out(self, entry: Entry) -> None:
        """Give the entry to every member of its groups who may see it, once each.

        That sessions have ended is for us: their connections end. ValueError if it names none.
        """
        self.position = entry.id
        if entry.message.event == "sessions_ended":
            self._end(Ending.told(entry.message.groups, entry.message.data))
            return
        receivers: set[Client] = set()
        for group in entry.message.groups:
            receivers |= self._groups.get(group, frozenset())
        for client in receivers:
            if client.may_see(entry):
                client.deliver(entry)

    def _end(self, ending: Ending) -> None:
        """Send away whose sessions are over, also who was looked at before and comes in now."""
        self._endings.append(ending)
        for client in list(self._groups.get(f"user:{ending.person_id}", ())):
            if ending.covers(client.person.caller):
                client.close("signed_out")

    def resync(self, reason: str) -> None:
        """Tell everyone that something may be missing."""
        _log.warning("clients are told to fetch what is missing: %s", reason)
        spread_s = self._settings.notifier_resync_spread_s
        for client in list(self._clients):
            if client.shaken:
                client.resync(reason, self.position, spread_s=spread_s)

    async def tick_for_ever(self) -> None:
        """Let time pass for every client."""
        while True:
            await asyncio.sleep(TICK_S)
            for client in list(self._clients):
                try:
                    client.tick(self.position)
                except Exception as fault:  # noqa: BLE001 - time goes on for the others
                    _log.error("a client's time stands still: %s", telemetry.describe(fault))

    async def drain(self) -> None:
        """Send everyone elsewhere, evenly over the time set; returns when they are gone."""
        self.draining = True
        leaving = list(self._clients)
        _log.info("draining: %d connections", len(leaving))
        began = time.monotonic()
        for number, client in enumerate(leaving):
            due_at = began + self._settings.notifier_drain_s * number / len(leaving)
            if (early_s := due_at - time.monotonic()) > 0:
                await asyncio.sleep(early_s)
            client.close("drain")
        patience = self._settings.notifier_close_s
        while self._clients and patience > 0:
            # Whoever came in by a request that was already under way.
            for client in list(self._clients):
                client.close("drain")
            await asyncio.sleep(DRAIN_STEP_S)
            patience -= DRAIN_STEP_S
        for client in list(self._clients):
            client.abort()
