"""Partners' webhooks: who sent one is told by the signature over the bytes as they came.

`Webhook-Signature: t=1764000000,v1=<hex>`, where v1 is the HMAC-SHA256 of `t`, a dot and the raw
body under a key that both sides hold. While the key is changed both sides may hold two, separated
by a comma: a signature by either counts, and a header may carry one v1 for each.
"""

import hashlib
import hmac
import re
import time
from collections.abc import Callable

from shared import telemetry
from shared.problem import ServiceUnavailable, SignatureExpired, SignatureInvalid
from shared.secrets import NamedSecret, Secret, SecretUnavailable

HEADER = "webhook-signature"
WINDOW_S = 300
"""How old a signature may be, and how far ahead the sender's clock."""
KEYS_AT_MOST = 2
KEY_MIN_LENGTH = 16

_SIGNATURE = re.compile(r"t=([0-9]{1,12})((?:,v1=[0-9a-f]{64}){1,2})", re.ASCII)

_log = telemetry.logger(__name__)


class Signatures:
    """The signatures of one partner, by the keys in one secret."""

    def __init__(
        self, keys: NamedSecret, *, clock: Callable[[], float] = time.time, window_s: int = WINDOW_S
    ) -> None:
        self._keys, self._clock, self._window_s = keys, clock, window_s

    async def check(self, header: str | None, raw: bytes) -> None:
        """Nothing if the partner signed exactly these bytes a moment ago.

        Raises SignatureInvalid, SignatureExpired (only for what was signed with our key), and
        ServiceUnavailable while no key is at hand. A key that does not fit is asked for anew: it
        may have been changed since.
        """
        signed = _SIGNATURE.fullmatch((header or "").strip())
        if signed is None:
            raise SignatureInvalid("this needs a Webhook-Signature: t=<seconds>,v1=<hexadecimal>")
        at, given = signed[1], [part[3:] for part in signed[2].split(",") if part]
        try:
            keys = await self._keys.value()
            if not _fits(keys, at, given, raw):
                newer = await self._keys.value(other_than=keys)
                if newer == keys or not _fits(newer, at, given, raw):
                    raise SignatureInvalid("the signature is not one over this body with our key")
        except SecretUnavailable as fault:
            raise ServiceUnavailable("signatures cannot be checked now; send it again") from fault
        if abs(self._clock() - int(at)) > self._window_s:
            raise SignatureExpired(f"a signature is good for {self._window_s} seconds")


def _fits(keys: Secret, at: str, given: list[str], raw: bytes) -> bool:
    """Whether one of `given` is the signature by one of the keys."""
    fits = False
    for key in _split(keys):
        right = hmac.new(key.encode(), at.encode() + b"." + raw, hashlib.sha256).hexdigest()
        for signature in given:
            fits |= hmac.compare_digest(signature, right)
    return fits


def _split(keys: Secret) -> list[str]:
    """The keys in the secret. Raises SecretUnavailable if they are too many, or none is a key."""
    split = [key.strip() for key in keys.reveal().split(",") if key.strip()]
    if not 1 <= len(split) <= KEYS_AT_MOST or min(map(len, split)) < KEY_MIN_LENGTH:
        _log.error(
            "a webhook key is one or two keys of at least %d characters, separated by a comma",
            KEY_MIN_LENGTH,
        )
        raise SecretUnavailable("no webhook key")
    return split
