"""Whom the product trusts over TLS: the public authorities, and those of TRUSTED_CA_FILE."""

import functools
import ssl
from typing import Any


@functools.cache
def context(file: str | None) -> ssl.SSLContext:
    """Trusts the system's authorities and, beside them, those in the PEM `file`; made once.

    OSError when the file cannot be read.
    """
    made = ssl.create_default_context()
    if file is not None:
        made.load_verify_locations(file)
    return made


def transport(file: str | None, **waits: float) -> dict[str, Any]:
    """What an asynchronous client of Azure's SDK is made with, to trust `file` too.

    `waits` are its `connection_timeout` and `read_timeout`. With a file they go to a transport of
    ours: by the SDK's own option the client would trust that file alone. Call it where the client
    is used: the transport belongs to the running event loop, and to the client, which closes it.
    """
    if file is None:
        return dict(waits)
    # Heavy imports, which a client of the SDK has paid for already.
    import aiohttp  # noqa: PLC0415
    from azure.core.pipeline.transport import AioHttpTransport  # noqa: PLC0415

    session = aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(ssl=context(file)),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        trust_env=True,
    )
    return {"transport": AioHttpTransport(session=session, **waits)}
