"""The two access keys of each topic: made once, kept in a file that is its owner's alone."""

import base64
import json
import secrets
from pathlib import Path

from localcloud.eventgrid.elements import SpecRefused
from localcloud.state import write_private

KEY_NAMES = ("key1", "key2")


class TopicKeys:
    """The keys, by topic. A new topic gets `first` as its key1, if there is one."""

    def __init__(self, path: Path, first: str | None = None) -> None:
        """Raises SpecRefused when the file is damaged or `first` is no key."""
        self._path, self._first = path, first
        if first is not None and not _is_base64(first):
            raise SpecRefused("an access key is base64")
        self._keys: dict[str, dict[str, str]] = {}
        if path.exists():
            try:
                stored = json.loads(path.read_text("utf-8"))
                self._keys = {
                    topic: {name: str(keys[name]) for name in KEY_NAMES}
                    for topic, keys in stored.items()
                }
            except (ValueError, TypeError, KeyError, AttributeError) as error:
                raise SpecRefused(f"{path} is damaged; delete it for new keys") from error

    def of(self, topic: str) -> dict[str, str]:
        """`key1` and `key2` of the topic, made at the first call."""
        if topic not in self._keys:
            self._keys[topic] = {"key1": self._first or _new_key(), "key2": _new_key()}
            self._write()
        return self._keys[topic]

    def renew(self, topic: str, name: str) -> dict[str, str]:
        """Both keys, of which `name` is a new one: the old one opens nothing from now on."""
        self._keys[topic] = self.of(topic) | {name: _new_key()}
        self._write()
        return self._keys[topic]

    def forget(self, topic: str) -> None:
        if self._keys.pop(topic, None) is not None:
            self._write()

    def _write(self) -> None:
        write_private(self._path, json.dumps(self._keys, indent=2))


def _new_key() -> str:
    return base64.b64encode(secrets.token_bytes(32)).decode()


def _is_base64(key: str) -> bool:
    try:
        return bool(base64.b64decode(key, validate=True))
    except ValueError:
        return False
