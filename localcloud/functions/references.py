"""Key Vault references in application settings: resolved at start, looked at once a day."""

import asyncio
from collections.abc import Callable, Mapping, MutableMapping
from typing import Protocol

from localcloud.functions.errors import StartRefused
from localcloud.functions.logs import host_log
from localcloud.functions.vault_reader import VaultReader
from localcloud.functions.vault_references import BEGIN, Reference, Status, Unresolved, parsed

REFETCH = "LOCALCLOUD_REFERENCES_REFETCH_S"
REFETCH_S = 86_400.0
"""App Service fetches again within 24 hours."""


class Reader(Protocol):
    """Reads secrets for one round of resolving."""

    def value(self, reference: Reference) -> str:
        """The secret's value. Raises Unresolved."""
        ...

    def close(self) -> None:
        """Let go of connections."""
        ...


class References:
    """The references among an app's settings, and the values that they had when it started."""

    def __init__(
        self,
        environ: MutableMapping[str, str],
        *,
        reader: "Callable[[Mapping[str, str]], Reader] | None" = None,
    ) -> None:
        self._environ = environ
        self._reader = reader or VaultReader
        self._given = {name: text for name, text in environ.items() if text.startswith(BEGIN)}
        self._values: dict[str, str] = {}
        self._refetch_s = _seconds(environ.get(REFETCH))

    def resolve(self) -> dict[str, Status]:
        """Put values in the place of references; the status of each, by setting.

        A reference that is not resolved stays as it is, which is what App Service hands to the app.
        """
        statuses = {}
        for name, outcome in self._fetched(self._given).items():
            if isinstance(outcome, Unresolved):
                statuses[name] = outcome.status
                host_log.error(
                    "The setting '%s' is a Key Vault reference that is not resolved: %s (%s)",
                    *(name, outcome.status, outcome),
                )
            else:
                statuses[name] = Status.RESOLVED
                self._environ[name] = self._values[name] = outcome
        return statuses

    async def changed(self) -> None:
        """Return once a secret has another value than the app was started with.

        Looks once in a while. References to a version never change; what cannot be fetched has not
        changed either.
        """
        watched = {name: text for name, text in self._given.items() if _moves(text)}
        if not watched:
            await asyncio.Event().wait()
        while True:
            await asyncio.sleep(self._refetch_s)
            found = await asyncio.to_thread(self._fetched, watched)
            changed = [
                name
                for name, outcome in found.items()
                if isinstance(outcome, str) and outcome != self._values.get(name)
            ]
            if changed:
                host_log.info("New values of Key Vault references: %s", ", ".join(changed))
                return

    def _fetched(self, given: Mapping[str, str]) -> dict[str, str | Unresolved]:
        """The value of each reference, or why it has none."""
        outcomes: dict[str, str | Unresolved] = {}
        reader: Reader | None = None
        try:
            for name, text in given.items():
                try:
                    reference = parsed(text)
                    assert reference is not None, "only references are given"
                    reader = reader or self._reader(self._environ)
                    outcomes[name] = reader.value(reference)
                except Unresolved as reason:
                    outcomes[name] = reason
        finally:
            if reader is not None:
                reader.close()
        return outcomes


def _moves(text: str) -> bool:
    """Whether the reference is to the latest version."""
    try:
        reference = parsed(text)
    except Unresolved:
        return False
    return reference is not None and reference.version is None


def _seconds(text: str | None) -> float:
    try:
        seconds = float(text or REFETCH_S)
    except ValueError:
        seconds = -1.0
    if not 0 < seconds <= REFETCH_S:
        raise StartRefused(f"{REFETCH} is a number of seconds up to {REFETCH_S:.0f}, not {text!r}")
    return seconds
