"""Function keys: made once, kept in the state folder, compared without leaking time."""

import base64
import hmac
import json
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from localcloud.functions.errors import StartRefused
from localcloud.functions.files import replace_file

SYSTEM_KEY = "durabletask_extension"
EVENT_GRID_KEY = "eventgrid_extension"


@dataclass(frozen=True, slots=True)
class Keys:
    """The app's keys: one master key, and by name host keys, keys per function, system keys."""

    path: Path
    master: str
    host: Mapping[str, str]
    functions: Mapping[str, Mapping[str, str]]
    system: Mapping[str, str]

    def opens(self, level: str, function: str, given: str) -> bool:
        """Whether `given` suffices for `function` at auth level `level` (FUNCTION or ADMIN)."""
        accepted = [self.master]
        if level != "ADMIN":
            accepted += [*self.host.values(), *self.functions.get(function, {}).values()]
        return is_one_of(given, accepted)

    @property
    def durable(self) -> str:
        """The system key of the Durable management API."""
        return self.system[SYSTEM_KEY]

    @property
    def event_grid(self) -> str:
        """The system key of the Event Grid webhook."""
        return self.system[EVENT_GRID_KEY]


def load_keys(state: Path, functions: Iterable[str]) -> Keys:
    """The keys in `state`; those that are missing are made. The file is the owner's alone.

    StartRefused when it is damaged.
    """
    path = state / "keys.json"
    stored: dict[str, Any] = {}
    if path.exists():
        try:
            stored = json.loads(path.read_text("utf-8"))
        except ValueError as error:
            raise StartRefused(f"{path} is damaged ({error}); delete it for new keys") from error
    document: dict[str, Any] = {
        "master": stored.get("master") or _new_key(),
        "host": stored.get("host") or {"default": _new_key()},
        "functions": {
            name: stored.get("functions", {}).get(name) or {"default": _new_key()}
            for name in functions
        },
        "system": {
            name: stored.get("system", {}).get(name) or _new_key()
            for name in (SYSTEM_KEY, EVENT_GRID_KEY)
        },
    }
    if document != stored:
        replace_file(path, json.dumps(document, indent=2), private=True)
    return Keys(
        path=path,
        master=document["master"],
        host=document["host"],
        functions=document["functions"],
        system=document["system"],
    )


def is_one_of(given: str, accepted: Sequence[str]) -> bool:
    """Whether `given` is among `accepted`."""
    candidate, found = given.encode(), False
    for key in accepted:
        # No early end: the time must not tell which key came close.
        found |= hmac.compare_digest(candidate, key.encode())
    return found


def _new_key() -> str:
    return base64.urlsafe_b64encode(secrets.token_bytes(40)).decode()
