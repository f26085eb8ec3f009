"""What keeps an order at a moment of its saga until the test lets it go: no hook, no sleep."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Protocol

from tests.rig.partners import Barrier
from tests.rig.postgres import RowLock

STOCK = "SELECT 1 FROM products.inventory WHERE product_id = %s FOR UPDATE"
# Weak enough for the foreign keys that earlier steps check, strong enough for the order's own move.
ORDER = "SELECT 1 FROM orders.orders WHERE id = %s FOR NO KEY UPDATE"
WORK_ITEM = "SELECT 1 FROM durable.tasks WHERE instance_id LIKE %s || '%%' AND name = %s FOR UPDATE"
# Every step looks at its order first, so this stops all of them before they do anything.
ALL_ORDERS = "LOCK TABLE orders.orders IN ACCESS EXCLUSIVE MODE"


class Hold(Protocol):
    """A place where somebody waits."""

    async def reached(self) -> None:
        """Return once somebody waits here. AssertionError if nobody comes."""
        ...

    async def let_go(self, killed: Collection[str] = ()) -> None:
        """Let whoever waits go on; `killed` are the parts that died meanwhile."""
        ...


@dataclass(frozen=True)
class AtPartner:
    """A request waits inside a partner."""

    barrier: Barrier

    async def reached(self) -> None:
        await self.barrier.reached()

    async def let_go(self, killed: Collection[str] = ()) -> None:
        if self.barrier.partner.name not in killed:
            await self.barrier.release()


@dataclass(frozen=True)
class AtLock:
    """A statement waits inside PostgreSQL."""

    lock: RowLock

    async def reached(self) -> None:
        await self.lock.waited_for()

    async def let_go(self, killed: Collection[str] = ()) -> None:
        # Who waits for a killed host dies with it; a server process alone would still go on.
        if "functions" in killed:
            await self.lock.end_waiters()
        await self.lock.let_go()


async def locked(url: str, statement: str, *parameters: str) -> AtLock:
    """The lock that `statement` takes, held from now on."""
    lock = RowLock(url, statement, *parameters)
    await lock.hold()
    return AtLock(lock)
