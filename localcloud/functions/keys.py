"""Function keys: made once, kept in the state folder, compared without leaking time."""

import base64
import hmac
import json
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from localcloud.functions.errors import StartRefused
from localcloud.functions.files import replace_file

SYSTEM_KEY = "durabletask_extension"


@dataclass(frozen=True, slots=True)
class Keys:
    """The app's keys: one master key, host keys, keys per function, and the Durable system key."""

    path: Path
    master: str
    host: tuple[str, ...]
    functions: dict[str, tuple[str, ...]]
    system: str

    def opens(self, level: str, function: str, given: str) -> bool:
        """Whether `given` suffices for `function` at auth level `level` (FUNCTION or ADMIN)."""
        accepted = [self.master]
        if level != "ADMIN":
            accepted += [*self.host, *self.functions.get(function, ())]
        return _is_one_of(given, accepted)


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
        "system": stored.get("system") or {SYSTEM_KEY: _new_key()},
    }
    if document != stored:
        replace_file(path, json.dumps(document, indent=2), private=True)
    return Keys(
        path=path,
        master=document["master"],
        host=tuple(document["host"].values()),
        functions={name: tuple(named.values()) for name, named in document["functions"].items()},
        system=document["system"][SYSTEM_KEY],
    )


def _is_one_of(given: str, accepted: list[str]) -> bool:
    candidate, found = given.encode(), False
    for key in accepted:
        # No early end: the time must not tell which key came close.
        found |= hmac.compare_digest(candidate, key.encode())
    return found


def _new_key() -> str:
    return base64.urlsafe_b64encode(secrets.token_bytes(40)).decode()
