"""Asking the gateway about what was left without an answer, and letting go of late money."""

from collections.abc import Iterable
from datetime import timedelta
from uuid import UUID

from blueprints.payments import accounts_repository, conversations_repository, refunds_repository
from blueprints.payments.answering import Answering
from blueprints.payments.authorising import Authorising
from blueprints.payments.models import Account, Gateway, OrderBook, PaymentNotice
from blueprints.payments.refunding import Refunding
from shared import inbox, telemetry
from shared.db import Database

BATCH = 100
NOTICES = "payments-notices"
"""Under this name the inbox knows which notices of the gateway's have been followed up."""

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

    async def told(self, notice: PaymentNotice) -> None:
        """Ask the gateway about a payment because it says that something happened to it.

        Nothing of the notice is believed, so a forged or old one does no harm, and one about a
        payment that is not ours does nothing. What a call under way is about to answer is left to
        that call. Raises GatewayFault; then the gateway sends the notice again.
        """
        try:
            order_id = UUID(notice.data.reference)
        except ValueError:
            _log.warning("a notice about no order of ours: %s", notice.type)
            return
        async with self._database.reading() as tx:
            if await inbox.is_done(tx, NOTICES, notice.id):
                return
        if await self._is_quiet(order_id):
            await self._ask(order_id, on_notice=True)
            await self._let_late_money_go(order_id)
        async with self._database.transaction() as tx:
            await inbox.claim(tx, NOTICES, notice.id)

    async def _is_quiet(self, order_id: UUID) -> bool:
        """Whether the order has a payment, and nobody waits for an answer about it."""
        async with self._database.transaction() as tx:
            account = await accounts_repository.locked(tx, order_id)
            return account is not None and not await conversations_repository.is_asking(
                tx, account.id, self._age
            )

    async def _settle(self, order_ids: Iterable[UUID]) -> None:
        for order_id in order_ids:
            try:
                await self._ask(order_id)
                await self._let_late_money_go(order_id)
            except Exception as fault:  # noqa: BLE001 - one order must not hold up the others
                _log.warning("order_id=%s: %s", order_id, telemetry.describe(fault))

    async def _ask(self, order_id: UUID, *, on_notice: bool = False) -> None:
        """Book the gateway's present word on the payment of the order.

        On notice also where nothing was asked: customers confirm on the gateway's own page too, and
        what is held there does not stay held for ever.
        """
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
        elif (
            (asked["confirm"] and account.status == "requires_action")
            or (asked["capture"] and account.status == "authorized")
            or (on_notice and account.status in {"requires_action", "authorized"})
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
