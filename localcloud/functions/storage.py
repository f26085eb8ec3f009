"""What an app keeps things in: the running local cloud's PostgreSQL and Azurite, or its own."""

import contextlib
import hashlib
import re
from pathlib import Path

from localcloud import postgres
from localcloud.cloud import LocalCloud
from localcloud.environment import database_url
from localcloud.functions.logs import host_log
from localcloud.parts import AZURITE, POSTGRES, Step
from localcloud.ports import DEFAULTS
from localcloud.state import CloudRecord, Secrets, StateFolder
from localcloud.storage import azurite

_NAME_LENGTH = 40


class Storage:
    """Finds or starts servers, and makes the database of a task hub there."""

    def __init__(self, folder: Path, script_root: Path, cloud: CloudRecord | None) -> None:
        """`folder` is for servers of its own; `cloud` is the local cloud that runs, if any."""
        self._database, self._emulator = folder / "storage", folder / "emulator"
        self._script_root, self._cloud = script_root, cloud
        self._own: dict[Path, LocalCloud] = {}

    def has_database(self) -> bool:
        """Whether PostgreSQL runs already or was needed before, so that it costs little."""
        return self._cloud is not None or self._database.exists()

    def has_emulator(self) -> bool:
        """Whether Azurite runs already or was needed before."""
        return self._cloud is not None or self._emulator.exists()

    def account(self) -> str:
        """The connection string of the emulator's account; starts Azurite when none runs.

        One on Azurite's own ports counts too. Raises what starting it raises: StateError,
        StartError.
        """
        if self._cloud is not None:
            return azurite.connection_string(self._cloud.ports)
        if self._emulator not in self._own:
            with contextlib.suppress(OSError):
                azurite.probe(DEFAULTS)
                return azurite.connection_string(DEFAULTS)
        return azurite.connection_string(self._running(self._emulator, AZURITE, "Azurite").ports)

    def dsn(self, hub: str, cloud_state: Path) -> str:
        """The connection string of the database for `hub`; starts a server when there is none.

        Two apps have two databases, even if their hubs bear the same name: Azure's default does.
        Raises what starting a server raises: StateError, StartError, PostgresError.
        """
        if self._cloud is not None:
            ports, secrets = self._cloud.ports, StateFolder(cloud_state).secrets()
        else:
            own = self._running(self._database, POSTGRES, "PostgreSQL for Durable Functions")
            ports, secrets = own.ports, own.state.secrets()
        name = _database_name(hub, self._script_root)
        self._make(name, ports["postgres"], secrets)
        return database_url(ports, name, secrets.durable)

    @staticmethod
    def _make(name: str, port: int, secrets: Secrets) -> None:
        postgres.create_databases(port, secrets.postgres, {name: secrets.durable})

    def _running(self, folder: Path, step: Step, what: str) -> LocalCloud:
        if folder not in self._own:
            host_log.info("Starting %s in %s", what, folder)
            own = LocalCloud(folder, steps=(step,))
            own.start()
            self._own[folder] = own
        return self._own[folder]

    def stop(self) -> None:
        """Stop the servers that were started here, if any; the data stays."""
        while self._own:
            self._own.popitem()[1].stop()


def _database_name(hub: str, script_root: Path) -> str:
    plain = re.sub(r"[^a-z0-9]+", "_", hub.lower()).strip("_")[:_NAME_LENGTH]
    return f"hub_{plain}_{hashlib.sha256(str(script_root).encode()).hexdigest()[:8]}"
