"""The ways out of this process: to webhooks, functions, Service Bus and storage."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from localcloud.eventgrid.courier import Sender
from localcloud.eventgrid.destinations import FUNCTION, WEBHOOK
from localcloud.eventgrid.elements import SpecRefused
from localcloud.eventgrid.specs import SubscriptionSpec
from localcloud.eventgrid.webhooks import FunctionsHost, Http, WebhookSender

if TYPE_CHECKING:
    from localcloud.eventgrid.bus import Bus


@dataclass(frozen=True)
class Surroundings:
    """What else runs on this machine; None for what does not."""

    functions_url: str | None = None
    functions_keys: Path | None = None
    servicebus: str | None = None
    storage: str | None = None
    answer_within_s: float = 30.0


@dataclass
class Endpoints:
    """Makes senders. What they share is opened when it is first needed."""

    surroundings: Surroundings
    http: Http = field(init=False)
    _host: FunctionsHost | None = field(init=False, default=None)
    _bus: "Bus | None" = field(init=False, default=None)

    def __post_init__(self) -> None:
        around = self.surroundings
        self.http = Http(around.answer_within_s)
        if around.functions_url is not None:
            self._host = FunctionsHost(around.functions_url, around.functions_keys)
        if around.servicebus is not None:
            # A heavy import: a grid without Service Bus does without it.
            from localcloud.eventgrid.bus import Bus  # noqa: PLC0415

            self._bus = Bus(around.servicebus)

    def refuse_unreachable(self, spec: SubscriptionSpec) -> None:
        """SpecRefused when the subscription needs something that does not run here."""
        kind = spec.destination.kind
        needed = None
        if kind == FUNCTION and self._host is None:
            needed = "--functions-url"
        elif kind not in {FUNCTION, WEBHOOK} and self._bus is None:
            needed = "--servicebus"
        elif spec.container is not None and self.surroundings.storage is None:
            needed = "--storage"
        if needed is not None:
            raise SpecRefused(f"{spec.topic}/{spec.name}: start with {needed} to use it")

    def sender(self, spec: SubscriptionSpec) -> Sender:
        """A sender for a subscription that is not refused."""
        if spec.destination.kind in {WEBHOOK, FUNCTION}:
            return WebhookSender(spec, self.http, self._host)
        from localcloud.eventgrid.bus import BusSender  # noqa: PLC0415

        assert self._bus is not None, "checked when the subscription was made"
        return BusSender(spec, self._bus)

    async def close(self) -> None:
        await self.http.close()
        if self._bus is not None:
            await self._bus.close()
