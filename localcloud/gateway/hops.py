"""What a gateway does not pass on: header fields of one hop, and what names the last one."""

from collections.abc import Iterable

from localcloud.gateway.policy.headers import Headers

_ONE_HOP = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
"""RFC 9110 §7.6.1, and what older software sends."""
_NOT_SENT = _ONE_HOP | {"host", "content-length", "expect", "x-forwarded-for"}
_HANDSHAKE = "sec-websocket-"
_FRAMING = frozenset({"host", "content-length", "transfer-encoding", "expect", "connection"})


def enter(headers: Headers) -> None:
    """Drop what `Connection` says is for one hop, before any policy looks.

    Later it could take away what a policy has set, or what one has looked at.
    """
    for name in _named_by(headers.values("connection")):
        headers.remove(name)


def to_backend(headers: Headers, ip: str) -> list[tuple[str, str]]:
    """What the backend is sent; the client's address is in `X-Forwarded-For`, and nobody else's.

    Length and host are left to whoever writes the request.
    """
    sent = [
        (name, _text(value)) for name, value in headers.pairs() if name.lower() not in _NOT_SENT
    ]
    sent.append(("X-Forwarded-For", ip))
    return sent


def to_backend_socket(headers: Headers, ip: str) -> list[tuple[str, str]]:
    """The same for a WebSocket handshake, whose own fields each side of the gateway has anew."""
    return [
        (name, value)
        for name, value in to_backend(headers, ip)
        if not name.lower().startswith(_HANDSHAKE)
    ]


def from_backend(raw: Iterable[tuple[bytes, bytes]]) -> Headers:
    """The backend's fields without those that were for us."""
    headers = Headers.from_asgi(raw)
    dropped = _named_by(headers.values("connection"))
    for name in _ONE_HOP | dropped if dropped else _ONE_HOP:
        headers.remove(name)
    return headers


def _named_by(connection: list[str]) -> frozenset[str]:
    """Fields that `Connection` says are for one hop; not those by which a message is read."""
    if not connection or connection == ["keep-alive"]:
        return frozenset()
    return (
        frozenset(
            token
            for value in connection
            for part in value.split(",")
            if (token := part.strip().lower())
        )
        - _FRAMING
    )


def _text(value: str) -> str:
    """A value as our HTTP client wants it: it writes UTF-8, and what came may be anything."""
    if value.isascii():
        return value
    return value.encode("latin-1").decode("utf-8", "replace")
