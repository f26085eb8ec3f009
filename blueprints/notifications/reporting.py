"""What the providers report of messages that they took, and which addresses are dead by it.

Reports come from Event Grid through the queue `delivery-reports`, one per message, in Event Grid's
schema or as CloudEvents; late, twice, in any order, and of messages that are not ours. They hold an
address, so nothing of their text gets into a log or a reason.
"""

import json
import re
from collections.abc import Mapping
from functools import partial
from typing import Annotated, Any
from uuid import UUID

import azure.functions as func
from pydantic import (
    AliasChoices,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    StringConstraints,
    ValidationError,
)

from blueprints.notifications import deliveries_repository, suppressions_repository
from blueprints.notifications.addresses import AddressDigests
from blueprints.notifications.delivery_models import Fate, Report, Sent
from blueprints.notifications.sending import Dispatcher, tell_of
from shared import telemetry
from shared.db import Transaction
from shared.inbox import Inbox, Rejected, malformed

CONSUMER = "delivery-reports"
EMAIL = "Microsoft.Communication.EmailDeliveryReportReceived"
SMS = "Microsoft.Communication.SMSDeliveryReportReceived"

# Event Grid, "Azure Communication Services - Email events". `Expanded` is said of a distribution
# list before its members get the mail; what is not listed here is not final either.
EMAIL_FATES: Mapping[str, Fate] = {
    "delivered": "delivered",
    "bounced": "bounced",
    "suppressed": "bounced",
    "quarantined": "failed",
    "filteredspam": "failed",
    "failed": "failed",
}
SMS_FATES: Mapping[str, Fate] = {"delivered": "delivered", "failed": "failed"}

_STATUS_CODE = re.compile(r"(?<![\d.])[245]\.\d{1,3}\.\d{1,3}(?![\d.])")
"""RFC 3463: the enhanced status code of a mail server's answer."""
_DEAD_MAILBOX = frozenset({"5.1.1", "5.1.2", "5.1.3", "5.1.6", "5.1.10", "5.2.1"})
"""No such mailbox or domain, or one that was closed (RFC 3463 §3.2, §3.3; RFC 7505 §4.2)."""
_DEAD_NUMBER = re.compile(r"opted out|does(?: not|n.?t) exist|\b400[47]\b", re.IGNORECASE)

_log = telemetry.logger(__name__)


def _only(value: object) -> object:
    """Event Grid's webhooks get lists; of a queue a list of one is understood, too."""
    return value[0] if isinstance(value, list) and len(value) == 1 else value


Text = Annotated[str, StringConstraints(min_length=1, max_length=320, pattern=r"^[^\x00]*$")]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)


class ReportEvent(_Model):
    """An event as Event Grid delivers it, in either schema."""

    id: Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[\x21-\x7e]*$")]
    type: Annotated[
        str,
        StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9_.]{0,127}$"),
        Field(validation_alias=AliasChoices("type", "eventType")),
    ]
    data: dict[str, JsonValue]
    correlation_id: None = None
    traceparent: str | None = None


class _Details(_Model):
    message: Annotated[str, Field(validation_alias="statusMessage")] = ""


class _EmailReport(_Model):
    message_id: Annotated[Text, Field(validation_alias="messageId")]
    recipient: Text
    status: Text
    details: Annotated[
        _Details | None,
        # Some reports have a text in its place.
        BeforeValidator(
            lambda given: {"statusMessage": given} if isinstance(given, str) else given
        ),
        Field(validation_alias=AliasChoices("deliveryStatusDetails", "DeliveryStatusDetails")),
    ] = None


class _SmsReport(_Model):
    """Its members are spelt both ways in Azure's documentation and by its services."""

    message_id: Annotated[Text, Field(validation_alias=AliasChoices("messageId", "MessageId"))]
    to: Annotated[Text, Field(validation_alias=AliasChoices("to", "To"))]
    status: Annotated[
        Text, Field(validation_alias=AliasChoices("deliveryStatus", "DeliveryStatus"))
    ]
    details: Annotated[
        str | None,
        Field(validation_alias=AliasChoices("deliveryStatusDetails", "DeliveryStatusDetails")),
    ] = None
    tag: Annotated[str | None, Field(validation_alias=AliasChoices("tag", "Tag"))] = None


class Reporting:
    """Books every report once, and never sends anything."""

    def __init__(self, inbox: Inbox, digests: AddressDigests, dispatcher: Dispatcher) -> None:
        self._inbox, self._digests, self._dispatcher = inbox, digests, dispatcher

    async def receive(self, message: func.ServiceBusMessage) -> None:
        """Book the report in `message`; one of an unknown message, or not final, is taken as read.

        Raises Rejected for what is no report, and the database's faults; both are recorded.
        """
        sent: list[Sent] = []
        await self._inbox.receive_foreign(
            message,
            consumer=CONSUMER,
            types={EMAIL: partial(self._book, sent), SMS: partial(self._book, sent)},
            parse=_parse,
        )
        if sent:
            await self._dispatcher.dispatch(*(one.notification_id for one in sent))

    async def _book(self, sent: list[Sent], event: ReportEvent, tx: Transaction) -> None:
        report = _email(event) if event.type == EMAIL else _sms(event)
        if report.fate is None:
            _log.info("a report of %s is not final: %s", report.channel, report.reason)
            return
        is_ours, by_it = await deliveries_repository.book(tx, report)
        if not is_ours:
            _log.info("a report of %s is of a message that nobody knows", report.channel)
            return
        if report.fate == "bounced":
            digest = self._digests.of(report.channel, report.recipient)
            await suppressions_repository.suppress(
                tx, report.channel, digest, report.reason or report.fate
            )
        await tell_of(tx, by_it)
        sent += by_it


def _parse(body: bytes) -> ReportEvent:
    try:
        return ReportEvent.model_validate(_only(json.loads(body)))
    except ValidationError as fault:
        raise malformed(fault) from None
    except (ValueError, RecursionError):
        raise Rejected("malformed: json_invalid") from None


def _read[M: BaseModel](model: type[M], data: Mapping[str, Any]) -> M:
    try:
        return model.model_validate(data)
    except ValidationError as fault:
        raise malformed(fault) from None


def _email(event: ReportEvent) -> Report:
    told = _read(_EmailReport, event.data)
    status = told.status.casefold()
    code = _STATUS_CODE.search(told.details.message if told.details else "")
    fate = EMAIL_FATES.get(status)
    if status == "failed" and code is not None and code.group() in _DEAD_MAILBOX:
        fate = "bounced"
    return Report(
        channel="email",
        reference=told.message_id,
        keys=_keys(told.message_id),
        recipient=told.recipient,
        fate=fate,
        reason=_reason(status, code.group() if code else "", fate),
    )


def _sms(event: ReportEvent) -> Report:
    told = _read(_SmsReport, event.data)
    status = told.status.casefold()
    fate = SMS_FATES.get(status)
    is_dead = fate == "failed" and _DEAD_NUMBER.search(told.details or "") is not None
    return Report(
        channel="sms",
        reference=told.message_id,
        keys=_keys(told.tag or ""),
        recipient=told.to,
        fate="bounced" if is_dead else fate,
        reason=_reason(status, "dead number" if is_dead else "", fate),
    )


def _keys(text: str) -> list[UUID]:
    try:
        return [UUID(text)]
    except ValueError:
        return []


def _reason(status: str, detail: str, fate: Fate | None) -> str | None:
    """The provider's word without its text; None where there is nothing to explain."""
    if fate == "delivered":
        return None
    word = status if re.fullmatch(r"[a-z_]{1,40}", status) else "unknown status"
    return f"{word} {detail}".strip()
