"""The Durable back end's life: start, loops, drain."""

from collections.abc import Mapping

from localcloud.durable.invocation import Invoker


class DurableBackend:
    """Runs the orchestrations and activities of one task hub out of PostgreSQL."""

    def __init__(
        self,
        dsn: str,
        *,
        hub: str,
        invoker: Invoker,
        orchestrators: Mapping[str, str],
        activities: Mapping[str, str],
        max_orchestrations: int = 8,
        max_activities: int = 16,
        activity_lease_s: float = 300.0,
    ) -> None:
        """`orchestrators` and `activities` map a casefolded durable name to its function name."""
        raise NotImplementedError

    async def start(self) -> None:
        """Create the schema if it is missing, void the leases of dead hosts, start working."""
        raise NotImplementedError

    async def drain(self, timeout_s: float) -> None:
        """Claim nothing new, finish what runs within `timeout_s`, release every lease."""
        raise NotImplementedError
