"""The client's half of SCRAM-SHA-256, with which PostgreSQL checks a password (RFC 5802)."""

import base64
import hashlib
import hmac
import secrets

MECHANISM = "SCRAM-SHA-256"
_HEADER = "n,,"


class ScramFailed(Exception):
    """The server did not prove that it knows the password, or speaks another dialect."""


class Scram:
    """One exchange: `first`, then `final`, then `verify`."""

    def __init__(self, password: str) -> None:
        self._password = password.encode()
        self._nonce = secrets.token_urlsafe(18)
        self._bare = f"n=,r={self._nonce}"  # PostgreSQL takes the name of the startup message
        self._server_signature = b""

    def first(self) -> bytes:
        """What begins the exchange."""
        return f"{_HEADER}{self._bare}".encode()

    def final(self, challenge: bytes) -> bytes:
        """The proof, for the server's challenge. Raises ScramFailed."""
        fields = _fields(challenge)
        nonce = fields.get("r", "")
        if not nonce.startswith(self._nonce) or len(nonce) == len(self._nonce):
            raise ScramFailed("the server answered another question")
        salt, rounds = base64.b64decode(fields.get("s", "")), int(fields.get("i", "0"))
        salted = hashlib.pbkdf2_hmac("sha256", self._password, salt, rounds)
        without_proof = f"c={base64.b64encode(_HEADER.encode()).decode()},r={nonce}"
        signed = f"{self._bare},{challenge.decode()},{without_proof}".encode()
        client_key = _digest(salted, b"Client Key")
        signature = _digest(hashlib.sha256(client_key).digest(), signed)
        proof = bytes(a ^ b for a, b in zip(client_key, signature, strict=True))
        self._server_signature = _digest(_digest(salted, b"Server Key"), signed)
        return f"{without_proof},p={base64.b64encode(proof).decode()}".encode()

    def verify(self, outcome: bytes) -> None:
        """Whether the server knows the password too. Raises ScramFailed."""
        given = base64.b64decode(_fields(outcome).get("v", ""))
        if not hmac.compare_digest(given, self._server_signature):
            raise ScramFailed("the server does not know the password")


def _digest(key: bytes, text: bytes) -> bytes:
    return hmac.digest(key, text, "sha256")


def _fields(message: bytes) -> dict[str, str]:
    return dict(part.partition("=")[::2] for part in message.decode().split(","))
