"""What callers say to notifications and what they get."""

from datetime import datetime
from typing import Annotated, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, JsonValue, StringConstraints, model_validator

from blueprints.notifications.models import (
    Audience,
    Channel,
    DeliveryStatus,
    DigestRhythm,
    Language,
    NotificationType,
    Outcome,
)
from shared.http import Body, Query


class ListedNotification(BaseModel):
    """A notification as its reader sees it. `audience` is None when it is to the reader alone."""

    id: UUID
    type: NotificationType
    order_id: UUID | None
    audience: Audience | None
    title: str
    text: str
    at: datetime
    read_at: datetime | None


class NotificationPage(BaseModel):
    """Some notifications. `unread_count` stops at 99, then `unread_more` is true.

    Of what an audience was told only the newest hundred count as unread.

    `latest` is the token for `since`: what is told after it was given out comes after it, without
    exception. `more` says that `since` found more than fits: ask again with the new token.
    """

    items: list[ListedNotification]
    next_cursor: str | None
    latest: str
    more: bool
    unread_count: int
    unread_more: bool


PageLimit = Annotated[int, Field(ge=1, le=100)]
Token = Annotated[str, StringConstraints(max_length=1024)]


class NotificationQuery(Query):
    """Which notifications: newest first by `cursor`; or after the token `since`, oldest first.

    `language` (default: the reader's own) is what titles and texts are written in.
    """

    unread: bool = False
    limit: PageLimit = 20
    cursor: Token | None = None
    since: Token | None = None
    language: Language | None = None

    @model_validator(mode="after")
    def _one_direction(self) -> Self:
        if self.since is not None and (self.cursor is not None or self.unread):
            raise ValueError("since goes with neither cursor nor unread")
        return self


class LanguageQuery(Query):
    """What language to answer in; default: the reader's own."""

    language: Language | None = None


class ReadUpTo(Body):
    """The token `latest` of the list up to which everything was read."""

    latest: Token


class ReadAll(BaseModel):
    """How many notifications were marked as read."""

    read: int


Line = Annotated[
    str,
    StringConstraints(
        strip_whitespace=True, min_length=1, max_length=150, pattern=r"^[^\x00-\x1f\x7f-\x9f]*$"
    ),
]
Prose = Annotated[
    str,
    StringConstraints(
        strip_whitespace=True,
        min_length=1,
        max_length=4000,
        pattern=r"^[^\x00-\x09\x0b-\x1f\x7f-\x9f]*$",
    ),
]


class WriteMessage(Body):
    """A message to one customer, or to an audience. It may be about an order."""

    recipient_id: UUID | None = None
    audience: Audience | None = None
    order_id: UUID | None = None
    subject: Line
    text: Prose

    @model_validator(mode="after")
    def _to_one(self) -> Self:
        if (self.recipient_id is None) == (self.audience is None):
            raise ValueError("name either a recipient_id or an audience")
        return self


class WrittenMessage(BaseModel):
    """A message that was written, and the channels that it goes out on."""

    id: UUID
    recipient_id: UUID | None
    audience: Audience | None
    order_id: UUID | None
    channels: list[Channel]
    at: datetime


class Attempt(BaseModel):
    """One try to tell somebody, or one report of what became of it."""

    at: datetime
    outcome: Outcome
    reason: str | None
    provider_reference: str | None


class Delivery(BaseModel):
    """What became of a notification on one channel."""

    id: UUID
    channel: Channel
    status: DeliveryStatus
    digest: bool
    due_at: datetime
    reason: str | None
    provider_reference: str | None
    updated_at: datetime
    attempts: list[Attempt]


class DeliveryLog(BaseModel):
    """What became of a notification on every channel."""

    notification_id: UUID
    type: NotificationType
    recipient_id: UUID | None
    audience: Audience | None
    order_id: UUID | None
    at: datetime
    deliveries: list[Delivery]


Clock = Annotated[
    str, StringConstraints(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$"), Field(examples=["22:00"])
]


class QuietHours(Body):
    """From the one local time to the other, over midnight if need be."""

    model_config = ConfigDict(serialize_by_alias=True)

    since: Annotated[Clock, Field(alias="from")]
    until: Clock

    @model_validator(mode="after")
    def _not_all_day(self) -> Self:
        if self.since == self.until:
            raise ValueError("from and until must differ: nobody can be quiet all day")
        return self


class ChannelChoice(BaseModel):
    """Whether a person is told on a channel. What is mandatory cannot be switched off."""

    wanted: bool
    default: bool
    mandatory: bool


class TypeChoices(BaseModel):
    """A kind of message, by the channels that it can come on."""

    type: NotificationType
    meaning: str
    channels: dict[Channel, ChannelChoice]


class Preferences(BaseModel):
    """What a person wants to be told, where and when.

    Emails and SMS wait for the end of the quiet hours, mandatory emails do not. With a digest,
    other emails are gathered into one, sent daily or on Mondays at `digest_at`.
    """

    time_zone: str
    quiet_hours: QuietHours | None
    digest: DigestRhythm
    digest_at: Clock
    types: list[TypeChoices]


class UpdatePreferences(Body):
    """All of a person's choices anew; a channel that is left out follows its default."""

    time_zone: Annotated[str, StringConstraints(max_length=64), Field(examples=["Europe/Berlin"])]
    quiet_hours: QuietHours | None = None
    digest: DigestRhythm = "off"
    digest_at: Clock = "08:00"
    wanted: dict[NotificationType, dict[Channel, bool]] = Field(default_factory=dict)


class TemplateSummary(BaseModel):
    """A kind of message and what its wording is made of."""

    type: NotificationType
    meaning: str
    versions: list[int]
    languages: list[Language]
    variables: dict[int, list[str]]


class PreviewTemplate(Body):
    """What to show: a template with sample facts, or with those given."""

    type: NotificationType
    version: Annotated[int, Field(ge=1)] | None = None
    language: Language = "en"
    facts: dict[str, JsonValue] | None = None


class Preview(BaseModel):
    """A template, put into words for every channel."""

    subject: str
    text: str
    html: str
    sms: str
    title: str
    in_app: str
