"""The HTTP side of the administration API: who may ask, for which address, and what is answered."""

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final
from urllib.parse import quote, urlencode

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from localcloud.servicebus.administration.atom import (
    Entry,
    Malformed,
    add,
    description,
    entry_document,
    error_document,
    feed_document,
    local_name,
    read_description,
)
from localcloud.servicebus.administration.descriptions import (
    default_rule,
    described_entity,
    described_rule,
    read_rule,
    settings_of,
)
from localcloud.servicebus.broker import entity_path
from localcloud.servicebus.cbs import TokenGate, TokenRefused
from localcloud.servicebus.entities import now_ms
from localcloud.servicebus.errors import (
    ALREADY_EXISTS,
    ARGUMENT_ERROR,
    NOT_ALLOWED,
    NOT_FOUND,
    RESOURCE_LIMIT,
    AmqpError,
)
from localcloud.servicebus.namespace import Namespace
from localcloud.servicebus.records import Described
from localcloud.servicebus.rule_entries import moment_text
from localcloud.servicebus.rules import Rule
from localcloud.servicebus.specs import (
    InvalidSetting,
    QueueSpec,
    Spec,
    SubscriptionSpec,
    TopicSpec,
)

MAX_BODY_BYTES: Final = 256 * 1024
MAX_PAGE: Final = 100
"""Entries of one page, as in Azure; the rest is behind the link to the next."""

_STATUS: Final = {
    ARGUMENT_ERROR: 400,
    RESOURCE_LIMIT: 403,
    NOT_FOUND: 404,
    ALREADY_EXISTS: 409,
    NOT_ALLOWED: 400,
}
_DESCRIPTIONS: Final[Mapping[str, type[Spec]]] = {
    "QueueDescription": QueueSpec,
    "TopicDescription": TopicSpec,
}
_LISTS: Final[Mapping[str, type[Spec]]] = {"queues": QueueSpec, "topics": TopicSpec}
_ADDRESS: Final = re.compile(
    r"(?P<info>\$namespaceinfo)"
    r"|\$resources/(?P<list>queues|topics)"
    r"|(?P<topic>.+?)/subscriptions(?:/(?P<subscription>[^/]+)"
    r"(?P<rules>/rules(?:/(?P<rule>[^/]+))?)?)?",
    re.IGNORECASE,
)


class Refused(Exception):
    """The request is answered with this status and reason."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status


def administration(namespace: Namespace, gate: Callable[[], TokenGate]) -> Starlette:
    """The application; `gate` makes what a request must pass with its token."""

    async def answer(request: Request) -> Response:
        try:
            await _authorize(request, gate())
            return await _Answer(namespace, request).give()
        except Refused as refusal:
            return _refusal(refusal.status, str(refusal))
        except AmqpError as error:
            return _refusal(_STATUS.get(error.condition, 500), error.description)
        except (Malformed, InvalidSetting) as error:
            return _refusal(400, str(error))

    async def unknown(_: Request, error: Exception) -> Response:
        status = error.status_code if isinstance(error, HTTPException) else 500
        return _refusal(status, "This is not offered.")

    route = Route("/{path:path}", answer, methods=["GET", "PUT", "DELETE"])
    return Starlette(routes=[route], exception_handlers={HTTPException: unknown})


async def _authorize(request: Request, gate: TokenGate) -> None:
    token = request.headers.get("Authorization", "").removeprefix("Bearer ")
    # As it came, percent signs and all: so it was signed.
    path = request.scope["raw_path"].decode("ascii", "replace")
    try:
        if gate.knows(token):
            await gate.put_bearer(path, token)
        else:
            gate.put(path, token)
    except TokenRefused as refusal:
        raise Refused(401, str(refusal)) from refusal
    if not gate.allows(entity_path(path), "Manage"):
        raise Refused(401, "Manage claim is required for this operation.")


def _refusal(status: int, detail: str) -> Response:
    return Response(error_document(status, detail), status, media_type="application/xml")


class _Answer:
    """One request and what it is answered with."""

    def __init__(self, namespace: Namespace, request: Request) -> None:
        self._namespace = namespace
        self._request = request
        self._host = request.headers.get("Host", "localhost")
        self._replaces = request.headers.get("If-Match") == "*"

    async def give(self) -> Response:
        path = self._request.path_params["path"].strip("/")
        match = _ADDRESS.fullmatch(path)
        parts = match.groupdict() if match else {}
        if parts.get("info"):
            return self._only_get(self._info)
        if parts.get("list"):
            kind = _LISTS[parts["list"].lower()]
            return self._only_get(lambda: self._entities(parts["list"], kind))
        topic, subscription = parts.get("topic"), parts.get("subscription")
        if topic is None:
            return await self._by_method(path, self._put_entity)
        parent = topic.lower()
        if subscription is None:
            return self._only_get(lambda: self._subscriptions(parent))
        if parts["rule"]:
            return await self._rule(f"{parent}/subscriptions/{subscription}".lower(), parts["rule"])
        if parts["rules"]:
            path = f"{parent}/subscriptions/{subscription}".lower()
            return self._only_get(lambda: self._rules(path))
        return await self._by_method(
            f"{topic}/subscriptions/{subscription}",
            lambda _: self._put_subscription(topic, subscription),
        )

    def _only_get(self, answer: Callable[[], Response]) -> Response:
        if self._request.method != "GET":
            raise Refused(405, "This can only be read.")
        return answer()

    async def _by_method(self, path: str, put: Callable[[str], Awaitable[Described]]) -> Response:
        if self._request.method == "DELETE":
            await self._namespace.delete(path.lower())
            return Response()
        if self._request.method == "PUT":
            changed = await put(path)
            document = entry_document(self._entry(changed))
            return _xml(document, 200 if self._replaces else 201)
        found = self._namespace.get(path.lower())
        if found is not None:
            return _xml(entry_document(self._entry(found)))
        if "/subscriptions/" in path.lower():
            raise Refused(404, f"The messaging entity '{path}' could not be found.")
        # Azure answers so, and the SDKs take it for "not found".
        return _xml(feed_document(self._address(path), "Publicly Listed Services", ()))

    async def _put_entity(self, path: str) -> Described:
        given = read_description(await self._body())
        kind = _DESCRIPTIONS.get(local_name(given))
        if kind is None:
            raise Malformed(f"{local_name(given)} does not describe a queue or topic.")
        return await self._put(kind.of(path, settings_of(kind, given)))

    async def _put_subscription(self, topic: str, name: str) -> Described:
        given = read_description(await self._body())
        if local_name(given) != "SubscriptionDescription":
            raise Malformed(f"{local_name(given)} does not describe a subscription.")
        found = self._namespace.get(topic.lower())
        settings = settings_of(SubscriptionSpec, given)
        more = default_rule(given)
        parent = topic if found is None else found.spec.name
        return await self._put(SubscriptionSpec.of(name, settings, topic=parent, **more))

    async def _put(self, spec: Spec) -> Described:
        change = self._namespace.update if self._replaces else self._namespace.create
        return await change(spec)

    async def _rule(self, path: str, name: str) -> Response:
        if self._request.method == "DELETE":
            await self._namespace.delete_rule(path, name)
            return Response()
        if self._request.method == "PUT":
            rule = read_rule(read_description(await self._body()), name)
            await self._namespace.put_rule(path, rule, replaces=self._replaces)
            return _xml(
                entry_document(self._rule_entry(path, rule)), 200 if self._replaces else 201
            )
        for rule in self._namespace.rules(path):
            if rule.name.lower() == name.lower():
                return _xml(entry_document(self._rule_entry(path, rule)))
        raise Refused(404, f"The messaging entity '{path}/rules/{name}' could not be found.")

    def _entities(self, title: str, kind: type[Spec]) -> Response:
        return self._feed(title, self._namespace.all(kind), self._entry)

    def _subscriptions(self, topic: str) -> Response:
        if self._namespace.broker.topic(topic) is None:
            raise Refused(404, f"The messaging entity '{topic}' could not be found.")
        return self._feed(
            "Subscriptions", self._namespace.all(SubscriptionSpec, topic), self._entry
        )

    def _rules(self, path: str) -> Response:
        rules = self._namespace.rules(path)
        return self._feed("Rules", rules, lambda rule: self._rule_entry(path, rule))

    def _feed[T](self, title: str, found: Sequence[T], entry: Callable[[T], Entry]) -> Response:
        skip, top = self._number("$skip", 0), min(self._number("$top", MAX_PAGE), MAX_PAGE)
        page = [entry(one) for one in found[skip : skip + top]]
        following = None
        if skip + top < len(found) and top:
            query = dict(self._request.query_params) | {"$skip": skip + top, "$top": top}
            following = f"https://{self._host}{self._request.url.path}?{urlencode(query)}"
        return _xml(feed_document(str(self._request.url), title, page, following))

    def _number(self, name: str, default: int) -> int:
        text = self._request.query_params.get(name)
        if text is None:
            return default
        if not text.isdecimal():
            raise Refused(400, f"{name} must be a whole number.")
        return int(text)

    def _info(self) -> Response:
        created = min((d.created_at_ms for d in self._namespace.all(Spec)), default=now_ms())
        element = description("NamespaceInfo")
        for name, value in (
            ("CreatedTime", moment_text(created)),
            ("MessagingSKU", "Standard"),
            ("ModifiedTime", moment_text(created)),
            ("Name", self._host.partition(":")[0]),
            ("NamespaceType", "Messaging"),
        ):
            add(element, name, value)
        address = self._address("$namespaceinfo")
        return _xml(entry_document(Entry(address, self._host, created, created, element)))

    def _entry(self, found: Described) -> Entry:
        element = described_entity(self._namespace.broker, found, self._host)
        spec = found.spec
        path = spec.name
        if isinstance(spec, SubscriptionSpec):
            path = f"{spec.topic}/Subscriptions/{spec.name}"
        times = found.created_at_ms, found.updated_at_ms
        return Entry(self._address(path), spec.name, *times, element)

    def _rule_entry(self, path: str, rule: Rule) -> Entry:
        found = self._namespace.get(path)
        assert found is not None
        spec = found.spec
        assert isinstance(spec, SubscriptionSpec)
        address = self._address(f"{spec.topic}/Subscriptions/{spec.name}/Rules/{rule.name}")
        at_ms = found.updated_at_ms
        return Entry(address, rule.name, at_ms, at_ms, described_rule(rule, at_ms))

    def _address(self, path: str) -> str:
        return f"https://{self._host}/{quote(path, safe='/$')}"

    async def _body(self) -> bytes:
        body = b""
        async for chunk in self._request.stream():
            body += chunk
            if len(body) > MAX_BODY_BYTES:
                raise Refused(413, f"A body has at most {MAX_BODY_BYTES} bytes.")
        return body


def _xml(document: bytes, status: int = 200) -> Response:
    return Response(document, status, media_type="application/atom+xml; type=entry; charset=utf-8")
