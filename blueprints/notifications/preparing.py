"""From a claimed delivery to a message that can be handed over, or to the reason why there is none.

Asked again each time, right before sending: the order may have moved on, the person may have been
erased or have a new address, the old one may have bounced, and it may be night by now.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from pydantic import JsonValue

from blueprints.notifications import hours, suppressions_repository
from blueprints.notifications.addresses import AddressDigests
from blueprints.notifications.delivery_models import Due, Verdict
from blueprints.notifications.models import (
    TYPES,
    Channel,
    Contact,
    InApp,
    Mail,
    Notification,
    WordingFault,
    is_mandatory,
    is_outdated,
)
from blueprints.notifications.verdicts import not_worded, put_off, skipped, to_dead_address
from shared import telemetry
from shared.db import Database, Pending, Transaction
from shared.live import LiveMessage

LONGEST_TEXT = 2000
"""What the feed carries of a text; the whole is in the list of notifications."""
EMPLOYEES_READ = "en"
"""The language of audiences and of people who are no customers."""

_log = telemetry.logger(__name__)


class Customers(Protocol):
    """How people are reached."""

    async def ask_contacts(
        self, tx: Transaction, customer_ids: Collection[UUID]
    ) -> Pending[Mapping[UUID, Contact]]:
        """By id; who is unknown or erased is absent."""
        ...


class Orders(Protocol):
    """How far orders are."""

    async def ask_statuses(
        self, tx: Transaction, order_ids: Collection[UUID]
    ) -> Pending[Mapping[UUID, str]]:
        """The status by id; an order that does not exist is absent."""
        ...


class Words(Protocol):
    """Puts notifications into words; every method raises WordingFault."""

    def email(self, notification: Notification, contact: Contact) -> Mail: ...
    def digest(self, notifications: Sequence[Notification], contact: Contact) -> Mail: ...
    def sms(self, notification: Notification, contact: Contact) -> str: ...
    def in_app(self, notification: Notification, language: str) -> InApp: ...


@dataclass(frozen=True, slots=True)
class Ready:
    """A message to be handed over: `mail` or `text`, for all of `deliveries`."""

    deliveries: tuple[Due, ...]
    address: str
    name: str
    mail: Mail | None = None
    text: str = ""

    @property
    def key(self) -> UUID:
        """The id of the message at the provider."""
        return self.deliveries[0].key


class Preparing:
    """Decides message by message; a batch costs three questions to the database."""

    def __init__(
        self,
        database: Database,
        customers: Customers,
        orders: Orders,
        words: Words,
        digests: AddressDigests,
        *,
        clock: Callable[[], datetime],
    ) -> None:
        self._database, self._customers, self._orders = database, customers, orders
        self._words, self._digests, self._clock = words, digests, clock

    async def shown(
        self, claimed: Sequence[Due]
    ) -> tuple[list[tuple[Due, LiveMessage]], list[Verdict]]:
        """What the app is to show at once, and what is to become of all the others."""
        people = _recipients(claimed)
        contacts: Mapping[UUID, Contact] = {}
        if people:
            async with self._database.reading() as tx:
                contacts = await (await self._customers.ask_contacts(tx, people))()
        ready: list[tuple[Due, LiveMessage]] = []
        verdicts: list[Verdict] = []
        for delivery in claimed:
            person = delivery.notification.recipient_id
            contact = contacts.get(person) if person is not None else None
            language = EMPLOYEES_READ if contact is None else contact.language
            try:
                ready.append((delivery, self._live(delivery.notification, language)))
            except WordingFault as fault:
                verdicts.append(_unworded(delivery, fault))
        return ready, verdicts

    async def prepare(
        self, channel: Channel, claimed: Sequence[Due]
    ) -> tuple[list[Ready], list[Verdict]]:
        """What is to be handed over, and what is to become of all the others."""
        people = _recipients(claimed)
        orders = {order for one in claimed if (order := one.notification.order_id) is not None}
        async with self._database.reading(pipelined=True) as tx:
            asked_contacts = await self._customers.ask_contacts(tx, people)
            asked_statuses = await self._orders.ask_statuses(tx, orders)
            contacts, statuses = await asked_contacts(), await asked_statuses()
        dead = await self._dead(channel, contacts)
        messages: dict[UUID, tuple[Contact, list[Due]]] = {}
        verdicts: list[Verdict] = []
        for delivery in claimed:
            person = delivery.notification.recipient_id
            contact = contacts.get(person) if person is not None else None
            try:
                verdict = self._not_to_be_sent(delivery, contact, statuses, dead)
            except Exception as fault:  # noqa: BLE001 - one message must not hold up the others
                _log.error("delivery_id=%s: %s", delivery.id, telemetry.describe(fault))
                verdict = put_off(delivery)
            if verdict is not None:
                verdicts.append(verdict)
            else:
                assert contact is not None, "decided before"
                messages.setdefault(delivery.key, (contact, []))[1].append(delivery)
        ready = []
        for contact, deliveries in messages.values():
            message = self._worded(channel, deliveries, contact, verdicts)
            if message is not None:
                ready.append(message)
        return ready, verdicts

    def _live(self, told: Notification, language: str) -> LiveMessage:
        data: dict[str, JsonValue] = {
            "id": str(told.id),
            "type": told.type,
            "order_id": None if told.order_id is None else str(told.order_id),
            "at": told.occurred_at.isoformat().replace("+00:00", "Z"),
        }
        if told.message is None:  # what somebody wrote freely may hold personal data
            words = self._words.in_app(told, language)
            data |= {"title": words.title[:LONGEST_TEXT], "text": words.text[:LONGEST_TEXT]}
        group = told.audience or f"user:{told.recipient_id}"
        return LiveMessage(groups=(group,), event="notification", id=str(told.id), data=data)

    async def _dead(self, channel: Channel, contacts: Mapping[UUID, Contact]) -> frozenset[UUID]:
        """Those of the people whose present address is suppressed."""
        digests = {
            person: self._digests.of(channel, address)
            for person, contact in contacts.items()
            if (address := _address(channel, contact)) is not None
        }
        if not digests:
            return frozenset()
        async with self._database.reading() as tx:
            suppressed = await suppressions_repository.suppressed_among(
                tx, channel, digests.values()
            )
        return frozenset(person for person, digest in digests.items() if digest in suppressed)

    def _not_to_be_sent(
        self,
        delivery: Due,
        contact: Contact | None,
        statuses: Mapping[UUID, str],
        dead: Collection[UUID],
    ) -> Verdict | None:
        told = delivery.notification
        if contact is None:
            return skipped(delivery, "no_contact")
        if _address(delivery.channel, contact) is None:
            return skipped(delivery, "no_phone")
        status = statuses.get(told.order_id) if told.order_id is not None else None
        if status is not None and not is_mandatory(told.type) and is_outdated(told.type, status):
            return skipped(delivery, "outdated")
        if told.recipient_id in dead:
            return to_dead_address(delivery)
        if (until := self._quiet_until(delivery)) is not None:
            return Verdict(delivery=delivery, status="pending", due_at=until)
        return None

    def _quiet_until(self, delivery: Due) -> datetime | None:
        """When the recipient may be disturbed again; None if that is now.

        Decided when it was announced, and again here: after an outage it may be the middle of the
        night. A digest comes at the hour that the person asked for, whatever that is.
        """
        urgent = delivery.channel == "email" and is_mandatory(delivery.notification.type)
        where = hours.zone(delivery.time_zone) if delivery.time_zone is not None else None
        if urgent or delivery.digest_id is not None or where is None:
            return None
        now = self._clock()
        until = hours.quiet_until(now, where, delivery.quiet)
        return until if until > now else None

    def _worded(
        self, channel: Channel, deliveries: list[Due], contact: Contact, verdicts: list[Verdict]
    ) -> Ready | None:
        """The message in words; deliveries that cannot be put into words get their verdict."""
        address = _address(channel, contact)
        assert address is not None, "decided before"
        if channel == "email" and deliveries[0].digest_id is not None:
            deliveries = [one for one in deliveries if self._is_worded(one, contact, verdicts)]
        try:
            if not deliveries:
                return None
            told = [one.notification for one in deliveries]
            if channel == "sms":
                text = self._words.sms(told[0], contact)
                return Ready(tuple(deliveries), address, contact.name, text=text)
            if deliveries[0].digest_id is not None:
                mail = self._words.digest(told, contact)
            else:
                mail = self._words.email(told[0], contact)
            return Ready(tuple(deliveries), address, contact.name, mail=mail)
        except WordingFault as fault:
            verdicts += [_unworded(one, fault) for one in deliveries]
            return None

    def _is_worded(self, delivery: Due, contact: Contact, verdicts: list[Verdict]) -> bool:
        """Whether this part of a digest has words: one without must not cost the others theirs."""
        try:
            self._words.email(delivery.notification, contact)
        except WordingFault as fault:
            verdicts.append(_unworded(delivery, fault))
            return False
        return True


def _recipients(claimed: Sequence[Due]) -> set[UUID]:
    return {person for one in claimed if (person := one.notification.recipient_id) is not None}


def _unworded(delivery: Due, fault: WordingFault) -> Verdict:
    """Given up, unless a later release of this program knows the words: it may be running, too."""
    told = delivery.notification
    rule = TYPES.get(told.type)
    if rule is None or told.template_version > rule.version:
        return put_off(delivery)
    return not_worded(delivery, fault)


def _address(channel: Channel, contact: Contact) -> str | None:
    return contact.phone if channel == "sms" else contact.email
