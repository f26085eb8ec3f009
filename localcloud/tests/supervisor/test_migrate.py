import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from click.testing import CliRunner

from localcloud import migrate
from localcloud.cloud import ROOT, LocalCloud
from localcloud.tests.supervisor.fakes import until

TABLE = "CREATE SCHEMA shop; CREATE TABLE shop.goods (id int PRIMARY KEY, name text);\n"
FUNCTION = """\
-- A body with semicolons, quotes and statements; then more statements.
CREATE FUNCTION shop.label(wanted int) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    found text;
BEGIN
    SELECT name || '; $1' INTO found FROM shop.goods WHERE id = wanted;
    IF found IS NULL THEN
        RETURN 'none;';
    END IF;
    RETURN found;
END;
$$;
CREATE FUNCTION shop.price() RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT 7; END;
DO $do$ BEGIN INSERT INTO shop.goods VALUES (1, 'tea at 100 %'); END; $do$;
"""


@pytest.fixture
def url(stores: LocalCloud) -> Iterator[str]:
    """The platform's database, empty again after the test."""
    address = stores.database_url("platform")
    yield address
    with psycopg.connect(address, autocommit=True) as session:
        session.execute("DROP SCHEMA IF EXISTS shop CASCADE")
        session.execute("DROP SCHEMA public CASCADE")
        session.execute("CREATE SCHEMA public")


def write(folder: Path, **files: str) -> None:
    for name, text in files.items():
        (folder / f"{name[1:]}.sql").write_text(text)


def rows(url: str, query: str) -> list[tuple[object, ...]]:
    with psycopg.connect(url) as session:
        return session.execute(query.encode()).fetchall()


def test_files_are_applied_in_the_order_of_their_names_and_only_once(
    url: str, tmp_path: Path
) -> None:
    write(tmp_path, _0002_more="CREATE TABLE shop.more (id int);", _0001_first=TABLE)
    assert migrate.migrate(url, tmp_path) == "applied 2"
    assert migrate.migrate(url, tmp_path) == "up to date"
    write(tmp_path, _0003_last="CREATE TABLE shop.last (id int);")
    assert migrate.migrate(url, tmp_path) == "applied 1"


def test_function_bodies_and_several_statements_arrive_whole(url: str, tmp_path: Path) -> None:
    write(tmp_path, _0001_first=TABLE, _0002_function=FUNCTION)
    migrate.migrate(url, tmp_path)
    assert rows(url, "SELECT shop.label(1), shop.label(2), shop.price()") == [
        ("tea at 100 %; $1", "none;", 7)
    ]


def test_a_migration_that_fails_leaves_no_trace_and_those_before_it_stay(
    url: str, tmp_path: Path
) -> None:
    write(tmp_path, _0001_first=TABLE, _0002_bad="CREATE TABLE shop.bad (id int); SELECT 1 / 0;")
    with pytest.raises(migrate.MigrationError, match="0002_bad failed: division by zero"):
        migrate.migrate(url, tmp_path)
    assert rows(url, "SELECT to_regclass('shop.goods') IS NULL") == [(False,)]
    assert rows(url, "SELECT to_regclass('shop.bad') IS NULL") == [(True,)]
    write(tmp_path, _0002_bad="CREATE TABLE shop.bad (id int);")
    assert migrate.migrate(url, tmp_path) == "applied 1"


def test_a_migrator_that_is_killed_neither_blocks_the_next_nor_half_applies(
    url: str, tmp_path: Path
) -> None:
    write(tmp_path, _0001_first=TABLE)
    migrate.migrate(url, tmp_path)
    write(tmp_path, _0002_slow="CREATE TABLE shop.slow (id int); SELECT count(*) FROM shop.goods;")
    with psycopg.connect(url) as holder:
        holder.execute("LOCK TABLE shop.goods")  # where the second statement has to wait
        command = [sys.executable, "-m", "localcloud.migrate", "--url", url]
        command += ["--folder", str(tmp_path)]
        with subprocess.Popen(command, cwd=ROOT) as migrator:
            until(lambda: rows(url, "SELECT count(*) FROM pg_locks WHERE NOT granted") == [(1,)])
            migrator.send_signal(signal.SIGKILL)
        assert migrator.returncode == -signal.SIGKILL
        # Its session ends although it waits for the lock: nobody is there to take the answer.
        until(lambda: rows(url, "SELECT count(*) FROM pg_locks WHERE NOT granted") == [(0,)])
        assert rows(url, "SELECT to_regclass('shop.slow') IS NULL") == [(True,)]
    assert migrate.migrate(url, tmp_path) == "applied 1"


def test_two_migrators_at_once_apply_everything_once(url: str, tmp_path: Path) -> None:
    write(tmp_path, _0001_first=TABLE, _0002_function=FUNCTION)
    done: list[str] = []
    threads = [
        threading.Thread(target=lambda: done.append(migrate.migrate(url, tmp_path)))
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(done) == ["applied 2", "up to date"]


def test_the_platforms_own_migrations_apply_to_an_empty_database(url: str) -> None:
    files = sorted((ROOT / "migrations").glob("*.sql"))
    assert migrate.migrate(url, ROOT / "migrations") == f"applied {len(files)}"
    applied = rows(url, "SELECT migration_id FROM _yoyo_migration ORDER BY applied_at_utc")
    assert applied == [(file.stem,) for file in files]


def test_the_command_says_why_it_cannot_reach_the_database() -> None:
    address = "postgresql://platform:x@127.0.0.1:1/platform"
    result = CliRunner().invoke(migrate.main, ["--url", address])
    assert result.exit_code == 1
    assert result.output.startswith("Error: connection failed")
