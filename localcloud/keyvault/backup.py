"""Backups of a secret: opaque, and of use to the vault alone that made them."""

import base64
import os
import secrets
from collections.abc import Sequence
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from pydantic import TypeAdapter, ValidationError

from localcloud.keyvault.errors import bad_parameter
from localcloud.keyvault.records import Version

KEY_FILE = "backup.key"
_NONCE = 12
_VERSIONS = TypeAdapter(list[Version])


class Backups:
    """Seals and opens backups with a key that is kept in the state folder."""

    def __init__(self, state: Path) -> None:
        self._cipher = AESGCM(_key(state / KEY_FILE))

    def sealed(self, versions: Sequence[Version]) -> str:
        """All versions of a secret as one base64url text."""
        nonce = secrets.token_bytes(_NONCE)
        sealed = nonce + self._cipher.encrypt(nonce, _VERSIONS.dump_json(list(versions)), None)
        return base64.urlsafe_b64encode(sealed).rstrip(b"=").decode()

    def opened(self, text: str) -> list[Version]:
        """The versions in a backup. VaultError 400 for what this vault has not made."""
        try:
            sealed = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
            plain = self._cipher.decrypt(sealed[:_NONCE], sealed[_NONCE:], None)
            versions = _VERSIONS.validate_json(plain)
        except (ValueError, InvalidTag, ValidationError) as damage:
            raise bad_parameter("The backup blob is malformed or of another vault.") from damage
        return versions


def _key(file: Path) -> bytes:
    if not file.exists():
        scratch = file.with_suffix(f".{os.getpid()}")
        descriptor = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as writer:
            writer.write(AESGCM.generate_key(256))
            writer.flush()
            os.fsync(writer.fileno())
        scratch.replace(file)
    return file.read_bytes()
