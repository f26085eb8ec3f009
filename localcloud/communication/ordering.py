"""What a test may order besides faults and barriers: reports out of turn, a clean list."""

import time
from typing import Annotated, Final, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from localcloud.communication import reports, suppressions
from localcloud.communication.drafts import iso
from localcloud.communication.outcomes import Outcome, Status
from localcloud.communication.receiver import Receiver
from localcloud.communication.reports import Engagement, Subject
from localcloud.partners.control import Operations
from localcloud.partners.store import Store
from localcloud.partners.web import Refused, parsed

OPERATIONS: Final[Operations] = {
    "send_email": frozenset({"to", "from", "subject", "operation_id"}),
    "get_operation": frozenset({"operation_id"}),
    "send_sms": frozenset({"to", "from"}),
}
"""`to` is the first recipient."""


class ReportOrder(BaseModel):
    """A report that comes again, late, out of order, or about a message that nobody sent."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    kind: Literal["repeat", "new"]
    message: Annotated[str, Field(min_length=1)]
    recipient: str | None = None
    status: Status = "Delivered"
    detail: str = "Ordered by a test."
    delay_s: Annotated[float, Field(ge=0, le=3600)] = 0
    attempted_at: AwareDatetime | None = None
    channel: Literal["email", "sms"] = "email"


class EngagementOrder(BaseModel):
    """A recipient opens an email or follows a link in it."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    kind: Literal["view", "click"]
    message: Annotated[str, Field(min_length=1)]
    recipient: str | None = None
    context: str = ""
    """The address of the link."""
    user_agent: str = ""


class Orders:
    """Handlers under /control."""

    def __init__(self, store: Store, receiver: Receiver, sender: str) -> None:
        """`sender` stands in reports about unknown messages."""
        self._store, self._receiver, self._sender = store, receiver, sender

    async def report(self, request: Request) -> Response:
        """Send a report again or a new one. 404 when there is none to repeat."""
        order = await parsed(request, ReportOrder)
        now = time.time()
        if order.kind == "repeat":
            event_id = reports.repeat(
                self._store, order.message, order.recipient, now + order.delay_s
            )
            if event_id is None:
                raise Refused(404, "NotFound", "There is no report about this message.")
        else:
            event_id = self._plan(order, now)
        self._receiver.wake()
        return JSONResponse({"event_id": event_id}, 201)

    def _plan(self, order: ReportOrder, now: float) -> str:
        subject = reports.subject_of(self._store, order.message, order.recipient)
        if subject is None:
            if order.recipient is None:
                raise Refused(400, "BadRequest", "recipient: name whom the report is about")
            subject = Subject(
                order.channel, order.message, self._sender, order.recipient, None, None
            )
        with self._store.transaction() as tx:
            outcome = Outcome(order.status, order.detail, order.delay_s)
            return reports.plan(tx, subject, outcome, now, order.attempted_at)

    async def engagement(self, request: Request) -> Response:
        """Report what a recipient does. Refused with 400 for a message that is not tracked."""
        order = await parsed(request, EngagementOrder)
        subject = reports.subject_of(self._store, order.message, order.recipient)
        if subject is None or not reports.is_tracked(self._store, order.message):
            raise Refused(400, "BadRequest", "There is no such email with HTML that is tracked.")
        with self._store.transaction() as tx:
            engagement = Engagement(order.kind, order.context, order.user_agent)
            event_id = reports.plan_engagement(tx, subject, engagement, time.time())
        self._receiver.wake()
        return JSONResponse({"event_id": event_id}, 201)

    async def see_suppressions(self, _request: Request) -> Response:
        listed = suppressions.listed(self._store, time.time())
        addresses = [{"address": address, "until": iso(until)} for address, until in listed]
        return JSONResponse({"addresses": addresses})

    async def remove_suppressions(self, request: Request) -> Response:
        """Take `?address=` off the list, or everybody."""
        removed = suppressions.remove(self._store, request.query_params.get("address"))
        return JSONResponse({"removed": removed})

    def routes(self) -> list[Route]:
        return [
            Route("/reports", self.report, methods=["POST"]),
            Route("/engagements", self.engagement, methods=["POST"]),
            Route("/suppressions", self.see_suppressions, methods=["GET"]),
            Route("/suppressions", self.remove_suppressions, methods=["DELETE"]),
        ]
