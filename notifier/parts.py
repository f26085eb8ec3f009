"""What the endpoints share: made once, by `app.py`."""

from dataclasses import dataclass

from notifier.backplane import Backplane
from notifier.client import Client, Transport
from notifier.door import Door
from notifier.entries import HubDialect, StreamDialect
from notifier.hub import Hub
from notifier.keys import Keys
from notifier.metrics import Metrics
from notifier.people import Person
from notifier.problems import Draining
from notifier.registry import Registry
from notifier.session import Session
from notifier.settings import Settings
from notifier.tickets import Tickets
from shared.problem import ServiceUnavailable

HUB_DIALECT, STREAM_DIALECT = HubDialect(), StreamDialect()


@dataclass(frozen=True)
class Parts:
    """A replica."""

    settings: Settings
    metrics: Metrics
    door: Door
    keys: Keys
    tickets: Tickets
    registry: Registry
    backplane: Backplane
    hub: Hub

    def require_room(self) -> None:
        """Raises Draining or ServiceUnavailable when this replica can take no client now."""
        if self.registry.draining:
            raise Draining("this server is going down: come again, another one answers")
        if self.registry.full:
            raise ServiceUnavailable("this server has as many connections as it takes")
        if self.registry.position is None:
            raise ServiceUnavailable("this server cannot read messages yet")

    def client(self, person: Person, transport: Transport) -> Client:
        """A client that is not here yet."""
        dialect = STREAM_DIALECT if transport == "stream" else HUB_DIALECT
        return Client(person, transport, dialect, settings=self.settings, metrics=self.metrics)

    def session(self, client: Client) -> Session:
        """What a hub client has to say."""
        return Session(
            client, self.hub, self.registry, settings=self.settings, metrics=self.metrics
        )
