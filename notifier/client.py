"""One connected client, whatever carries its bytes: groups, queue, and the way it ends."""

import random
import time
from collections.abc import Callable, Iterable
from typing import Literal

from notifier import hub_protocol
from notifier.entries import Dialect, Entry, place
from notifier.metrics import Metrics
from notifier.outbox import Outbox
from notifier.people import Person
from notifier.settings import Settings

type Transport = Literal["websockets", "sse", "longpolling", "stream"]
type Reason = Literal[
    "gone",
    "expired",
    "slow",
    "timeout",
    "handshake",
    "protocol",
    "flood",
    "crowd",
    "drain",
    "signed_out",
]
"""`gone`: the client went. All others are ours."""

RETRY_MS = (500, 3000)
"""Between these a client is told to wait before it comes back, so that not all come at once."""
BACK = frozenset({"expired", "slow", "timeout", "drain"})
"""Reasons after which it is worth coming back."""
ERRORS: dict[str, str] = {
    "expired": "the access token has expired",
    "slow": "messages came faster than they were read",
    "timeout": "nothing was heard for too long",
    "handshake": "the handshake took too long",
    "flood": "too many messages",
    "crowd": "too many connections of this person",
    "drain": "this server is going down",
    "signed_out": "this session was ended",
}


class Client:
    """A member of groups who is sent what they are told.

    `groups` holds for each group where the feed stood when the client joined it: everything after
    that comes by itself, everything before is history. `abort` drops the line at once.
    """

    def __init__(
        self,
        person: Person,
        transport: Transport,
        dialect: Dialect,
        *,
        settings: Settings,
        metrics: Metrics,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.person, self.transport = person, transport
        self.outbox = Outbox(
            messages=settings.notifier_queue_messages, size=settings.notifier_queue_bytes
        )
        self.groups: dict[str, str | None] = {}
        self.abort: Callable[[], None] = lambda: None
        self.shaken = transport == "stream"
        """Whether its handshake is over; a plain stream has none."""
        self.reason: Reason | None = None
        """Why it ends; None while it does not."""
        self.writing_since: float | None = None
        """When the write that is under way began: set by who writes."""
        self._dialect, self._settings = dialect, settings
        self._metrics, self._clock = metrics, clock
        self._sent = metrics.sent.labels(transport)
        self._opened_at = self._heard_at = self._sent_at = clock()
        self._ending_at = 0.0
        # The answer to the handshake comes before everything else.
        self._held: list[Entry] | None = None if self.shaken else []

    def may_see(self, entry: Entry) -> bool:
        """Whether a message to one of its groups is for this person."""
        message, caller = entry.message, self.person.caller
        if caller.is_employee:
            return True
        if message.owner is not None:
            return message.owner == caller.id
        # Whoever watches an order that is not known to be his gets nothing of it.
        return any(group in self.groups for group in message.groups if group[:6] != "order:")

    def deliver(self, entry: Entry) -> None:
        """Send a message, or keep it back while history is being read."""
        if self._held is None:
            self._put(self._dialect.entry(entry))
        elif len(self._held) < self._settings.notifier_queue_messages:
            self._held.append(entry)
        else:
            self.close("slow")

    def hold(self) -> None:
        """Keep messages back from now on, until `release`."""
        self._held = []

    def release(self, history: Iterable[Entry] = ()) -> None:
        """Send `history`, then what was kept back meanwhile."""
        held, self._held = self._held or [], None
        known = set()
        for entry in history:
            known.add(entry.id)
            self._put(self._dialect.entry(entry))
        for entry in sorted(held, key=lambda entry: place(entry.id)):
            if entry.id not in known:
                self._put(self._dialect.entry(entry))

    def send(self, text: str) -> None:
        """Send `text`, which is in the client's own dialect."""
        self._put(text)

    def resync(self, reason: str, position: str | None, *, spread_s: float) -> None:
        """Tell it that something may be missing; it fetches that within `spread_s`."""
        self._metrics.resyncs.labels(reason).inc()
        self._put(self._resync(reason, position, spread_s))

    def shake(self) -> None:
        """The handshake is accepted: say so, then what came meanwhile."""
        self._put(hub_protocol.HANDSHAKE_ACCEPTED)
        self.shaken = True
        self.release()

    def heard(self) -> None:
        """Something came from the client, or it came for something."""
        self._heard_at = self._clock()

    def close(self, reason: Reason, error: str | None = None) -> None:
        """Say farewell, after what waits; then the line is cut. The first reason counts."""
        if self.reason is not None:
            return
        self.reason = reason
        self._ending_at = self._clock() + self._settings.notifier_close_s
        self._held = None
        error = error or ERRORS.get(reason)
        if not self.shaken:
            self.outbox.finish(hub_protocol.handshake_refused(error or "no handshake"))
            return
        last = []
        if reason == "slow":
            self._metrics.dropped.inc(self.outbox.clear())
            self._metrics.resyncs.labels("slow").inc()
            last.append(self._resync("slow", None, 0))
        farewell = self._dialect.farewell(
            reason,
            error,
            back=reason in BACK,
            retry_ms=random.randint(*RETRY_MS),  # noqa: S311 - spreads load, guards nothing
        )
        self.outbox.finish(*last, farewell)

    def tick(self, position: str | None) -> None:
        """What time brings, twice a second: heartbeat, expiry, time-outs."""
        now, settings = self._clock(), self._settings
        patience = settings.notifier_client_timeout_s
        if self.reason is not None:
            if now >= self._ending_at:
                self.abort()
        elif time.time() >= self.person.expires_at:
            self.close("expired")
        elif not self.shaken and now - self._opened_at >= settings.notifier_handshake_s:
            self.close("handshake")
        elif self.writing_since is not None and now - self.writing_since >= patience:
            self.close("slow")
        elif self.transport != "stream" and now - self._heard_at >= patience:
            self.close("timeout")
        elif (
            # A client that polls hears often enough, and a queue of pings helps nobody.
            self.transport != "longpolling"
            and self.shaken
            and now - self._sent_at >= settings.notifier_heartbeat_s
        ):
            self._put(self._dialect.heartbeat(position))

    def _put(self, text: str) -> None:
        if self.reason is not None:
            return
        if self.outbox.put(text):
            self._sent_at = self._clock()
            self._sent.inc()
        else:
            self._metrics.dropped.inc()
            self.close("slow")

    def _resync(self, reason: str, position: str | None, spread_s: float) -> str:
        within_ms = int(spread_s * 1000)
        return self._dialect.resync(
            {"reason": reason, "entry": position, "within_ms": within_ms}, position
        )
