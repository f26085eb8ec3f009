"""Brings a database to the newest schema: `python -m localcloud.migrate --url postgresql://...`."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
import psycopg
from yoyo import read_migrations
from yoyo.backends.core.postgresql import PostgresqlPsycopgBackend
from yoyo.connections import parse_uri
from yoyo.migrations import default_migration_table

_LOCK = 7_211_026
"""The advisory lock of whoever migrates; any number will do as long as nobody else uses it."""

_SERVER_OPTIONS = "-c client_connection_check_interval=1s -c timezone=UTC"
"""Lets the server notice within a second that a migrator died, and drop what it was doing."""


class MigrationError(Exception):
    """A migration failed and left no trace; the message names it and the database's reason."""


class _Backend(PostgresqlPsycopgBackend):  # type: ignore[misc]  # yoyo ships no types
    """yoyo's bookkeeping, made to survive a migrator that is killed.

    yoyo applies a migration in one transaction and marks it as applied in another, and its lock is
    a row that outlives its owner. Here both happen in one transaction, and the lock is PostgreSQL's
    own, which goes with the session.
    """

    def init_database(self) -> None:
        """Nothing: its own lock table is not used, and that DDL rolls back need not be tried."""

    @contextmanager
    def lock(self, timeout: float = 10) -> Iterator[None]:  # noqa: ARG002 - waits while one lives
        self.connection.execute("SELECT pg_advisory_lock(%s)", (_LOCK,))
        try:
            yield
        finally:
            self.connection.execute("SELECT pg_advisory_unlock(%s)", (_LOCK,))

    def apply_one(self, migration: Any, force: bool = False, mark: bool = True) -> None:  # noqa: ARG002
        # The whole file in one message: PostgreSQL tells statements from $$-quoted bodies itself.
        with self.transaction():
            self.connection.execute(Path(migration.path).read_text(encoding="utf-8"))
            self.mark_one(migration, log=False)


def migrate(url: str, folder: Path) -> str:
    """Apply what is new in `folder`, in the order of the file names. Returns what was done.

    Waits while another process migrates the same database. Each file is one transaction.
    MigrationError when one fails; those before it stay applied.
    """
    logging.getLogger("yoyo").setLevel(logging.WARNING)
    backend = _Backend(_address(url), default_migration_table)
    with backend, backend.lock():
        backend.ensure_internal_schema_updated()
        waiting = list(backend.to_apply(read_migrations(str(folder))))
        for migration in waiting:
            try:
                backend.apply_one(migration)
            except psycopg.Error as refused:
                raise MigrationError(f"{migration.id} failed: {refused}") from refused
    return f"applied {len(waiting)}" if waiting else "up to date"


def _address(url: str) -> Any:
    scheme, _, rest = url.partition("://")
    address = parse_uri(f"{scheme}+psycopg://{rest}")
    return address._replace(args={"options": _SERVER_OPTIONS, **address.args})


@click.command()
@click.option(
    "--url", required=True, envvar="PG_URL", help="Database, as postgresql://user:password@host/db."
)
@click.option(
    "--folder",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=Path("migrations"),
    show_default=True,
    help="Folder of the .sql files.",
)
def main(url: str, folder: Path) -> None:
    """Apply the migrations that a database does not have yet."""
    try:
        click.echo(migrate(url, folder))
    except (MigrationError, psycopg.OperationalError) as failed:
        raise click.ClickException(str(failed)) from failed


if __name__ == "__main__":
    main()
