"""shared.db against a real PostgreSQL."""

from uuid import UUID

from shared.db import Database


async def test_a_transaction_commits_on_leaving(database: Database) -> None:
    for number in range(8):  # more often than the threshold for preparing
        async with database.transaction() as tx:
            await tx.execute("SELECT %s", (number,))
    async with database.reading() as tx:
        row = await (await tx.execute("SELECT current_setting('TimeZone')")).fetchone()
        assert row == ("UTC",)
