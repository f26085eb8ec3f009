"""The Durable Functions HTTP API: start, query, raise events, terminate, purge."""

from starlette.applications import Starlette

from localcloud.durable.backend import DurableBackend


def management_app(
    backend: DurableBackend, *, public_base: str, rpc_base: str, key: str, require_key: bool
) -> Starlette:
    """An ASGI application that serves the API below both prefixes.

    `/runtime/webhooks/durabletask` is the public one; with `require_key` it wants `?code=<key>`.
    `/durabletask` is the one that the SDK's client uses from inside the host.
    """
    raise NotImplementedError
