"""What the gateway lends to policies while they run."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass

from localcloud.gateway.checking import OpenApiContract
from localcloud.gateway.limits import SharedLimits
from localcloud.gateway.managed_identity import ManagedIdentityClient
from localcloud.gateway.policy import Context
from localcloud.gateway.upstream import Backends

_LEVELS = {"verbose": logging.DEBUG, "information": logging.INFO, "error": logging.ERROR}

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class GatewayServices:
    """One for each edition of the policies; all but the contract outlives it."""

    limits: SharedLimits
    upstream: Backends
    identity: ManagedIdentityClient
    contract: OpenApiContract

    async def fetch(self, url: str) -> bytes:
        """The document at `url`. OSError on any failure."""
        return await self.upstream.fetch(url)

    def trace(
        self,
        context: Context,
        source: str,
        severity: str,
        message: str,
        metadata: Mapping[str, str],
    ) -> None:
        """Write what a `trace` policy says into the log; policies see to what it holds."""
        told = " ".join(f"{name}={value}" for name, value in metadata.items())
        line = f"{source}: {message} {told}".translate(_ONE_LINE)
        _log.log(_LEVELS.get(severity, logging.INFO), "%s %s", line, context.request_id)


_ONE_LINE = dict.fromkeys(range(32), " ")
