"""Hands over what is due: in the app at once, by email and SMS as fast as the providers take it.

A delivery is claimed, handed over and settled, each in a transaction of its own. Whoever is killed
in between leaves a claim that runs out, and the next one hands the same message over under the same
key: the provider knows it and sends nothing twice. Of two processes each gets what the other has
not claimed. Email, SMS and the app have a lane each: one that waits holds up none of the others.
"""

import asyncio
from collections import deque
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Literal, Protocol
from uuid import UUID

from blueprints.notifications import deliveries_repository
from blueprints.notifications.delivery_models import (
    Answer,
    Due,
    LeftAlone,
    ProviderFault,
    Sent,
    Throttled,
    Verdict,
)
from blueprints.notifications.lanes import PACE_S, Lane
from blueprints.notifications.models import Channel, Mail
from blueprints.notifications.preparing import Preparing, Ready
from blueprints.notifications.verdicts import answered, given_back, put_off
from shared import outbox, telemetry
from shared.db import Database, Transaction
from shared.live import LiveMessage

SHOWN_PER_BATCH = 200
SENT_PER_BATCH = 64
AT_ONCE = 16
"""Messages on their way to one provider at a time."""
LEASES_S: Mapping[Channel, float] = {"in_app": 10.0, "email": 60.0, "sms": 60.0}
"""How long a claim lasts: longer than a batch of which every message meets a slow provider."""
LONGEST_REST_S = 300.0
FEED_REST_S = 2.0
CLOSE_WAITS_S = 2.0

TOPIC = "notification-events"
SENT = "notification.sent.v1"

_log = telemetry.logger(__name__)


class EmailSender(Protocol):
    """Takes mail; raises ProviderFault."""

    async def send(self, mail: Mail, *, to: str, name: str, key: UUID) -> Answer: ...


class SmsSender(Protocol):
    """Takes text messages; raises ProviderFault."""

    async def send(self, text: str, *, to: str, key: UUID, first_tried_at: datetime) -> Answer: ...


class LiveFeed(Protocol):
    """Tells signed-in people at once."""

    async def publish(self, messages: Sequence[LiveMessage]) -> bool: ...


class Dispatcher(Protocol):
    """Sends events soon after they were committed."""

    async def dispatch(self, *aggregate_ids: UUID) -> None: ...


class Sending:
    """One per process."""

    def __init__(
        self,
        database: Database,
        preparing: Preparing,
        feed: LiveFeed,
        dispatcher: Dispatcher,
        *,
        email: EmailSender,
        sms: SmsSender,
        pace_s: float = PACE_S,
        leases_s: Mapping[Channel, float] = LEASES_S,
        at_once: int = AT_ONCE,
    ) -> None:
        self._database, self._preparing = database, preparing
        self._feed, self._dispatcher = feed, dispatcher
        self._email, self._sms = email, sms
        self._leases_s, self._at_once = leases_s, at_once
        self._lanes: dict[Channel, Lane] = {
            "in_app": Lane("in_app", self._show, size=SHOWN_PER_BATCH, pace_s=pace_s),
            "email": Lane(
                "email", partial(self._send, "email"), size=SENT_PER_BATCH, pace_s=pace_s
            ),
            "sms": Lane("sms", partial(self._send, "sms"), size=SENT_PER_BATCH, pace_s=pace_s),
        }

    def kick(self) -> None:
        """Have what is due handed over in the background. Never raises."""
        for lane in self._lanes.values():
            lane.kick()

    async def settled(self) -> None:
        """Return once this process has nothing to hand over."""
        for lane in self._lanes.values():
            await lane.settled()

    async def send_due(self, limit: int = 5_000) -> int:
        """Hand over what is left over, at most about `limit` a channel; how many were looked at.

        Raises the first fault of the database, when all channels have had their turn.
        """
        outcomes = await asyncio.gather(
            *(lane.drain(limit) for lane in self._lanes.values()), return_exceptions=True
        )
        for outcome in outcomes:
            if isinstance(outcome, BaseException):
                raise outcome
        return sum(outcome for outcome in outcomes if isinstance(outcome, int))

    async def close(self) -> None:
        """Finish the batches at work, within two seconds."""
        await asyncio.gather(*(lane.close(CLOSE_WAITS_S) for lane in self._lanes.values()))

    async def _claimed(self, channel: Channel, limit: int) -> list[Due]:
        async with self._database.statement() as tx:
            return await deliveries_repository.claim(
                tx, channel, limit=limit, lease_s=self._leases_s[channel]
            )

    async def _show(self, limit: int) -> int:
        """A batch for the app, in one go.

        What stands in the list of notifications has arrived: the feed only says so at once. While
        it is away deliveries wait, without a limit and without a word in their log.
        """
        due = await self._claimed("in_app", limit)
        if not due:
            return 0
        shown, verdicts = await self._preparing.shown(due)
        if await self._feed.publish([message for _, message in shown]):
            verdicts += [
                Verdict(delivery=one, status="delivered", outcome="delivered") for one, _ in shown
            ]
        else:
            self._lanes["in_app"].rest(FEED_REST_S, "the live feed is away")
            verdicts += [given_back(one) for one, _ in shown]
        await self._settle(verdicts)
        return len(due)

    async def _send(self, channel: Literal["email", "sms"], limit: int) -> int:
        """A batch for a provider, several at a time."""
        due = await self._claimed(channel, limit)
        if not due:
            return 0
        ready, verdicts = await self._preparing.prepare(channel, due)
        waiting = deque(ready)

        async def one_after_the_other() -> None:
            while waiting and not self._lanes[channel].resting:
                verdicts.extend(await self._handed_over(channel, waiting.popleft()))

        async with asyncio.TaskGroup() as group:
            for _ in range(min(self._at_once, len(ready))):
                group.create_task(one_after_the_other())
        verdicts += [given_back(one) for message in waiting for one in message.deliveries]
        await self._settle(verdicts)
        return len(due)

    async def _handed_over(self, channel: Literal["email", "sms"], message: Ready) -> list[Verdict]:
        """What became of the message, for each of its deliveries."""
        lane, deliveries = self._lanes[channel], message.deliveries
        try:
            answer = await self._answer(message)
        except LeftAlone as fault:
            lane.rest(_rest_s(fault), fault.detail)
            return [given_back(one) for one in deliveries]
        except ProviderFault as fault:
            if isinstance(fault, Throttled):
                lane.rest(_rest_s(fault), fault.detail)
            return [put_off(one, fault) for one in deliveries]
        except Exception as fault:  # noqa: BLE001 - one message must not hold up the others
            _log.error("%s key=%s: %s", channel, message.key, telemetry.describe(fault))
            return [put_off(one) for one in deliveries]
        return [answered(one, answer) for one in deliveries]

    async def _answer(self, message: Ready) -> Answer:
        if message.mail is None:
            since = message.deliveries[0].first_tried_at
            return await self._sms.send(
                message.text, to=message.address, key=message.key, first_tried_at=since
            )
        return await self._email.send(
            message.mail, to=message.address, name=message.name, key=message.key
        )

    async def _settle(self, verdicts: Sequence[Verdict]) -> None:
        if any(verdict.status == "accepted" for verdict in verdicts):
            async with self._database.pipelined() as tx:
                sent = await deliveries_repository.settle(tx, verdicts)
                await tell_of(tx, sent)
            await self._dispatcher.dispatch(*(one.notification_id for one in sent))
        else:
            async with self._database.statement() as tx:
                await deliveries_repository.settle(tx, verdicts)


async def tell_of(tx: Transaction, sent: Sequence[Sent]) -> None:
    """Append an event for each message that a provider has taken; ids only."""
    for one in sorted(sent, key=lambda one: one.notification_id):  # the order of the locks
        await outbox.append(
            tx,
            topic=TOPIC,
            type_=SENT,
            aggregate_id=one.notification_id,
            data={
                "notification_id": str(one.notification_id),
                "delivery_id": str(one.delivery_id),
                "channel": one.channel,
                "type": one.type,
                "recipient_id": None if one.recipient_id is None else str(one.recipient_id),
                "order_id": None if one.order_id is None else str(one.order_id),
            },
        )


def _rest_s(fault: ProviderFault) -> float:
    return max(1.0, min(float(fault.retry_after_s), LONGEST_REST_S))
