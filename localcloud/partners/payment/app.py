"""The gateway's REST API."""

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from localcloud.partners.control import Control
from localcloud.partners.payment.auth import Tokens
from localcloud.partners.payment.book import SCHEMA, Book, described
from localcloud.partners.payment.models import METHODS, Authorize, Capture, Confirm, Refund, Void
from localcloud.partners.store import Answer, Store
from localcloud.partners.web import HANDLERS, Abortable, Refused, idempotency_key, parsed
from localcloud.partners.webhooks import SCHEMA as WEBHOOKS
from localcloud.partners.webhooks import Subscription, Webhooks, sending

_PAYMENT = frozenset({"payment_id", "reference", "payment_method", "currency", "idempotency_key"})
OPERATIONS = {
    "authorize": _PAYMENT - {"payment_id"} | {"amount"},
    "confirm": _PAYMENT,
    "capture": _PAYMENT | {"amount"},
    "void": _PAYMENT,
    "refund": _PAYMENT | {"amount"},
    "get": frozenset({"payment_id", "reference"}),
}


class Gateway:
    """Each request: who asks, what for, whatever a test ordered, the effect, the answer."""

    def __init__(self, store: Store, tokens: Tokens, webhooks: Webhooks) -> None:
        self._book, self._tokens, self._webhooks = Book(store, webhooks), tokens, webhooks
        self.control = Control(store, OPERATIONS)

    async def authorize(self, request: Request) -> Response:
        await self._authenticated(request)
        key, order = idempotency_key(request), await parsed(request, Authorize)
        method = METHODS.get(order.payment_method)
        if method is None:
            raise Refused(400, "invalid_payment_method", "no such payment method")
        answer = await self.control.perform(
            request,
            "authorize",
            order.model_dump() | {"idempotency_key": key},
            lambda: self._book.authorize(order, key),
            withhold=lambda answer: method.withholds_answer and answer.fresh,
        )
        return await self._answered(request, key, answer)

    async def confirm(self, request: Request) -> Response:
        await self._authenticated(request)
        key, order = idempotency_key(request), await parsed(request, Confirm)
        payment_id, facts = self._facts(request, key)
        answer = await self.control.perform(
            request, "confirm", facts, lambda: self._book.confirm(payment_id, order, key)
        )
        return await self._answered(request, key, answer)

    async def capture(self, request: Request) -> Response:
        await self._authenticated(request)
        key, order = idempotency_key(request), await parsed(request, Capture)
        payment_id, facts = self._facts(request, key)
        answer = await self.control.perform(
            request,
            "capture",
            facts | {"amount": order.amount},
            lambda: self._book.capture(payment_id, order, key),
        )
        return await self._answered(request, key, answer)

    async def void(self, request: Request) -> Response:
        await self._authenticated(request)
        key, order = idempotency_key(request), await parsed(request, Void, optional=True)
        payment_id, facts = self._facts(request, key)
        answer = await self.control.perform(
            request, "void", facts, lambda: self._book.void(payment_id, order, key)
        )
        return await self._answered(request, key, answer)

    async def refund(self, request: Request) -> Response:
        await self._authenticated(request)
        key, order = idempotency_key(request), await parsed(request, Refund)
        payment_id, facts = self._facts(request, key)
        answer = await self.control.perform(
            request,
            "refund",
            facts | {"amount": order.amount},
            lambda: self._book.refund(payment_id, order, key),
        )
        return await self._answered(request, key, answer)

    async def get(self, request: Request) -> Response:
        await self._authenticated(request)
        payment_id: str = request.path_params["payment_id"]
        facts = {"payment_id": payment_id, "reference": self._book.find(payment_id)["reference"]}
        payment = await self.control.perform(
            request, "get", facts, lambda: described(self._book.find(payment_id))
        )
        return JSONResponse(payment)

    async def confirm_on_page(self, request: Request) -> Response:
        """The customer gives the code on the gateway's own page: the shop is not there."""
        order = await parsed(request, Confirm)
        key = f"page:{secrets.token_hex(8)}"
        answer = self._book.confirm(request.path_params["payment_id"], order, key)
        self._webhooks.release(key)
        return JSONResponse(answer.body, answer.status)

    async def find_for_tests(self, request: Request) -> Response:
        """The payments of a reference, without a token and past every fault and barrier."""
        return JSONResponse({"payments": self._book.of_reference(_reference(request))})

    async def find(self, request: Request) -> Response:
        await self._authenticated(request)
        reference = _reference(request)
        payments = await self.control.perform(
            request,
            "get",
            {"reference": reference},
            lambda: self._book.of_reference(reference),
        )
        return JSONResponse({"payments": payments})

    async def _authenticated(self, request: Request) -> None:
        await self._tokens.check(request.headers.get("authorization"))

    async def _answered(self, request: Request, key: str, answer: Answer) -> Response:
        """The answer; if nobody waits for it any more, a webhook takes its place."""
        if await request.is_disconnected():
            self._webhooks.release(key)
        else:
            self._webhooks.answered(key)
        headers = {} if answer.fresh else {"Idempotent-Replayed": "true"}
        return JSONResponse(answer.body, answer.status, headers)

    def _facts(self, request: Request, key: str) -> tuple[str, dict[str, Any]]:
        """The payment that the path names, and what a fault or barrier may match it by."""
        payment = self._book.find(request.path_params["payment_id"])
        return payment["id"], {
            "payment_id": payment["id"],
            "reference": payment["reference"],
            "payment_method": payment["payment_method"],
            "currency": payment["currency"],
            "idempotency_key": key,
        }


def _reference(request: Request) -> str:
    reference = request.query_params.get("reference", "")
    if not reference:
        raise Refused(400, "invalid_request", "reference: name the payment's reference")
    return reference


async def _health(_request: Request) -> Response:
    return JSONResponse({"status": "ok"})


def create_app(state: Path, identity_url: str, subscription: Subscription | None = None) -> ASGIApp:
    """The gateway with its book in `state`, trusting tokens of the provider at `identity_url`."""
    store = Store(state / "payment.db", SCHEMA + WEBHOOKS)
    webhooks = Webhooks(store, subscription)
    gateway = Gateway(store, Tokens(identity_url), webhooks)

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        async with sending(webhooks):
            yield
        store.close()

    one = "/v1/payments/{payment_id}"
    app = Starlette(
        routes=[
            Route("/health", _health),
            Route("/v1/payments", gateway.authorize, methods=["POST"]),
            Route("/v1/payments", gateway.find, methods=["GET"]),
            Route(one, gateway.get, methods=["GET"]),
            Route(f"{one}/confirm", gateway.confirm, methods=["POST"]),
            Route(f"{one}/capture", gateway.capture, methods=["POST"]),
            Route(f"{one}/void", gateway.void, methods=["POST"]),
            Route(f"{one}/refunds", gateway.refund, methods=["POST"]),
            gateway.control.mount(
                Route("/payments", gateway.find_for_tests, methods=["GET"]),
                Route("/payments/{payment_id}/confirm", gateway.confirm_on_page, methods=["POST"]),
                *webhooks.routes(),
            ),
        ],
        exception_handlers=HANDLERS,
        lifespan=lifespan,
    )
    return Abortable(app)
