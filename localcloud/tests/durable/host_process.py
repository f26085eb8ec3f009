"""A host in a process of its own, for tests that kill it: `python -m …host_process DSN`.

Its one activity writes down that it took effect, then waits until the test lets it end.
"""

import asyncio
import sys
import warnings

import psycopg

from localcloud.durable import DurableBackend
from localcloud.tests.durable.sdk import HUB, SdkInvoker, effect_orchestrators, names

warnings.simplefilter("ignore")

GATE = 7001
"""The advisory lock behind which the activity waits."""


async def main(dsn: str) -> None:
    async def effect(what: str) -> str:
        async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as connection:
            await connection.execute("INSERT INTO effects (what) VALUES (%s)", [what])
            await connection.execute("SELECT pg_advisory_lock_shared(%s)", [GATE])
        return what.upper()

    orchestrators, activities = effect_orchestrators(), {"effect": effect}
    backend = DurableBackend(
        dsn,
        hub=HUB,
        invoker=SdkInvoker(orchestrators, activities),
        orchestrators=names(orchestrators),
        activities=names(activities),
    )
    await backend.start()
    sys.stdout.write("READY\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
