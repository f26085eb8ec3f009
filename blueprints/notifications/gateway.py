"""Azure Communication Services: email and SMS through the SDKs, one client per process and kind.

Both take a `key`: a repeat under it is the same message and is not sent twice. Whether a message
arrived is told by a delivery report, later; nobody polls for it.
"""

import json
import re
from contextvars import ContextVar
from datetime import UTC, datetime
from email.utils import format_datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from uuid import UUID

from blueprints.notifications.delivery_models import Accepted, Answer, ProviderFault, Refused
from blueprints.notifications.models import Mail
from blueprints.notifications.provider import (
    REFUSALS,
    Answered,
    CommunicationSettings,
    Provider,
)
from shared.resilience import Breaker

if TYPE_CHECKING:
    from azure.communication.email.aio import EmailClient
    from azure.communication.sms.aio import SmsClient

EMAIL_API_VERSION = "2025-09-01"
SUPPRESSED = "EmailDroppedAllRecipientsSuppressed"

_first_sent: ContextVar[str] = ContextVar("first_sent")
"""Of the SMS that the running task hands over; the SDK has no argument for it."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]+")


class EmailGateway(Provider):
    """Mail from `sender`."""

    def __init__(
        self, settings: CommunicationSettings, *, sender: str, timeout_s: float, breaker: Breaker
    ) -> None:
        super().__init__(settings, timeout_s=timeout_s, breaker=breaker)
        self._sender = sender

    async def send(self, mail: Mail, *, to: str, name: str, key: UUID) -> Answer:
        """Hand the mail over under Operation-Id `key`.

        A repeat whose body differs, because the person changed the address meanwhile, is refused
        as malformed; one that comes while the first is at work, as a conflict. Both are accepted
        here: the operation is there (github.com/microsoft/api-guidelines/issues/448).

        Raises ProviderFault, Throttled, LeftAlone.
        """
        message = {
            "senderAddress": self._sender,
            "recipients": {"to": [{"address": to, "displayName": _one_line(name)}]},
            "content": {"subject": mail.subject, "plainText": mail.text, "html": mail.html},
        }
        try:
            async with self.calling():
                await self._opened().begin_send(message, operation_id=str(key), polling=False)
        except Answered as refusal:
            if refusal.code == SUPPRESSED:
                return Refused("suppressed by the provider", suppressed=True)
            if await self._has_taken(key):
                return Accepted(str(key))
            return Refused(_reason(refusal.status, refusal.code))
        return Accepted(str(key))

    async def _has_taken(self, key: UUID) -> bool:
        from azure.core.rest import HttpRequest  # noqa: PLC0415

        request = HttpRequest(
            "GET", f"{{endpoint}}/emails/operations/{key}?api-version={EMAIL_API_VERSION}"
        )
        async with self.calling():
            answer = await self._opened().send_request(request)
            status: int = answer.status_code
        if status == HTTPStatus.OK:
            return True
        if status in {HTTPStatus.BAD_REQUEST, HTTPStatus.NOT_FOUND}:
            return False
        raise ProviderFault(f"status {status} for an operation", retry_after_s=0)

    def _opened(self) -> "EmailClient":
        if not self.is_open():
            from azure.communication.email.aio import EmailClient  # noqa: PLC0415

            endpoint, credential = self.access()
            self.client = EmailClient(endpoint, credential, **self.patience())
        client: EmailClient = self.client
        return client


class SmsGateway(Provider):
    """SMS from the number `sender`."""

    def __init__(
        self, settings: CommunicationSettings, *, sender: str, timeout_s: float, breaker: Breaker
    ) -> None:
        super().__init__(settings, timeout_s=timeout_s, breaker=breaker)
        self._sender = sender

    async def send(self, text: str, *, to: str, key: UUID, first_tried_at: datetime) -> Answer:
        """Hand the text over under repeatability id `key`, which also tags its report.

        A repeat must name the same `first_tried_at` (OASIS Repeatable Requests 1.0). One that comes
        so late that the provider no longer knows the first is refused with 412: it may have been
        sent, so it is not sent again.

        Raises ProviderFault, Throttled, LeftAlone.
        """
        _first_sent.set(format_datetime(first_tried_at.astimezone(UTC), usegmt=True))
        try:
            async with self.calling():
                results = await self._opened().send(
                    self._sender, to, text, enable_delivery_report=True, tag=str(key)
                )
                result = _Result(results)
        except Answered as refusal:
            return Refused(_reason(refusal.status, refusal.code))
        return Accepted(result.message_id or str(key))

    def _opened(self) -> "SmsClient":
        if not self.is_open():
            from azure.communication.sms.aio import SmsClient  # noqa: PLC0415

            endpoint, credential = self.access()
            self.client = SmsClient(
                endpoint, credential, per_call_policies=[_repeatable()], **self.patience()
            )
        client: SmsClient = self.client
        return client


class _Result:
    """What became of the one recipient of an SMS; an error raises as one of the whole call does."""

    def __init__(self, results: list[Any]) -> None:
        if len(results) != 1:
            raise ProviderFault("not one result for one recipient", retry_after_s=0)
        self.message_id: str | None = results[0].message_id
        status: int = results[0].http_status_code
        if results[0].successful:
            return
        if status in REFUSALS or status == HTTPStatus.TOO_MANY_REQUESTS:
            raise Answered(status, "", None)
        raise ProviderFault(f"status {status} for a recipient", retry_after_s=0)


def _repeatable() -> Any:
    """A policy that puts a message's tag in the place of the repeatability id, and its first time.

    The SDK makes new ones for every call, so that a second call would be a second SMS. It runs
    before the request is signed.
    """
    from azure.core.pipeline.policies import SansIOHTTPPolicy  # noqa: PLC0415

    class Repeatable(SansIOHTTPPolicy[Any, Any]):
        def on_request(self, request: Any) -> None:
            body = json.loads(request.http_request.body)
            for recipient in body["smsRecipients"]:
                recipient["repeatabilityRequestId"] = body["smsSendOptions"]["tag"]
                recipient["repeatabilityFirstSent"] = _first_sent.get()
            request.http_request.set_json_body(body)

    return Repeatable()


def _one_line(name: str) -> str:
    return _CONTROL.sub(" ", name).strip()


def _reason(status: int, code: str) -> str:
    return f"refused: {code}" if code else f"refused: status {status}"
