"""Slows down who guesses passwords: after ten wrong ones in a row an account rests for a minute.

Source: https://learn.microsoft.com/entra/identity/authentication/howto-password-smart-lockout
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from localcloud.identity.directory import Kind

THRESHOLD: Final = 10
REST_S: Final = 60.0
_KEPT: Final = 10_000
"""Accounts that are remembered at once; the one that failed longest ago is forgotten first."""


@dataclass
class _Failures:
    count: int = 0
    rests_until: float = 0.0


class Throttle:
    """Counts wrong passwords for each address, whether there is such an account or not."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._accounts: dict[tuple[Kind, str], _Failures] = {}

    def rests(self, tenant: Kind, address: str) -> bool:
        """Whether no password is looked at now, not even the right one."""
        failures = self._accounts.get((tenant, address))
        return failures is not None and failures.rests_until > self._clock()

    def failed(self, tenant: Kind, address: str) -> None:
        """A password was wrong. From the tenth on, every further one means another minute."""
        failures = self._accounts.pop((tenant, address), _Failures())
        failures.count += 1
        if failures.count >= THRESHOLD:
            failures.rests_until = self._clock() + REST_S
        self._accounts[tenant, address] = failures
        if len(self._accounts) > _KEPT:
            del self._accounts[next(iter(self._accounts))]

    def succeeded(self, tenant: Kind, address: str) -> None:
        """A password was right: what went before does not count."""
        self._accounts.pop((tenant, address), None)
