import os
import pwd
import stat
import subprocess
from pathlib import Path

import psycopg
import pytest
import redis
from psycopg import sql

from localcloud import environment, parts, ports, postgres
from localcloud.cloud import LocalCloud
from localcloud.state import ProcessId, Secrets, StateFolder
from localcloud.tests.supervisor.fakes import until


def admin(stores: LocalCloud) -> psycopg.Connection[tuple[object, ...]]:
    password = stores.state.secrets().postgres
    return psycopg.connect(
        host="127.0.0.1",
        port=stores.ports["postgres"],
        user="postgres",
        password=password,
        dbname="postgres",
        autocommit=True,
    )


def setting(stores: LocalCloud, name: str) -> object:
    with admin(stores) as session:
        row = session.execute("SELECT current_setting(%s)", (name,)).fetchone()
    assert row is not None
    return row[0]


def postgres_process(stores: LocalCloud) -> ProcessId:
    identity = next(part.process for part in stores.record().parts if part.name == "postgres")
    assert identity is not None
    return identity


def test_the_database_is_durable_checked_and_speaks_unicode(stores: LocalCloud) -> None:
    assert setting(stores, "fsync") == "on"
    assert setting(stores, "full_page_writes") == "on"
    assert setting(stores, "synchronous_commit") == "on"
    assert setting(stores, "data_checksums") == "on"
    assert setting(stores, "server_encoding") == "UTF8"
    assert setting(stores, "password_encryption") == "scram-sha-256"
    with admin(stores) as session:
        row = session.execute("SELECT upper('straße ångström')").fetchone()
    assert row == ("STRAßE ÅNGSTRÖM",)


def test_the_database_listens_on_the_loopback_address_and_in_its_own_folder_alone(
    stores: LocalCloud,
) -> None:
    assert setting(stores, "listen_addresses") == "127.0.0.1"
    assert setting(stores, "unix_socket_directories") == f'"{_data_of(stores).parent}"'


def test_the_database_never_runs_as_root(stores: LocalCloud) -> None:
    process = postgres_process(stores).process()
    assert process is not None
    expected = pwd.getpwnam("nobody").pw_uid if os.geteuid() == 0 else os.geteuid()
    assert set(process.uids()) == {expected}


def test_a_wrong_password_is_refused(stores: LocalCloud) -> None:
    url = stores.database_url("platform").replace(stores.state.secrets().platform, "wrong")
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(url)


def test_each_database_belongs_to_an_owner_who_is_no_superuser(stores: LocalCloud) -> None:
    for database in ("platform", "durable"):
        with psycopg.connect(stores.database_url(database)) as session:
            row = session.execute(
                "SELECT current_database(), current_user, usesuper"
                " FROM pg_user WHERE usename = current_user"
            ).fetchone()
        assert row == (database, database, False)


def test_the_application_s_role_is_made_once_and_owns_nothing(stores: LocalCloud) -> None:
    secrets, port = stores.state.secrets(), stores.ports["postgres"]
    owners = {"platform": secrets.platform, "durable": secrets.durable}

    for _ in range(2):  # also where the databases were made before there was such a role
        made = postgres.create_databases(
            port, secrets.postgres, owners, {"platform_app": secrets.platform_app}
        )
        assert made == ""

    url = f"postgresql://platform_app:{secrets.platform_app}@127.0.0.1:{port}/platform"
    with psycopg.connect(url) as session:
        row = session.execute(
            "SELECT usesuper, usecreatedb,"
            " (SELECT COUNT(*) FROM pg_database WHERE datdba = usesysid)"
            " FROM pg_user WHERE usename = current_user"
        ).fetchone()
        assert row == (False, False, 0)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            session.execute("CREATE TABLE mine ()")


def test_an_owner_may_add_the_extensions_that_migrations_use(stores: LocalCloud) -> None:
    with psycopg.connect(stores.database_url("platform"), autocommit=False) as session:
        for extension in ("pg_trgm", "unaccent", "btree_gin", "citext"):
            session.execute(sql.SQL("CREATE EXTENSION {}").format(sql.Identifier(extension)))
        session.rollback()


def test_committed_rows_survive_a_power_cut_and_a_restart(stores: LocalCloud) -> None:
    url = stores.database_url("durable")
    with psycopg.connect(url, autocommit=True) as session:
        session.execute("CREATE TABLE kept AS SELECT 41 + 1 AS answer")
    stores.kill("postgres")
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(url)
    stores.start_part("postgres")
    stores.stop_part("postgres")
    stores.start_part("postgres")
    with psycopg.connect(url, autocommit=True) as session:
        assert session.execute("SELECT answer FROM kept").fetchall() == [(42,)]
        session.execute("DROP TABLE kept")


def test_open_sessions_do_not_hold_up_a_stop(stores: LocalCloud) -> None:
    with psycopg.connect(stores.database_url("durable")) as session:
        session.execute("SELECT 1")  # idle in transaction from here on
        stores.stop_part("postgres")
        with pytest.raises(psycopg.OperationalError):
            session.execute("SELECT 1")
    stores.start_part("postgres")


def test_a_pid_file_that_names_somebody_else_does_not_stop_the_database(
    stores: LocalCloud,
) -> None:
    stores.kill("postgres")
    [pid_file] = _data_of(stores).glob("postmaster.pid")
    until(lambda: not postgres._servers_in(pid_file.parent))
    lines = pid_file.read_text().splitlines()
    # Its pid went to a process of the same user, which PostgreSQL would take for a server.
    with subprocess.Popen(["/bin/sleep", "600"], **postgres._as_user()) as bystander:
        pid_file.write_text("\n".join([str(bystander.pid), *lines[1:]]) + "\n")
        stores.start_part("postgres")
        bystander.kill()


def test_the_cache_forgets_and_stays_small(stores: LocalCloud) -> None:
    client = redis.Redis(port=stores.ports["valkey"])
    with client:
        assert client.config_get("maxmemory") == {"maxmemory": str(128 * 1024 * 1024)}
        assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "volatile-lru"}
        assert client.config_get("bind") == {"bind": "127.0.0.1"}
        client.set("key", "value")
        stores.kill("valkey")
        stores.start_part("valkey")
        assert client.get("key") is None


def test_what_the_database_needs_stays_private(stores: LocalCloud) -> None:
    folder = _data_of(stores).parent
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    socket = f".s.PGSQL.{stores.ports['postgres']}"
    found = {path.name for path in folder.iterdir()}
    assert found - {"programs"} == {"data", socket, f"{socket}.lock"}


def test_a_half_made_cluster_is_made_again(state_dir: Path) -> None:
    state = StateFolder(state_dir)
    state.create()
    postgres.prepare(state, "password")
    data = postgres._place(state).data
    data.rename(data.with_name("data.part"))
    (data.with_name("data.part") / "PG_VERSION").write_text("1")
    postgres.prepare(state, "password")
    assert (data / "PG_VERSION").read_text() == "18\n"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root's state folder can be closed to the user")
def test_where_the_database_user_cannot_enter_its_data_lives_elsewhere_and_status_says_so(
    state_dir: Path, caplog: pytest.LogCaptureFixture
) -> None:
    state_dir.parent.chmod(0o700)
    with LocalCloud(state_dir, steps=[parts.POSTGRES]) as cloud:
        place = postgres._place(cloud.state)
        assert not place.folder.is_relative_to(state_dir)
        [part] = cloud.record().parts
        assert part.note == f"data in {place.folder}: nobody cannot enter the state folder"
    assert caplog.records[0].getMessage() == (
        f"the user nobody cannot enter {state_dir}: the database lives in {place.folder}"
    )
    assert postgres._place(cloud.state) == place
    cloud.erase()
    assert not place.folder.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root starts it as another user")
def test_programs_that_the_database_user_cannot_reach_are_copied(
    state_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = state_dir.parent / "closed"
    closed.mkdir(mode=0o700)
    hidden = closed / "pginstall"
    hidden.symlink_to(postgres._installed())
    monkeypatch.setattr(postgres, "_installed", lambda: hidden)
    with LocalCloud(state_dir, steps=[parts.POSTGRES]) as cloud:
        place = postgres._place(cloud.state)
        assert place.programs.is_relative_to(place.folder / "programs")
    cloud.erase()


def _data_of(stores: LocalCloud) -> Path:
    return postgres._place(stores.state).data


def test_the_application_reaches_its_database_over_the_socket_in_the_servers_own_folder(
    stores: LocalCloud,
) -> None:
    folder = postgres.socket_folder(stores.state)
    assert folder is not None
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    for setting in ("PG_URL", "PG_READ_URL"):
        with psycopg.connect(stores.environment[setting]) as session:
            assert session.info.host == str(folder)
            assert session.execute("SELECT current_user").fetchone() == ("platform_app",)


def test_a_socket_does_not_do_without_the_password(stores: LocalCloud) -> None:
    url = stores.environment["PG_URL"].replace(stores.state.secrets().platform_app, "wrong")
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(url)


def test_a_socket_lock_whose_pid_is_another_processs_by_now_is_no_obstacle(
    stores: LocalCloud,
) -> None:
    folder = postgres.socket_folder(stores.state)
    assert folder is not None
    stores.kill("postgres")
    lock = folder / f".s.PGSQL.{stores.ports['postgres']}.lock"
    lock.write_text(lock.read_text().replace(lock.read_text().partition("\n")[0], str(os.getpid())))
    stores.start_part("postgres")
    with psycopg.connect(stores.environment["PG_URL"]) as session:
        assert session.execute("SELECT 1").fetchone() == (1,)


@pytest.mark.parametrize("name", ["long" * 30, "a,b"])
def test_where_the_path_does_not_do_for_a_socket_the_application_uses_tcp(
    tmp_path: Path, name: str
) -> None:
    secrets = Secrets.fresh()
    sockets = postgres.socket_folder(StateFolder(tmp_path / name))

    settings = environment.application_settings(ports.DEFAULTS, secrets, sockets)

    user = f"platform_app:{secrets.platform_app}"
    assert settings["PG_URL"] == f"postgresql://{user}@127.0.0.1:5433/platform"


def test_a_socket_folder_with_odd_characters_stands_in_the_address() -> None:
    url = environment.database_url({"postgres": 5433}, "durable", "pw", Path("/a b/d&e"))

    assert url == "postgresql://durable:pw@/durable?host=%2Fa%20b%2Fd%26e&port=5433"
    assert psycopg.conninfo.conninfo_to_dict(url)["host"] == "/a b/d&e"
