"""The signing keys: one per tenant, made once, kept in the state folder for their owner only."""

import base64
import hashlib
import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from localcloud.identity.directory import Kind, Tenant

KEY_BITS = 2048


def _number(value: int) -> str:
    """An unsigned integer as RFC 7518 §2 writes it: big-endian, base64url, no padding."""
    raw = value.to_bytes((value.bit_length() + 7) // 8, "big")
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


@dataclass(frozen=True)
class SigningKey:
    """An RSA key and the id that token headers name it by."""

    private: rsa.RSAPrivateKey
    kid: str

    @classmethod
    def of(cls, private: rsa.RSAPrivateKey) -> Self:
        """Its `kid` is the thumbprint of RFC 7638, so the same key always has the same name."""
        numbers = private.public_key().public_numbers()
        members = {"e": _number(numbers.e), "kty": "RSA", "n": _number(numbers.n)}
        canonical = json.dumps(members, separators=(",", ":"), sort_keys=True).encode()
        digest = base64.urlsafe_b64encode(hashlib.sha256(canonical).digest())
        return cls(private, digest.rstrip(b"=").decode())

    @classmethod
    def generate(cls) -> Self:
        return cls.of(rsa.generate_private_key(public_exponent=65537, key_size=KEY_BITS))

    def jwk(self, issuer: str) -> dict[str, Any]:
        """The public half, for a key set."""
        numbers = self.private.public_key().public_numbers()
        return {
            "kty": "RSA",
            "use": "sig",
            "alg": "RS256",
            "kid": self.kid,
            "n": _number(numbers.n),
            "e": _number(numbers.e),
            "issuer": issuer,
        }


class KeyRing:
    """The key of each tenant, and one that no tenant publishes (for forged tokens)."""

    def __init__(self, folder: Path, tenants: Iterable[Tenant]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._keys = {tenant.kind: _kept(folder / f"{tenant.kind}.pem") for tenant in tenants}
        self.foreign = SigningKey.generate()

    def of(self, tenant: Kind) -> SigningKey:
        return self._keys[tenant]


def _kept(path: Path) -> SigningKey:
    """The key stored at `path`, made on first use.

    It appears under its name only when it is whole, so a start that is killed leaves either no
    key or a good one.
    """
    if not path.exists():
        pem = SigningKey.generate().private.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        draft = path.with_suffix(f".{os.getpid()}.draft")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(pem)
            file.flush()
            os.fsync(descriptor)
        draft.replace(path)
    private = serialization.load_pem_private_key(path.read_bytes(), password=None)
    if not isinstance(private, rsa.RSAPrivateKey):
        raise TypeError(f"{path} does not hold an RSA key")
    return SigningKey.of(private)
