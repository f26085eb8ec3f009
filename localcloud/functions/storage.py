"""The PostgreSQL database of an app's task hub: on the running local cloud's server, or its own."""

import hashlib
import re
from pathlib import Path

from localcloud import postgres
from localcloud.cloud import LocalCloud
from localcloud.environment import database_url
from localcloud.functions.logs import host_log
from localcloud.parts import POSTGRES
from localcloud.state import CloudRecord, Secrets, StateFolder

_NAME_LENGTH = 40


class Storage:
    """Finds or starts a server, and makes the database of a task hub there."""

    def __init__(self, folder: Path, script_root: Path, cloud: CloudRecord | None) -> None:
        """`folder` is for a server of its own; `cloud` is the local cloud that runs, if any."""
        self._folder, self._script_root, self._cloud = folder, script_root, cloud
        self._own: LocalCloud | None = None

    def is_at_hand(self) -> bool:
        """Whether a server runs already or was needed before, so that it costs little."""
        return self._cloud is not None or self._folder.exists()

    def dsn(self, hub: str, cloud_state: Path) -> str:
        """The connection string of the database for `hub`; starts a server when there is none.

        Two apps have two databases, even if their hubs bear the same name: Azure's default does.
        Raises what starting a server raises: StateError, StartError, PostgresError.
        """
        if self._cloud is not None:
            ports, secrets = self._cloud.ports, StateFolder(cloud_state).secrets()
        else:
            own = self._own or self._start()
            ports, secrets = own.ports, own.state.secrets()
        name = _database_name(hub, self._script_root)
        self._make(name, ports["postgres"], secrets)
        return database_url(ports, name, secrets.durable)

    @staticmethod
    def _make(name: str, port: int, secrets: Secrets) -> None:
        postgres.create_databases(port, secrets.postgres, {name: secrets.durable})

    def _start(self) -> LocalCloud:
        host_log.info("Starting PostgreSQL for Durable Functions in %s", self._folder)
        own = LocalCloud(self._folder, steps=(POSTGRES,))
        own.start()
        self._own = own
        return own

    def stop(self) -> None:
        """Stop the server that was started here, if any; the data stays."""
        if self._own is not None:
            self._own.stop()
            self._own = None


def _database_name(hub: str, script_root: Path) -> str:
    plain = re.sub(r"[^a-z0-9]+", "_", hub.lower()).strip("_")[:_NAME_LENGTH]
    return f"hub_{plain}_{hashlib.sha256(str(script_root).encode()).hexdigest()[:8]}"
