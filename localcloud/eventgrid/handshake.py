"""Asks a webhook whether it wants the events of a subscription.

Sources: https://learn.microsoft.com/azure/event-grid/end-point-validation-event-grid-events-schema
and https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/http-webhook.md (section 4)
"""

import json
import uuid
from datetime import UTC, datetime
from typing import Final

import httpx

from localcloud.eventgrid.events import CLOUD
from localcloud.eventgrid.specs import SubscriptionSpec, TopicSpec
from localcloud.eventgrid.webhooks import Http

ORIGIN: Final = "eventgrid.azure.net"
VALIDATION: Final = "Microsoft.EventGrid.SubscriptionValidationEvent"


class HandshakeFailed(Exception):
    """The webhook does not want the events, or did not answer as it has to."""


async def shake_hands(
    http: Http, topic: TopicSpec, spec: SubscriptionSpec, code: str, callback: str
) -> bool:
    """Whether the webhook agreed at once; else a GET of `callback` has to.

    Raises HandshakeFailed.
    """
    assert spec.destination.url is not None
    ask = _ask_cloud if spec.schema == CLOUD else _ask_grid
    try:
        return await ask(http, topic, spec, code, callback)
    except (httpx.HTTPError, httpx.InvalidURL, TimeoutError, ValueError) as error:
        raise HandshakeFailed(
            f"Webhook validation handshake failed for {spec.destination.name}. "
            f"{str(error)[:200] or type(error).__name__} "
            "For troubleshooting, visit https://aka.ms/esvalidation."
        ) from error


async def _ask_grid(
    http: Http, topic: TopicSpec, spec: SubscriptionSpec, code: str, callback: str
) -> bool:
    event = {
        "id": str(uuid.uuid4()),
        "topic": topic.id,
        "subject": "",
        "data": {"validationCode": code, "validationUrl": callback},
        "eventType": VALIDATION,
        "eventTime": datetime.now(UTC).isoformat(),
        "metadataVersion": "1",
        "dataVersion": "2",
    }
    headers = {
        "content-type": "application/json; charset=utf-8",
        "aeg-event-type": "SubscriptionValidation",
        "aeg-subscription-name": spec.name.upper(),
        "aeg-delivery-count": "0",
        "aeg-data-version": "2",
        "aeg-metadata-version": "1",
    }
    headers |= _static_headers(spec)
    url = str(spec.destination.url)
    status, _, body = await http.ask("POST", url, headers, json.dumps([event]))
    if status not in {200, 202}:
        raise HandshakeFailed(_said(spec, "POST", status))
    try:
        answer = json.loads(body)
    except ValueError:
        return False
    if not isinstance(answer, dict):
        return False
    given = {key.lower(): value for key, value in answer.items()}.get("validationresponse")
    return bool(given == code)


async def _ask_cloud(
    http: Http, _topic: TopicSpec, spec: SubscriptionSpec, _code: str, callback: str
) -> bool:
    headers = {"WebHook-Request-Origin": ORIGIN, "WebHook-Request-Callback": callback}
    headers |= _static_headers(spec)
    status, given, _ = await http.ask("OPTIONS", str(spec.destination.url), headers)
    if not 200 <= status < 300:  # noqa: PLR2004 - HTTP's own ranges
        raise HandshakeFailed(_said(spec, "OPTIONS", status))
    allowed = given.get("webhook-allowed-origin", "")
    return allowed in {"*", ORIGIN}


def _static_headers(spec: SubscriptionSpec) -> dict[str, str]:
    return {a.name: a.value for a in spec.destination.attributes if a.value is not None}


def _said(spec: SubscriptionSpec, method: str, status: int) -> str:
    return (
        f"Webhook validation handshake failed for {spec.destination.name}. Http {method} request "
        f"failed with response code {status}. "
        "For troubleshooting, visit https://aka.ms/esvalidation."
    )
