"""The task hub's database, looked at from outside: one read-only session for each page.

The public management API would be the polite way in, but it does not carry what a person needs
here: it lists oldest first, cannot count or select by name, tells neither parents nor what is
quarantined, and its history leaves out the ids that pair an answer with its question, so that two
calls of the same activity could not be told apart. So the statements of `listing.py` and
`instance.py` know the tables of `localcloud/durable/sql/`. They cannot write: the sessions are read
only by their settings. Each sees one state of the hub. There is no pool, so that a dashboard nobody
looks at costs the server nothing.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import psycopg
from psycopg import AsyncConnection, errors

DEADLINE_S: Final = 10.0
_CONNECT_S: Final = 3
STATEMENT_S: Final = 5.0
_OPTIONS: Final = (
    "-c default_transaction_read_only=on -c default_transaction_isolation=repeatable\\ read "
    "-c timezone=UTC -c statement_timeout="
)

_WHEN_DOWN: Final = (
    "`python -m localcloud status` shows whether it runs, `python -m localcloud logs postgres` "
    "what it says. A crashed server is started again within seconds; then this page works again."
)
_WHEN_NEW: Final = (
    "The Functions host makes it at its first start: see `python -m localcloud logs functions`."
)
_WHEN_SLOW: Final = (
    "Ask for less, such as a shorter range of time, or try again when the machine is less busy."
)


class Unreadable(Exception):
    """The task hub cannot be read now; the message says why, `advice` what to do."""

    def __init__(self, why: str, advice: str) -> None:
        super().__init__(why)
        self.advice = advice


class TaskHub:
    """The database of a Durable back end; no statement may take longer than `statement_s`."""

    def __init__(self, dsn: str, *, statement_s: float = STATEMENT_S) -> None:
        self._dsn, self._options = dsn, f"{_OPTIONS}{round(statement_s * 1000)}"

    @asynccontextmanager
    async def session(self) -> AsyncIterator[AsyncConnection[Any]]:
        """A connection for one page, in one transaction. Whatever fails is raised as Unreadable."""
        try:
            async with (
                asyncio.timeout(DEADLINE_S),
                await AsyncConnection.connect(
                    self._dsn,
                    options=self._options,
                    connect_timeout=_CONNECT_S,
                    application_name="dashboard",
                    prepare_threshold=None,
                ) as session,
            ):
                yield session
        except (errors.UndefinedTable, errors.InvalidSchemaName) as missing:
            raise Unreadable("There is no task hub yet.", _WHEN_NEW) from missing
        except (errors.QueryCanceled, TimeoutError) as slow:
            raise Unreadable("The database took too long to answer.", _WHEN_SLOW) from slow
        except psycopg.OperationalError as refused:
            reason = str(refused).strip().partition("\n")[0]
            if reason.endswith("does not exist"):  # so says the server of a database
                raise Unreadable("There is no task hub yet.", _WHEN_NEW) from refused
            raise Unreadable(f"PostgreSQL does not answer: {reason}", _WHEN_DOWN) from refused
