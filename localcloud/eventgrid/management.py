"""The management API in ARM's shape, open on this machine: topics, keys, event subscriptions.

Below `/subscriptions/<id>/resourceGroups/<group>/providers/Microsoft.EventGrid` (any id and group):

- `topics`, `systemTopics`: GET a list; `topics/<name>`: GET, PUT, DELETE
- `topics/<name>/listKeys`, `.../regenerateKey` {"keyName": "key1"}: POST
- `<topics or systemTopics>/<name>/eventSubscriptions`: GET a list; `.../<name>`: GET, PUT, PATCH,
  DELETE; `.../<name>/getFullUrl`: POST. The older
  `<topic>/providers/Microsoft.EventGrid/eventSubscriptions/<name>` means the same.

Every request names an `api-version`. What a topology file declares may be changed here, but the
file wins at the next start. Answers come when the work is done: there is nothing to poll.

Source: https://learn.microsoft.com/rest/api/eventgrid/controlplane
"""

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from localcloud.eventgrid.destinations import without_secrets
from localcloud.eventgrid.elements import Elements, SpecRefused
from localcloud.eventgrid.errors import GridError, bad_request, not_found
from localcloud.eventgrid.grid import Grid, Topic
from localcloud.eventgrid.keys import KEY_NAMES
from localcloud.eventgrid.specs import SUBSCRIPTION_NAME, subscription_of, topic_of
from localcloud.eventgrid.subscribers import Subscriber

_ROOT: Final = "/subscriptions/{scope}/resourceGroups/{group}/providers/Microsoft.EventGrid"
_OLD: Final = "/providers/Microsoft.EventGrid"
_CHANGEABLE: Final = (
    "destination",
    "filter",
    "eventDeliverySchema",
    "retryPolicy",
    "deadLetterDestination",
    "expirationTimeUtc",
    "labels",
)
MAX_BYTES: Final = 256 * 1024

Answer = Awaitable[Response]


class Management:
    """The routes; they answer for one grid. `base` is this part's own address."""

    def __init__(self, grid: Grid, base: Callable[[], str]) -> None:
        self._grid, self._base = grid, base

    def routes(self) -> list[Route]:
        found = []
        for kind in ("topics", "systemTopics"):
            root = f"{_ROOT}/{kind}"
            found.append(Route(root, self._of_kind(kind, self._list), methods=["GET"]))
            methods = ["GET", "PUT", "DELETE"] if kind == "topics" else ["GET"]
            one = f"{root}/{{topic}}"
            found.append(Route(one, self._of_kind(kind, self._topic), methods=methods))
            for path in (one, f"{one}{_OLD}"):
                many = f"{path}/eventSubscriptions"
                found += [
                    Route(many, self._of_kind(kind, self._subscriptions), methods=["GET"]),
                    Route(
                        f"{many}/{{name}}",
                        self._of_kind(kind, self._subscription),
                        methods=["GET", "PUT", "PATCH", "DELETE"],
                    ),
                    Route(
                        f"{many}/{{name}}/getFullUrl",
                        self._of_kind(kind, self._full_url),
                        methods=["POST"],
                    ),
                ]
        keys = f"{_ROOT}/topics/{{topic}}"
        found += [
            Route(f"{keys}/listKeys", self._of_kind("topics", self._keys), methods=["POST"]),
            Route(f"{keys}/regenerateKey", self._of_kind("topics", self._renew), methods=["POST"]),
        ]
        return found

    def _of_kind(
        self, kind: str, answer: Callable[[str, Request], Answer]
    ) -> Callable[[Request], Answer]:
        async def checked(request: Request) -> Response:
            if "api-version" not in request.query_params:
                error = "The api-version query parameter (?api-version=) is required."
                raise GridError(400, "MissingApiVersionParameter", error)
            try:
                return await answer(kind, request)
            except SpecRefused as refusal:
                raise GridError(400, "InvalidRequest", str(refusal)) from refusal

        return checked

    async def _list(self, kind: str, _request: Request) -> Response:
        topics = [t for t in self._grid.topics() if t.spec.kind == kind]
        return JSONResponse({"value": [self._shown_topic(topic) for topic in topics]})

    async def _topic(self, kind: str, request: Request) -> Response:
        name = request.path_params["topic"]
        if request.method == "DELETE":
            known = any(topic.spec.name.lower() == name.lower() for topic in self._grid.topics())
            if known:
                self._known(kind, request)
            await self._grid.drop_topic(name)
            return Response(status_code=200 if known else 204)
        if request.method == "PUT":
            given = await _body(request)
            spec = topic_of(Elements(given | {"name": name}, "topic"))
            if any(t.spec.name.lower() == name.lower() for t in self._grid.topics()):
                self._known(kind, request)
            return JSONResponse(self._shown_topic(self._grid.put_topic(spec)), 201)
        return JSONResponse(self._shown_topic(self._known(kind, request)))

    async def _keys(self, kind: str, request: Request) -> Response:
        return JSONResponse(self._grid.keys.of(self._known(kind, request).spec.name))

    async def _renew(self, kind: str, request: Request) -> Response:
        topic = self._known(kind, request)
        wanted = Elements(await _body(request), "body")
        name = wanted.choice("keyName", KEY_NAMES)
        wanted.end()
        return JSONResponse(self._grid.keys.renew(topic.spec.name, name))

    async def _subscriptions(self, kind: str, request: Request) -> Response:
        subscribers = self._known(kind, request).subscribers
        shown = [_shown(subscribers[name]) for name in sorted(subscribers)]
        return JSONResponse({"value": shown})

    async def _subscription(self, kind: str, request: Request) -> Response:
        topic, name = self._known(kind, request), request.path_params["name"]
        if request.method == "DELETE":
            known = name.lower() in topic.subscribers
            await self._grid.drop_subscription(topic.spec.name, name)
            return Response(status_code=200 if known else 204)
        if request.method == "GET":
            return JSONResponse(_shown(self._grid.subscriber(topic.spec.name, name)))
        given = await _body(request)
        if request.method == "PATCH":
            old = self._grid.subscriber(topic.spec.name, name).spec
            unknown = given.keys() - set(_CHANGEABLE)
            if unknown:
                raise SpecRefused(f"{', '.join(sorted(unknown))} cannot be changed")
            properties: Mapping[str, Any] = {**old.document, **given}
        else:
            entry = Elements(given, "body")
            entry.ignore("id", "name", "type", "systemData")
            properties = entry.take("properties", dict)
            entry.end()
        if not SUBSCRIPTION_NAME.fullmatch(name):
            raise SpecRefused("the name has 3 to 64 letters, digits and hyphens")
        made = await self._grid.put_subscription(subscription_of(topic.spec, name, properties))
        return JSONResponse(_shown(made), 201)

    async def _full_url(self, kind: str, request: Request) -> Response:
        topic = self._known(kind, request)
        found = self._grid.subscriber(topic.spec.name, request.path_params["name"])
        return JSONResponse({"endpointUrl": found.spec.destination.url})

    def _known(self, kind: str, request: Request) -> Topic:
        topic = self._grid.topic(request.path_params["topic"])
        if topic.spec.kind != kind:
            raise not_found(f"The resource {kind}/{topic.spec.name}")
        return topic

    def _shown_topic(self, topic: Topic) -> dict[str, Any]:
        spec = topic.spec
        properties: dict[str, Any] = {"provisioningState": "Succeeded"}
        if spec.topic_type is not None:
            properties["topicType"] = spec.topic_type
        else:
            properties |= {
                "endpoint": f"{self._base()}/{spec.name}/api/events",
                "inputSchema": spec.schema,
                "publicNetworkAccess": "Enabled",
                "disableLocalAuth": not spec.keys_open,
            }
        return {
            "id": spec.id,
            "name": spec.name,
            "type": f"Microsoft.EventGrid/{spec.kind}",
            "location": "local",
            "properties": properties,
        }


def _shown(subscriber: Subscriber) -> dict[str, Any]:
    spec, topic = subscriber.spec, subscriber.topic
    facts = {"topic": topic.id, "provisioningState": subscriber.state}
    return {
        "id": f"{topic.id}/eventSubscriptions/{spec.name}",
        "name": spec.name,
        "type": f"Microsoft.EventGrid/{topic.kind}/eventSubscriptions",
        "properties": without_secrets(spec.document) | facts,
    }


async def _body(request: Request) -> dict[str, Any]:
    raw = b""
    async for chunk in request.stream():
        raw += chunk
        if len(raw) > MAX_BYTES:
            raise GridError(413, "RequestEntityTooLarge", f"More than {MAX_BYTES} bytes were sent.")
    try:
        given = json.loads(raw)
    except (ValueError, RecursionError):
        raise bad_request("The body is not JSON.") from None
    if not isinstance(given, dict):
        raise bad_request("The body must be a JSON object.")
    return given
