"""The signing keys: per tenant one that signs, and others that are still or already published."""

import base64
import hashlib
import json
import logging
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final, Self

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from localcloud.identity.directory import Kind, Tenant
from localcloud.identity.store import Store

KEY_BITS = 2048

_KEPT: Final = """
    SELECT kid, tenant, pem, signs_from, published_until
    FROM keys
    WHERE published_until IS NULL OR published_until > :now
    ORDER BY rowid
"""
_KEEP: Final = """
    INSERT INTO keys (kid, tenant, pem, signs_from)
    VALUES (:kid, :tenant, :pem, :signs_from)
"""
_RETIRE: Final = """
    UPDATE keys
    SET published_until = MIN(COALESCE(published_until, :until), :until)
    WHERE tenant = :tenant
"""
_FORGET: Final = "DELETE FROM keys WHERE published_until <= :now"

log = logging.getLogger(__name__)


def _number(value: int) -> str:
    """An unsigned integer as RFC 7518 §2 writes it: big-endian, base64url, no padding."""
    raw = value.to_bytes((value.bit_length() + 7) // 8, "big")
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


@dataclass(frozen=True)
class SigningKey:
    """An RSA key and the id that token headers name it by.

    It signs from `signs_from` on and is published until `published_until`, in seconds since
    1970; None is for good.
    """

    private: rsa.RSAPrivateKey
    kid: str
    signs_from: float = 0.0
    published_until: float | None = None

    @classmethod
    def of(
        cls,
        private: rsa.RSAPrivateKey,
        signs_from: float = 0.0,
        published_until: float | None = None,
    ) -> Self:
        """Its `kid` is the thumbprint of RFC 7638, so the same key always has the same name."""
        numbers = private.public_key().public_numbers()
        members = {"e": _number(numbers.e), "kty": "RSA", "n": _number(numbers.n)}
        canonical = json.dumps(members, separators=(",", ":"), sort_keys=True).encode()
        digest = base64.urlsafe_b64encode(hashlib.sha256(canonical).digest())
        return cls(private, digest.rstrip(b"=").decode(), signs_from, published_until)

    @classmethod
    def generate(cls, signs_from: float = 0.0) -> Self:
        private = rsa.generate_private_key(public_exponent=65537, key_size=KEY_BITS)
        return cls.of(private, signs_from)

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
    """The keys of each tenant, and one that no tenant publishes (for forged tokens)."""

    def __init__(self, store: Store, tenants: Iterable[Tenant]) -> None:
        """Makes the first key of each tenant that has none."""
        self._store = store
        self._keys: dict[Kind, list[SigningKey]] = {tenant.kind: [] for tenant in tenants}
        self.foreign = SigningKey.generate()
        for row in store.rows(_KEPT, now=time.time()):
            private = serialization.load_pem_private_key(row["pem"], password=None)
            assert isinstance(private, rsa.RSAPrivateKey)
            key = SigningKey.of(private, row["signs_from"], row["published_until"])
            self._keys[row["tenant"]].append(key)
        for kind, keys in self._keys.items():
            if not keys:
                self.rotate(kind, sign_after_s=0, retire_after_s=0)

    def of(self, tenant: Kind) -> SigningKey:
        """The key that signs now: the newest whose time has come."""
        now = time.time()
        return next(key for key in reversed(self._keys[tenant]) if key.signs_from <= now)

    def published(self, tenant: Kind) -> list[SigningKey]:
        """Every key that a stranger may trust now, the newest first."""
        now = time.time()
        return [
            key
            for key in reversed(self._keys[tenant])
            if key.published_until is None or key.published_until > now
        ]

    def rotate(self, tenant: Kind, *, sign_after_s: float, retire_after_s: float) -> SigningKey:
        """A new key: published at once, signing after `sign_after_s` seconds.

        The others stay published for at most `retire_after_s` seconds after that. Those who
        verify ask for unknown keys only so often: in earnest, publish a key before it signs.
        """
        now = time.time()
        new = SigningKey.generate(now + sign_after_s)
        pem = new.private.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        until = new.signs_from + retire_after_s
        with self._store.transaction() as tx:
            tx.execute(_FORGET, {"now": now})
            tx.execute(_RETIRE, {"tenant": tenant, "until": until})
            kept = {"kid": new.kid, "tenant": tenant, "pem": pem, "signs_from": new.signs_from}
            tx.execute(_KEEP, kept)
        others = [_retired(key, until) for key in reversed(self.published(tenant))]
        self._keys[tenant] = [*others, new]
        log.info("key %s of %s signs in %g s", new.kid, tenant, sign_after_s)
        return new


def _retired(key: SigningKey, until: float) -> SigningKey:
    end = until if key.published_until is None else min(key.published_until, until)
    return SigningKey(key.private, key.kid, key.signs_from, end)
