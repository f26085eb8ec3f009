"""The link over which a client receives from a queue, subscription or dead-letter queue."""

from typing import TYPE_CHECKING, Final
from uuid import UUID, uuid4

from localcloud.servicebus import encoding as enc
from localcloud.servicebus import performatives as amqp
from localcloud.servicebus.entities import Message, now_ms
from localcloud.servicebus.errors import NOT_IMPLEMENTED, AmqpError
from localcloud.servicebus.links import OutgoingLink
from localcloud.servicebus.outcomes import Outcome
from localcloud.servicebus.performatives import Attach, Disposition, SessionRequest
from localcloud.servicebus.queues import Queue
from localcloud.servicebus.session_queues import SessionQueue
from localcloud.servicebus.store import Done

if TYPE_CHECKING:
    from localcloud.servicebus.session import Session

LOCKED_UNTIL: Final = "com.microsoft:locked-until-utc"
EPOCH_TICKS: Final = 621_355_968_000_000_000
"""1970-01-01 in .NET ticks of 100 ns since the year 1."""
TICKS_PER_MS: Final = 10_000
DEFAULT_PATIENCE_MS: Final = 60_000
"""How long a link waits for the next free session when it does not say."""


class ConsumeLink(OutgoingLink):
    """Messages from one queue, and what the peer decides about them."""

    def __init__(self, session: "Session", attach: Attach, queue: Queue) -> None:
        super().__init__(session, attach)
        self._queue = queue
        self._reserved = 0
        self.settles_on_delivery = attach.sender_settle_mode == amqp.SETTLED

    def accept(self) -> None:
        super().accept()
        self._queue.add_consumer(self)

    def close(self) -> None:
        super().close()
        self._queue.remove_consumer(self)
        self._queue.used_at_ms = now_ms()
        self.session.forget(self)

    def credited(self) -> None:
        if self._drain and self._credit == 0 and not self._reserved:
            self.answer_drain()
        self._queue.wake()

    def can_take(self) -> bool:
        return self._credit > 0 and self.session.can_send()

    def reserve(self) -> None:
        self._reserved += 1
        self.spend()

    def refund(self) -> None:
        self._reserved -= 1
        self.take_back()

    def caught_up(self) -> None:
        if not self._reserved:
            self.answer_drain()

    def deliver(self, message: Message) -> None:
        self._reserved -= 1
        if self.closed:
            return
        if message.token is None:
            self.session.send_transfer(
                self.attach.handle, uuid4().bytes, message.encoded(), settled=True
            )
            return
        delivery_id = self.session.send_transfer(
            self.attach.handle, message.token.bytes_le, message.encoded(), settled=False
        )
        self.session.remember(delivery_id, self, message.token)

    def settle(self, delivery_id: int, token: UUID, disposition: Disposition) -> None:
        """Apply the peer's decision; confirm it by repeating the outcome, once it is on disk."""
        outcome = Outcome.of(disposition.state)
        echo = _ECHOES.get(outcome.code, amqp.ACCEPTED_OUTCOME)

        def settled(failure: AmqpError | None) -> None:
            if not disposition.settled and not self.closed:
                state = echo if failure is None else amqp.rejected(failure)
                self.session.send_disposition(delivery_id, state, sent=True)

        try:
            self._apply(token, outcome, settled)
        except AmqpError as error:
            settled(error)

    def _apply(self, token: UUID, outcome: Outcome, settled: Done) -> None:
        if outcome.code == amqp.ACCEPTED:
            self._queue.complete(token, settled)
        elif outcome.code == amqp.RELEASED:
            self._queue.release(token, settled)
        elif outcome.code == amqp.REJECTED:
            self._queue.dead_letter(token, outcome.properties, settled)
        elif outcome.code == amqp.MODIFIED and outcome.undeliverable_here:
            self._queue.defer(token, outcome.properties, settled)
        elif outcome.code == amqp.MODIFIED:
            self._queue.abandon(token, outcome.properties, settled)
        else:
            raise AmqpError(NOT_IMPLEMENTED, "This delivery state is not supported.")


class SessionLink(ConsumeLink):
    """A link to one session of a queue. It is confirmed when it has got a session, or refused."""

    def __init__(
        self, session: "Session", attach: Attach, queue: SessionQueue, request: SessionRequest
    ) -> None:
        super().__init__(session, attach, queue)
        self._sessions = queue
        self._attached = False
        self.name = attach.name
        self.wanted_session = request.name
        self.patience_ms = DEFAULT_PATIENCE_MS if request.timeout_ms is None else request.timeout_ms

    def accept(self) -> None:
        self._sessions.request_session(self)

    def granted(self, session: str, locked_until_ms: int) -> None:
        self._attached = True
        ticks = enc.long(locked_until_ms * TICKS_PER_MS + EPOCH_TICKS)
        self.confirm_attach(
            amqp.source_of_session(self.attach.source.raw, session),
            enc.map_of((enc.symbol(LOCKED_UNTIL), ticks)),
        )

    def refused(self, error: AmqpError) -> None:
        self.refuse_attach(error)

    def lost(self, error: AmqpError) -> None:
        self.detach(error)

    def leave(self) -> None:
        if self._attached:
            super().leave()
        else:
            self.refuse_attach(None)


_ECHOES: Final = {
    amqp.ACCEPTED: amqp.ACCEPTED_OUTCOME,
    amqp.REJECTED: amqp.REJECTED_OUTCOME,
    amqp.RELEASED: amqp.RELEASED_OUTCOME,
    amqp.MODIFIED: amqp.MODIFIED_OUTCOME,
}
