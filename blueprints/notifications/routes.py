"""HTTP of notifications: everybody his own, employees what they write and look up."""

import azure.functions as func

from blueprints.notifications.announcing import Messages
from blueprints.notifications.api_models import (
    DeliveryLog,
    LanguageQuery,
    ListedNotification,
    NotificationPage,
    NotificationQuery,
    Preferences,
    Preview,
    PreviewTemplate,
    ReadAll,
    ReadUpTo,
    TemplateSummary,
    UpdatePreferences,
    WriteMessage,
    WrittenMessage,
)
from blueprints.notifications.models import (
    MandatoryNotification,
    RecipientUnknown,
    TemplateNotRendered,
)
from blueprints.notifications.preferring import Preferring
from blueprints.notifications.service import NotificationService
from shared.auth import EMPLOYEES, access
from shared.http import Api, Call, Page, Reply, etag_of, version_of
from shared.problem import (
    EtagMismatch,
    Forbidden,
    IdempotencyKeyReused,
    InvalidCursor,
    NotFound,
)

SCOPE = "notifications.readwrite"
READERS = access(clients=SCOPE, employees=EMPLOYEES)
STAFF = access(employees=EMPLOYEES)


def blueprint(
    api: Api, notifications: NotificationService, messages: Messages, preferring: Preferring
) -> func.Blueprint:
    """The HTTP functions of notifications."""
    bp = func.Blueprint()
    _own(bp, api, notifications)
    _preferences(bp, api, preferring)
    _staff(bp, api, notifications, messages)
    return bp


def _own(bp: func.Blueprint, api: Api, notifications: NotificationService) -> None:
    @bp.route(route="v1/notifications", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
    @api.operation(
        access=READERS,
        query=NotificationQuery,
        returns=NotificationPage,
        raises=(InvalidCursor,),
    )
    async def list_notifications(call: Call[None, NotificationQuery]) -> NotificationPage:
        """List your notifications, newest first, or what you missed.

        Every answer has a token `latest`. Sent as `since` it brings what was told after it, oldest
        first: nothing is left out, and what you have already you know by its id.
        """
        return await notifications.list(call.caller, call.query)

    @bp.route(
        route="v1/notifications/{notification_id:guid}/read",
        methods=["PUT"],
        auth_level=func.AuthLevel.ANONYMOUS,
    )
    @api.operation(
        access=READERS, query=LanguageQuery, returns=ListedNotification, raises=(NotFound,)
    )
    async def mark_notification_read(call: Call[None, LanguageQuery]) -> ListedNotification:
        """Mark a notification of yours as read; it stays read from the first time on."""
        return await notifications.read(
            call.caller, call.uuid("notification_id"), call.query.language
        )

    @bp.route(route="v1/notifications/read", methods=["PUT"], auth_level=func.AuthLevel.ANONYMOUS)
    @api.operation(access=READERS, body=ReadUpTo, returns=ReadAll, raises=(InvalidCursor,))
    async def mark_notifications_read(call: Call[ReadUpTo, None]) -> ReadAll:
        """Mark all your notifications as read that a list could show when it gave out `latest`."""
        return ReadAll(read=await notifications.read_all(call.caller, call.body.latest))


def _preferences(bp: func.Blueprint, api: Api, preferring: Preferring) -> None:
    @bp.route(
        route="v1/notifications/preferences",
        methods=["GET"],
        auth_level=func.AuthLevel.ANONYMOUS,
    )
    @api.operation(access=READERS, returns=Preferences, etag=True)
    async def get_notification_preferences(call: Call[None, None]) -> Reply[Preferences]:
        """Get what you want to be told, where and when, with defaults and what is mandatory."""
        preferences, version = await preferring.get(call.caller)
        return Reply(preferences, etag=etag_of(version))

    @bp.route(
        route="v1/notifications/preferences",
        methods=["PUT"],
        auth_level=func.AuthLevel.ANONYMOUS,
    )
    @api.operation(
        access=READERS,
        body=UpdatePreferences,
        returns=Preferences,
        raises=(MandatoryNotification, EtagMismatch),
        if_match=True,
        etag=True,
    )
    async def update_notification_preferences(
        call: Call[UpdatePreferences, None],
    ) -> Reply[Preferences]:
        """Replace what you want to be told, where and when.

        What is left out follows its default. Messages that wait to be sent on a channel that you
        switch off are not sent any more.
        """
        preferences, version = await preferring.update(
            call.caller, version_of(call.if_match), call.body
        )
        return Reply(preferences, etag=etag_of(version))


def _staff(
    bp: func.Blueprint, api: Api, notifications: NotificationService, messages: Messages
) -> None:
    @bp.route(route="v1/notifications", methods=["POST"], auth_level=func.AuthLevel.ANONYMOUS)
    @api.operation(
        access=STAFF,
        body=WriteMessage,
        returns=WrittenMessage,
        status=201,
        idempotency_key=True,
        raises=(Forbidden, RecipientUnknown, IdempotencyKeyReused),
        location=True,
    )
    async def write_notification(call: Call[WriteMessage, None]) -> Reply[WrittenMessage]:
        """Write to a customer; admins also to an audience, which is told in the app."""
        written = await messages.write(call.caller, call.body, call.idempotency)
        return Reply(written, location=f"/api/v1/notifications/{written.id}/deliveries")

    @bp.route(
        route="v1/notifications/{notification_id:guid}/deliveries",
        methods=["GET"],
        auth_level=func.AuthLevel.ANONYMOUS,
    )
    @api.operation(access=STAFF, returns=DeliveryLog, raises=(NotFound,))
    async def get_notification_deliveries(call: Call[None, None]) -> DeliveryLog:
        """Get what became of a notification on each channel, attempt by attempt."""
        return await notifications.deliveries(call.uuid("notification_id"))

    @bp.route(
        route="v1/notifications/templates", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS
    )
    @api.operation(access=STAFF, returns=Page[TemplateSummary])
    async def list_notification_templates(call: Call[None, None]) -> Page[TemplateSummary]:  # noqa: ARG001
        """List the kinds of messages with their versions, languages and variables."""
        return Page(items=[*notifications.templates()], next_cursor=None)

    @bp.route(
        route="v1/notifications/templates/preview",
        methods=["POST"],
        auth_level=func.AuthLevel.ANONYMOUS,
    )
    @api.operation(
        access=STAFF,
        body=PreviewTemplate,
        returns=Preview,
        raises=(TemplateNotRendered,),
        safe=True,
    )
    async def preview_notification_template(call: Call[PreviewTemplate, None]) -> Preview:
        """See a template in words, on every channel, with sample facts or your own."""
        return notifications.preview(call.body)
