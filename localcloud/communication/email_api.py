"""The REST API of email: send, and see how the operation stands.

Source: azure-rest-api-specs, specification/communication/data-plane/Email/stable/2025-09-01
"""

import uuid
from typing import Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from localcloud.communication.access import Access
from localcloud.communication.drafts import Attached, Draft, Recipient, fingerprint_of
from localcloud.communication.mailbox import Mailbox
from localcloud.communication.models import Email
from localcloud.communication.receiver import Receiver
from localcloud.communication.web import BODY_LIMIT, check_json, check_version, parsed
from localcloud.partners.control import Control
from localcloud.partners.store import JsonObject
from localcloud.partners.web import Refused, body_of

VERSIONS: Final = (
    "2023-03-31",
    "2024-07-01-preview",
    "2025-01-15-preview",
    "2025-09-01",
)
RETRY_AFTER_S: Final = 1
_FINISHED: Final = frozenset({"Succeeded", "Failed"})


class EmailApi:
    """Each request: who asks, what for, whatever a test ordered, the effect, the answer."""

    def __init__(
        self,
        access: Access,
        mailbox: Mailbox,
        receiver: Receiver,
        control: Control,
        senders: frozenset[str],
    ) -> None:
        """`senders` are the provisioned MailFrom addresses, in lower case."""
        self._access, self._mailbox, self._receiver = access, mailbox, receiver
        self._control, self._senders = control, senders
        self._domains = {sender.partition("@")[2] for sender in senders}

    async def send(self, request: Request) -> Response:
        """Queue an email; the same Operation-Id and message again are the same operation."""
        body = await body_of(request, BODY_LIMIT)
        await self._access.check(request, body)
        check_version(request, *VERSIONS)
        check_json(request)
        operation_id = _operation_id(request)
        email = parsed(Email, body)
        self._check_sender(email.senderAddress)
        draft = _draft(email, operation_id, fingerprint_of(body))
        facts = {
            "to": draft.recipients[0].address,
            "from": draft.sender,
            "subject": draft.subject,
            "operation_id": operation_id,
        }
        operation = await self._control.perform(
            request, "send_email", facts, lambda: self._mailbox.take_email(draft)
        )
        self._receiver.wake()
        where = f"{request.url.scheme}://{request.headers['host']}/emails/operations/{operation_id}"
        location = f"{where}?api-version={request.query_params['api-version']}"
        return _answer(operation, 202, {"Operation-Location": location})

    async def operation(self, request: Request) -> Response:
        """How the operation stands. 404 when there is none."""
        await self._access.check(request, b"")
        check_version(request, *VERSIONS)
        operation_id = request.path_params["operation_id"].lower()
        operation = await self._control.perform(
            request,
            "get_operation",
            {"operation_id": operation_id},
            lambda: self._mailbox.find_operation(operation_id),
        )
        return _answer(operation, 200, {})

    def _check_sender(self, address: str) -> None:
        """Source: https://learn.microsoft.com/azure/communication-services/resources/troubleshooting"""
        name, _, domain = address.lower().partition("@")
        if domain not in self._domains:
            raise Refused(
                404, "DomainNotLinked", "The specified sender domain has not been linked."
            )
        if address.lower() not in self._senders:
            raise Refused(
                400,
                "InvalidSenderUserName",
                f"Invalid email sender username: '{name}'. Please use a username from the list of"
                " valid usernames configured by your administrator.",
            )


def _operation_id(request: Request) -> str:
    """The client's id of the operation, or a new one. Refused with 400 when it is no UUID."""
    given = request.headers.get("operation-id")
    if given is None:
        return str(uuid.uuid4())
    try:
        return str(uuid.UUID(given))
    except ValueError:
        raise Refused(400, "BadRequest", "Operation-Id must be a UUID.") from None


def _draft(email: Email, operation_id: str, fingerprint: str) -> Draft:
    return Draft(
        id=operation_id,
        channel="email",
        sender=email.senderAddress,
        recipients=[
            Recipient(kind, to.address, to.displayName) for kind, to in email.recipients.everybody()
        ],
        fingerprint=fingerprint,
        subject=email.content.subject,
        text=email.content.plainText,
        html=email.content.html,
        headers=email.headers or {},
        reply_to=[to.address for to in email.replyTo or ()],
        attachments=[
            Attached(one.name, one.contentType, one.contentId, one.content)
            for one in email.attachments or ()
        ],
        tracked=bool(email.content.html) and not email.userEngagementTrackingDisabled,
    )


def _answer(operation: JsonObject, status: int, headers: dict[str, str]) -> Response:
    if operation["status"] not in _FINISHED:
        headers = {**headers, "Retry-After": str(RETRY_AFTER_S)}
    return JSONResponse(operation, status, headers)
