"""The way to PostgreSQL: one pool per process, one transaction per use case."""

import asyncio
import contextlib
import select
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import psycopg
import psycopg.errors
from psycopg.abc import PQGen
from psycopg.conninfo import conninfo_to_dict
from psycopg.generators import send
from psycopg.rows import TupleRow
from psycopg.types.json import JsonbDumper
from psycopg_pool import AsyncConnectionPool, PoolClosed, PoolTimeout, TooManyRequests

type Transaction = psycopg.AsyncConnection[TupleRow]
"""A connection inside a transaction; a repository function takes one and never commits."""

type Pending[T] = Callable[[], Awaitable[T]]
"""The answer to a query that is on its way: call it to wait for it.

Queries that are asked before the first answer is read share a round trip, in a block of
`Database.reading(pipelined=True)` or `Database.pipelined`. After such a block every answer is here.
"""

UNAVAILABLE: tuple[type[Exception], ...] = (
    psycopg.OperationalError,
    # A standby after a failover, or a server that writes no more because its storage is full.
    psycopg.errors.ReadOnlySqlTransaction,
    PoolTimeout,
    PoolClosed,
    TooManyRequests,
)
"""Faults of the database that a later attempt may not meet: the caller should try again."""

CONNECT_TIMEOUT_S = 5
WAIT_FOR_CONNECTION_S = 5.0
WAITERS_PER_CONNECTION = 20

# Nothing of a session is kept between transactions (PgBouncer hands sessions around), so the
# limits are set for each transaction, in the round trip that begins it.
_BEGIN = """
    BEGIN ISOLATION LEVEL READ COMMITTED;
    SET LOCAL statement_timeout = '{statement_ms}ms';
    SET LOCAL idle_in_transaction_session_timeout = '30s'
"""

_BEGIN_ONLY = b"BEGIN ISOLATION LEVEL READ COMMITTED"
_LIMITS = """
    SELECT
        set_config('statement_timeout', '{statement_ms}ms', true),
        set_config('idle_in_transaction_session_timeout', '30s', true)
"""

psycopg.adapters.register_dumper(dict, JsonbDumper)


class _Together(psycopg.AsyncPipeline):
    """A pipeline that sends nothing until an answer is wanted, and then everything at once.

    psycopg's own sends statement by statement, each with a system call and a turn of the event loop
    here, and another wake-up of the server there: together they cost more than the statements.
    """

    def _communicate_gen(self) -> PQGen[None]:
        return
        yield  # a generator, as psycopg expects

    def _fetch_gen(self, *, flush: bool) -> PQGen[None]:
        while self.command_queue:
            self.command_queue.popleft()()
        if not flush:
            yield from send(self.pgconn)
        yield from super()._fetch_gen(flush=flush)

    def _exit_gen(self) -> PQGen[None]:
        self._enqueue_sync()  # the server answers at a sync without being asked to flush
        yield from self._fetch_gen(flush=False)


@contextlib.asynccontextmanager
async def _together(connection: psycopg.AsyncConnection[Any]) -> AsyncIterator[None]:
    connection._pipeline = _Together(connection)  # noqa: SLF001 - it would make its own kind
    async with connection.pipeline():
        yield


class Database:
    """Connections to the database at `conninfo`, opened when first needed.

    The pool belongs to the event loop that uses it first: the worker may import the application
    before, or outside of, the loop that serves.
    """

    def __init__(
        self,
        conninfo: str,
        *,
        max_size: int = 10,
        prepare: bool = True,
        statement_timeout_s: float = 10.0,
        password: Callable[[], Awaitable[str]] | None = None,
    ) -> None:
        """`password` is asked for each connection, if `conninfo` holds none and demands TLS."""
        self._conninfo, self._max_size, self._prepare = conninfo, max_size, prepare
        self._password = password if password and _wants_password(conninfo) else None
        self._statement_timeout_s = statement_timeout_s
        self._begin = _BEGIN.format(statement_ms=int(statement_timeout_s * 1000)).encode()
        self._limits = _LIMITS.format(statement_ms=int(statement_timeout_s * 1000)).encode()
        self._pool: AsyncConnectionPool[psycopg.AsyncConnection[TupleRow]] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    @contextlib.asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        """READ COMMITTED, all or nothing: commits on leaving, rolls back on an exception.

        `async with tx.transaction():` inside is a savepoint. Raises one of UNAVAILABLE when there
        is no connection to be had; deadlocks and lost connections are psycopg's errors.
        """
        async with self._connection() as connection:
            # Several statements in one string cannot be prepared. `_connection` ends what it opens.
            await connection.execute(self._begin, prepare=False)
            yield connection

    @contextlib.asynccontextmanager
    async def pipelined(self) -> AsyncIterator[Transaction]:
        """A transaction that waits for the server only where an answer is read.

        BEGIN travels with the first statements and COMMIT with the last, so that a block that reads
        nothing is one round trip. The price: a statement's fault is raised where its answer, or a
        later one, is read, or at the end of the block; and `rowcount` is unknown before `fetch…`.
        """
        async with self._connection() as connection, _together(connection):
            await connection.execute(_BEGIN_ONLY, prepare=False)
            await connection.execute(self._limits)
            yield connection
            await connection.execute(b"COMMIT", prepare=False)

    @contextlib.asynccontextmanager
    async def reading(self, *, pipelined: bool = False) -> AsyncIterator[Transaction]:
        """A connection for queries: each statement sees what is committed when it starts.

        Half the round trips of a transaction. For writes use `transaction`, or `statement` for a
        single one. The whole block must end within the statement timeout, else
        psycopg.errors.QueryCanceled. See `Pending` for `pipelined`.
        """
        async with self._connection() as connection:
            pipeline = _together(connection) if pipelined else contextlib.nullcontext()
            async with self._in_time(), pipeline:
                yield connection

    @contextlib.asynccontextmanager
    async def statement(self) -> AsyncIterator[Transaction]:
        """A connection for one statement that writes: it commits by itself, all or nothing.

        Half the round trips of a transaction. A second statement would be a second transaction: a
        crash may come between them. Times out as `reading` does; whether the statement took effect
        is not known then.
        """
        async with self._connection() as connection, self._in_time():
            yield connection

    @contextlib.asynccontextmanager
    async def _in_time(self) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(self._statement_timeout_s):
                yield
        except TimeoutError as fault:
            raise psycopg.errors.QueryCanceled("the database took too long") from fault

    async def close(self) -> None:
        """Close every connection; the next use opens a new pool."""
        pool, self._pool, self._loop = self._pool, None, None
        if pool is not None:
            await pool.close()

    @contextlib.asynccontextmanager
    async def _connection(self) -> AsyncIterator[psycopg.AsyncConnection[TupleRow]]:
        """A connection from the pool, whose open transaction ends with the block.

        Like the pool's own `connection`, but connections that a restart of the server has ended
        are replaced at once; the pool's check waits a second and longer for each.
        """
        pool = await self._opened()
        connection = await pool.getconn()
        for _ in range(self._max_size):
            if not _ended(connection):
                break
            await connection.close()
            await pool.putconn(connection)
            connection = await pool.getconn()
        try:
            async with connection:
                yield connection
        finally:
            await pool.putconn(connection)

    async def _opened(self) -> AsyncConnectionPool[psycopg.AsyncConnection[TupleRow]]:
        loop = asyncio.get_running_loop()
        if self._pool is None or self._loop is not loop:
            options: dict[str, Any] = {
                "autocommit": True,
                "prepare_threshold": 5 if self._prepare else None,
                "connect_timeout": CONNECT_TIMEOUT_S,
                "application_name": "platform",
            }
            self._pool = AsyncConnectionPool(
                self._conninfo,
                kwargs=options if self._password is None else self._with_password(options),
                min_size=1,
                max_size=self._max_size,
                max_waiting=self._max_size * WAITERS_PER_CONNECTION,
                timeout=WAIT_FOR_CONNECTION_S,
                configure=_speak_utc,
                open=False,
                name="platform",
            )
            self._loop = loop
            await self._pool.open()
        return self._pool

    def _with_password(self, options: dict[str, Any]) -> Callable[[], Awaitable[dict[str, Any]]]:
        """The options of the next connection: a token is good for an hour, a pool for longer."""
        password = self._password
        assert password is not None

        async def next_options() -> dict[str, Any]:
            try:
                return options | {"password": await password()}
            except Exception as fault:
                # What the pool tries again, and what UNAVAILABLE tells its callers.
                raise psycopg.OperationalError("there is no token for the database") from fault

        return next_options


def _wants_password(conninfo: str) -> bool:
    """Whether a password is missing, and would be sent to nobody but the server."""
    given = conninfo_to_dict(conninfo)
    return not given.get("password") and given.get("sslmode") in {"verify-ca", "verify-full"}


def _ended(connection: psycopg.AsyncConnection[Any]) -> bool:
    """Whether the server has ended a pooled connection; costs no round trip.

    An idle server says nothing: something to read is its farewell.
    """
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN)
    return bool(poll.poll(0))


async def _speak_utc(connection: psycopg.AsyncConnection[Any]) -> None:
    """Timestamps are read in UTC. PgBouncer tracks this parameter, unlike other session state."""
    if connection.info.parameter_status("TimeZone") not in {"UTC", "Etc/UTC"}:
        await connection.execute("SET TIME ZONE 'UTC'")
