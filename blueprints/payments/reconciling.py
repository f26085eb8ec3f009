"""Asking the gateway about what was left without an answer, and letting go of late money."""

from collections.abc import Iterable
from datetime import timedelta
from uuid import UUID

from blueprints.payments import accounts_repository, conversations_repository, refunds_repository
from blueprints.payments.answering import Answering
from blueprints.payments.authorising import Authorising
from blueprints.payments.models import Account, Gateway, OrderBook
from blueprints.payments.refunding import Refunding
from shared import telemetry
from shared.db import Database

BATCH = 100

_log = telemetry.logger(__name__)


class Reconciling:
    """Runs beside the sagas: everything it does, a saga's step may be doing at the same time.

    `after_s` is how long a question may be open before we ask, in seconds: longer than a call and
    its first retries, because until then its saga is about to ask itself.
    """

    def __init__(
        self,
        database: Database,
        orders: OrderBook,
        gateway: Gateway,
        *,
        authorising: Authorising,
        refunding: Refunding,
        answering: Answering,
        after_s: float,
    ) -> None:
        self._database, self._orders, self._gateway = database, orders, gateway
        self._authorising, self._refunding, self._answering = authorising, refunding, answering
        self._age = timedelta(seconds=after_s)

    async def run(self) -> int:
        """Settle what can be settled, a batch at a time; how many orders were looked at.

        A gateway that does not answer leaves things as they are, for the next run.
        """
        async with self._database.reading() as tx:
            refunds = await refunds_repository.pending_before(tx, age=self._age, limit=BATCH)
            questions = await conversations_repository.open_before(tx, age=self._age, limit=BATCH)
            unsettled = await accounts_repository.unsettled_before(tx, age=self._age, limit=BATCH)
        for refund in refunds:
            try:
                await self._refunding.settle(refund)
            except Exception as fault:  # noqa: BLE001 - one refund must not hold up the others
                _log.warning("refund_id=%s: %s", refund.id, telemetry.describe(fault))
        order_ids = {*questions, *unsettled}
        await self._settle(order_ids)
        return len(order_ids | {refund.order_id for refund in refunds})

    async def _settle(self, order_ids: Iterable[UUID]) -> None:
        for order_id in order_ids:
            try:
                await self._ask(order_id)
                await self._let_late_money_go(order_id)
            except Exception as fault:  # noqa: BLE001 - one order must not hold up the others
                _log.warning("order_id=%s: %s", order_id, telemetry.describe(fault))

    async def _ask(self, order_id: UUID) -> None:
        """Book the gateway's present word on the payment of the order."""
        async with self._database.transaction() as tx:
            account = await accounts_repository.locked(tx, order_id)
            if account is None:
                return
            asked = {
                kind: await conversations_repository.has_open(tx, account.id, kind)
                for kind in ("authorize", "confirm", "capture")
            }
        if asked["authorize"] and account.status in {"pending", "unknown"}:
            await self._authorising.resolved(account)
        elif (asked["confirm"] and account.status == "requires_action") or (
            asked["capture"] and account.status == "authorized"
        ):
            await self._look(account)

    async def _look(self, account: Account) -> None:
        assert account.gateway_id is not None, "it is at the gateway"
        said = await self._gateway.get(account.gateway_id)
        if said.status != account.status:
            await self._answering.book(account, said)

    async def _let_late_money_go(self, order_id: UUID) -> None:
        """An order that is cancelled keeps no money, however late it came."""
        order = await self._orders.fulfilment(order_id)
        if order is not None and order.status == "cancelled":
            await self._refunding.refund_for_order(order_id)
            await self._authorising.void(order_id)
