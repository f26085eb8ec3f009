"""The strings a test pulls: faults, barriers, and the ledger of what took effect."""

import asyncio
import ipaddress
import itertools
import logging
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from localcloud.partners.store import Store
from localcloud.partners.web import HungUp, Refused, parsed

HANG_S = 60.0
"""How long an answer is withheld from a client that keeps waiting for it."""
WAIT_LIMIT_S = 60.0

log = logging.getLogger(__name__)

Facts = Mapping[str, Any]
Operations = Mapping[str, frozenset[str]]
"""What can be interfered with, and the facts of each operation that a match may name."""


class FaultOrder(BaseModel):
    """How a partner is to misbehave, for which requests, and how often."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    operation: str
    kind: Literal["status", "latency", "timeout_after_effect", "drop"]
    status: Annotated[int, Field(ge=400, le=599)] = 503
    retry_after_s: Annotated[int, Field(ge=0, le=3600)] | None = None
    """What the answer says in Retry-After, when it is a status."""
    delay_s: Annotated[float, Field(ge=0, le=600)] | None = None
    times: Annotated[int, Field(ge=1)] | None = 1
    """Null: until reset."""
    match: dict[str, Any] = {}

    @model_validator(mode="after")
    def _latency_says_how_long(self) -> "FaultOrder":
        if self.kind == "latency" and self.delay_s is None:
            raise ValueError("latency needs delay_s")
        return self


class BarrierOrder(BaseModel):
    """Where requests are to stop."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    operation: str
    when: Literal["before_effect", "after_effect"]
    match: dict[str, Any] = {}


@dataclass
class Fault:
    order: FaultOrder
    left: int | None


@dataclass
class Barrier:
    """Holds every matching request until it is taken away."""

    order: BarrierOrder
    reached_count: int = 0
    released: asyncio.Event = field(default_factory=asyncio.Event)
    _arrival: asyncio.Event = field(default_factory=asyncio.Event)

    async def hold(self) -> None:
        self.reached_count += 1
        self._arrival.set()
        self._arrival = asyncio.Event()
        await self.released.wait()

    async def reached_by(self, count: int) -> None:
        """Return once that many requests have come here, those that were let go included."""
        while self.reached_count < count:
            await self._arrival.wait()


def _ordered(fault: FaultOrder) -> Refused:
    after = fault.retry_after_s
    headers = {} if after is None else {"Retry-After": str(after)}
    message = "this failure was ordered by a test"
    return Refused(fault.status, "ordered_fault", message, headers=headers)


def _matches(match: Facts, facts: Facts) -> bool:
    return all(facts.get(name) == value for name, value in match.items())


class Control:
    """What stands between a request and its effect."""

    def __init__(self, store: Store, operations: Operations) -> None:
        self._store, self._operations = store, operations
        self._faults: dict[str, Fault] = {}
        self._barriers: dict[str, Barrier] = {}
        self._ids = itertools.count(1)
        self._running: set[asyncio.Task[Any]] = set()

    async def perform[T](
        self,
        request: Request,
        operation: str,
        facts: Facts,
        effect: Callable[[], T],
        *,
        withhold: Callable[[T], bool] = lambda _result: False,
    ) -> T:
        """What `effect` returns, after whatever interference was ordered for such requests.

        The effect does not depend on the connection: a request whose client has gone, or which
        is held at a barrier meanwhile, still takes effect when its time comes. When `withhold`
        says so of the result, the effect stands but the answer comes only after a minute.
        Raises Refused for an ordered status, HungUp for an ordered drop, and what `effect` raises.
        """
        return await self._detached(self._perform(request, operation, facts, effect, withhold))

    async def _detached[T](self, work: Coroutine[Any, Any, T]) -> T:
        task = asyncio.create_task(work)
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return await asyncio.shield(task)

    async def _perform[T](
        self,
        request: Request,
        operation: str,
        facts: Facts,
        effect: Callable[[], T],
        withhold: Callable[[T], bool],
    ) -> T:
        fault = self._take_fault(operation, facts)
        if fault is not None:
            log.info("%s meets an ordered fault: %s", operation, fault.kind)
            if fault.kind == "drop":
                raise HungUp
            if fault.kind == "status":
                raise _ordered(fault)
            if fault.kind == "latency":
                await asyncio.sleep(fault.delay_s or 0)
        await self._stop_at("before_effect", operation, facts)
        result = effect()
        await self._stop_at("after_effect", operation, facts)
        if fault is not None and fault.kind == "timeout_after_effect":
            await _until_gone(request, HANG_S if fault.delay_s is None else fault.delay_s)
        elif withhold(result):
            await _until_gone(request, HANG_S)
        return result

    def _take_fault(self, operation: str, facts: Facts) -> FaultOrder | None:
        """The first fault ordered for such a request, counted down."""
        for name, fault in self._faults.items():
            if fault.order.operation == operation and _matches(fault.order.match, facts):
                if fault.left is not None:
                    fault.left -= 1
                    if not fault.left:
                        del self._faults[name]
                return fault.order
        return None

    async def _stop_at(self, when: str, operation: str, facts: Facts) -> None:
        for barrier in list(self._barriers.values()):
            order = barrier.order
            if (order.when, order.operation) == (when, operation) and _matches(order.match, facts):
                log.info("%s stops %s", operation, when)
                await barrier.hold()

    def _checked(self, order: FaultOrder | BarrierOrder) -> None:
        """An order that can never apply is a mistake in the test: say so at once."""
        if order.operation not in self._operations:
            known = ", ".join(sorted(self._operations))
            raise Refused(400, "unknown_operation", f"{order.operation!r} is none of: {known}")
        if unknown := order.match.keys() - self._operations[order.operation]:
            known = ", ".join(sorted(self._operations[order.operation]))
            raise Refused(
                400, "unknown_match", f"{', '.join(sorted(unknown))}: can match only {known}"
            )

    async def add_fault(self, request: Request) -> Response:
        order = await parsed(request, FaultOrder)
        self._checked(order)
        name = f"fault-{next(self._ids)}"
        self._faults[name] = Fault(order, order.times)
        return JSONResponse({"id": name}, 201)

    async def add_barrier(self, request: Request) -> Response:
        order = await parsed(request, BarrierOrder)
        self._checked(order)
        name = f"barrier-{next(self._ids)}"
        self._barriers[name] = Barrier(order)
        return JSONResponse({"id": name}, 201)

    async def see_barrier(self, request: Request) -> Response:
        """Whether `count` requests (one, unless said) came there; waits up to `wait_s` seconds."""
        barrier = self._barrier(request)
        try:
            wait_s = float(request.query_params.get("wait_s", "0"))
            count = int(request.query_params.get("count", "1"))
        except ValueError:
            raise Refused(400, "invalid_request", "wait_s and count are numbers") from None
        with suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, min(wait_s, WAIT_LIMIT_S))):
                await barrier.reached_by(count)
        reached = barrier.reached_count
        return JSONResponse({"reached": reached >= count, "reached_count": reached})

    async def release_barrier(self, request: Request) -> Response:
        barrier = self._barrier(request)
        del self._barriers[request.path_params["barrier_id"]]
        barrier.released.set()
        return JSONResponse({"released": barrier.reached_count})

    def _barrier(self, request: Request) -> Barrier:
        barrier = self._barriers.get(request.path_params["barrier_id"])
        if barrier is None:
            raise Refused(404, "not_found", "no such barrier")
        return barrier

    async def reset(self, _request: Request) -> Response:
        """Take away every fault and barrier; what took effect stays in the ledger."""
        self._faults.clear()
        released = list(self._barriers.values())
        self._barriers.clear()
        for barrier in released:
            barrier.released.set()
        return JSONResponse({"released": sum(barrier.reached_count for barrier in released)})

    async def see_ledger(self, request: Request) -> Response:
        query = request.query_params
        after = query.get("after", "0")
        if not after.isdecimal():
            raise Refused(400, "invalid_request", "after: the seq of an entry")
        entries = self._store.ledger(
            reference=query.get("reference"), operation=query.get("operation"), after=int(after)
        )
        return JSONResponse({"entries": entries})

    def mount(self, *more: BaseRoute) -> Mount:
        """The routes under /control, with a partner's own `more`, for this machine only."""
        routes = [
            Route("/faults", self.add_fault, methods=["POST"]),
            Route("/barriers", self.add_barrier, methods=["POST"]),
            Route("/barriers/{barrier_id}", self.see_barrier, methods=["GET"]),
            Route("/barriers/{barrier_id}", self.release_barrier, methods=["DELETE"]),
            Route("/reset", self.reset, methods=["POST"]),
            Route("/ledger", self.see_ledger, methods=["GET"]),
            *more,
        ]
        mount = Mount("/control", routes=routes)
        mount.app = _OnlyFromHere(mount.app)
        return mount


class _OnlyFromHere:
    """Control needs no password because nobody else can reach it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        peer = (scope.get("client") or ("", 0))[0]
        if not peer or not ipaddress.ip_address(peer).is_loopback:
            raise Refused(403, "local_only", "control answers only to this machine")
        await self._app(scope, receive, send)


async def _until_gone(request: Request, limit_s: float) -> None:
    """Wait until the client hangs up, at most `limit_s` seconds."""
    with suppress(TimeoutError):
        async with asyncio.timeout(limit_s):
            while (await request.receive())["type"] != "http.disconnect":
                pass
