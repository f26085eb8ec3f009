"""What all slices share is tried with tables of its own, which only the owner may make."""

from collections.abc import AsyncIterator

import pytest

from shared.db import Database


@pytest.fixture(scope="module")
async def database(database_url: str) -> AsyncIterator[Database]:
    """The module's database, opened as its owner."""
    opened = Database(database_url)
    yield opened
    await opened.close()
