"""What clients send: an email or an SMS, as the data-plane specifications of Azure describe them.

Unknown members are ignored, as Azure does; everything that is known is checked.
Sources: azure-rest-api-specs, specification/communication/data-plane, Email 2025-09-01 and SMS
2021-03-07.
"""

import base64
import re
from collections.abc import Iterator
from functools import cached_property
from typing import Annotated, Final

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

RECIPIENTS_LIMIT: Final = 50
SMS_RECIPIENTS_LIMIT: Final = 100
SMS_LENGTH_LIMIT: Final = 2048

_LOCAL_LIMIT: Final = 64
_ADDRESS: Final = re.compile(
    r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*"
    r"@(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z][A-Za-z0-9-]{0,61}[A-Za-z0-9]"
)
_NUMBER: Final = re.compile(r"\+[1-9]\d{6,14}")
_HEADER_NAME: Final = re.compile(r"[!-9;-~]+")


def is_phone_number(text: str) -> bool:
    """Whether `text` is a phone number in E.164 form, `+` and country code first."""
    return _NUMBER.fullmatch(text) is not None


def _address(text: str) -> str:
    if _ADDRESS.fullmatch(text) is None or text.index("@") > _LOCAL_LIMIT:
        raise ValueError("Invalid format for email address.")
    return text


def _one_line(text: str) -> str:
    if "\r" in text or "\n" in text:
        raise ValueError("must not contain line breaks")
    return text


Address = Annotated[str, Field(max_length=254), AfterValidator(_address)]
OneLine = Annotated[str, AfterValidator(_one_line)]
SomeLine = Annotated[str, Field(min_length=1), AfterValidator(_one_line)]
FileName = Annotated[str, Field(min_length=1, max_length=255), AfterValidator(_one_line)]
MediaType = Annotated[
    str, Field(pattern=r"^[A-Za-z0-9!#$&^_.+-]+/[A-Za-z0-9!#$&^_.+-]+(?: *;[ -~]*)?$")
]


class Model(BaseModel):
    """Types are not converted, and null counts as absent only where a field says so."""

    model_config = ConfigDict(extra="ignore", frozen=True, strict=True)


class EmailAddress(Model):
    address: Address
    displayName: OneLine | None = None  # noqa: N815 - Azure names it so


class Recipients(Model):
    to: list[EmailAddress] | None = None
    cc: list[EmailAddress] | None = None
    bcc: list[EmailAddress] | None = None

    @model_validator(mode="after")
    def _some_but_not_too_many(self) -> "Recipients":
        count = sum(1 for _ in self.everybody())
        if not count:
            raise ValueError("at least one recipient is required in to, cc or bcc")
        if count > RECIPIENTS_LIMIT:
            raise ValueError(
                f"an email may have at most {RECIPIENTS_LIMIT} recipients, this one has {count}"
            )
        return self

    def everybody(self) -> Iterator[tuple[str, EmailAddress]]:
        """Each recipient with the field that names it."""
        for kind in ("to", "cc", "bcc"):
            for recipient in getattr(self, kind) or ():
                yield kind, recipient


class Content(Model):
    subject: SomeLine
    plainText: str | None = None  # noqa: N815 - Azure names it so
    html: str | None = None

    @model_validator(mode="after")
    def _says_something(self) -> "Content":
        if not self.plainText and not self.html:
            raise ValueError("plainText or html is required")
        return self


class Attachment(Model):
    name: FileName
    contentType: MediaType  # noqa: N815
    contentInBase64: str  # noqa: N815
    contentId: OneLine | None = None  # noqa: N815

    @model_validator(mode="after")
    def _is_base64(self) -> "Attachment":
        try:
            _ = self.content
        except ValueError:
            raise ValueError("contentInBase64 is not valid base64") from None
        return self

    @cached_property
    def content(self) -> bytes:
        """The attached bytes. ValueError when they are not base64."""
        return base64.b64decode(self.contentInBase64, validate=True)


class Email(Model):
    senderAddress: Address  # noqa: N815
    recipients: Recipients
    content: Content
    attachments: list[Attachment] | None = None
    headers: dict[str, OneLine] | None = None
    replyTo: list[EmailAddress] | None = None  # noqa: N815
    userEngagementTrackingDisabled: bool | None = None  # noqa: N815

    @model_validator(mode="after")
    def _headers_have_names(self) -> "Email":
        for name in self.headers or {}:
            if _HEADER_NAME.fullmatch(name) is None:
                raise ValueError(f"{name!r} is no name of a header")
        return self


class SmsRecipient(Model):
    """One of those who get the text; what is wrong with it is said in its own result."""

    to: str
    repeatabilityRequestId: str | None = None  # noqa: N815
    repeatabilityFirstSent: str | None = None  # noqa: N815


class SmsOptions(Model):
    enableDeliveryReport: bool  # noqa: N815
    tag: Annotated[str, Field(max_length=2048)] | None = None


class Sms(Model):
    sender: Annotated[str, Field(alias="from")]
    smsRecipients: Annotated[  # noqa: N815
        list[SmsRecipient], Field(min_length=1, max_length=SMS_RECIPIENTS_LIMIT)
    ]
    message: Annotated[str, Field(max_length=SMS_LENGTH_LIMIT)]
    smsSendOptions: SmsOptions | None = None  # noqa: N815
