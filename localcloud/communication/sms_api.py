"""The REST API of SMS: one result for each recipient.

Source: azure-rest-api-specs, specification/communication/data-plane/Sms/stable/2021-03-07
"""

import hashlib
import json
import uuid
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from localcloud.communication.access import Access
from localcloud.communication.drafts import Draft, Recipient
from localcloud.communication.mailbox import Mailbox
from localcloud.communication.models import Sms, SmsRecipient, is_phone_number
from localcloud.communication.receiver import Receiver
from localcloud.communication.web import BODY_LIMIT, check_json, check_version, parsed
from localcloud.partners.control import Control
from localcloud.partners.store import JsonObject, KeyReused
from localcloud.partners.web import Refused, body_of

VERSION: Final = "2021-03-07"


class SmsApi:
    """Each request: who asks, what for, whatever a test ordered, the effect, the answer."""

    def __init__(
        self,
        access: Access,
        mailbox: Mailbox,
        receiver: Receiver,
        control: Control,
        senders: frozenset[str],
    ) -> None:
        """`senders` are the phone numbers that the resource owns."""
        self._access, self._mailbox, self._receiver = access, mailbox, receiver
        self._control, self._senders = control, senders

    async def send(self, request: Request) -> Response:
        """Text every recipient; what is wrong with one does not keep the others from theirs."""
        body = await body_of(request, BODY_LIMIT)
        await self._access.check(request, body)
        check_version(request, VERSION)
        check_json(request)
        sms = parsed(Sms, body)
        self._check_sender(sms.sender)
        facts = {"to": sms.smsRecipients[0].to, "from": sms.sender}
        results = await self._control.perform(request, "send_sms", facts, lambda: self._take(sms))
        self._receiver.wake()
        return JSONResponse({"value": results}, 202)

    def _check_sender(self, sender: str) -> None:
        if not is_phone_number(sender):
            raise Refused(400, "BadRequest", "from: Invalid From phone number format.")
        if sender not in self._senders:
            raise Refused(401, "Unauthorized", "The number of the sender is not yours.")

    def _take(self, sms: Sms) -> list[JsonObject]:
        return [self._take_one(sms, recipient) for recipient in sms.smsRecipients]

    def _take_one(self, sms: Sms, recipient: SmsRecipient) -> JsonObject:
        if not is_phone_number(recipient.to):
            return _failed(recipient.to, "Invalid To phone number format.")
        if recipient.repeatabilityRequestId is None:
            return _sent(recipient.to, self._mailbox.take_sms(_draft(sms, recipient), None))
        if why := _unrepeatable(recipient.repeatabilityRequestId, recipient.repeatabilityFirstSent):
            return _rejected(recipient.to, why)
        # One id may stand at several recipients of a request, as in Azure's own example.
        key = f"sms:{recipient.repeatabilityRequestId}:{recipient.to}".lower()
        try:
            message_id = self._mailbox.take_sms(_draft(sms, recipient), key)
        except KeyReused:
            return _rejected(
                recipient.to, "The repeatability-request-id was used for another request."
            )
        return {**_sent(recipient.to, message_id), "repeatabilityResult": "accepted"}


def _fingerprint(sms: Sms, recipient: SmsRecipient) -> str:
    options = sms.smsSendOptions.model_dump() if sms.smsSendOptions else None
    facts = [sms.sender, sms.message, options, recipient.repeatabilityFirstSent]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


def _unrepeatable(request_id: str, first_sent: str | None) -> str:
    """What is wrong with the repeatability of a request, or nothing."""
    try:
        uuid.UUID(request_id)
    except ValueError:
        return "Request sent with invalid value for repeatability-request-id. Expected is a UUID."
    try:
        parsedate_to_datetime(first_sent or "")
    except ValueError:
        return (
            "Request sent with Invalid DateTime value for repeatability-first-sent."
            " Expected is DateTime ,RFC1123 pattern."
        )
    return ""


def _draft(sms: Sms, recipient: SmsRecipient) -> Draft:
    stamp = datetime.now(UTC).strftime("%Y%m%d%H%M%S")
    options = sms.smsSendOptions
    return Draft(
        id=f"Outgoing_{stamp}{uuid.uuid4()}",
        channel="sms",
        sender=sms.sender,
        recipients=[Recipient("to", recipient.to)],
        fingerprint=_fingerprint(sms, recipient),
        text=sms.message,
        tag=options.tag if options else None,
        reported=options is not None and options.enableDeliveryReport,
    )


def _sent(to: str, message_id: str) -> JsonObject:
    return {"to": to, "messageId": message_id, "httpStatusCode": 202, "successful": True}


def _failed(to: str, why: str) -> JsonObject:
    return {"to": to, "httpStatusCode": 400, "errorMessage": why, "successful": False}


def _rejected(to: str, why: str) -> JsonObject:
    return {**_failed(to, why), "repeatabilityResult": "rejected"}
