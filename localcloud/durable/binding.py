"""The links through which a client reaches an orchestration instance."""


def client_binding(*, hub: str, public_base: str, rpc_base: str, key: str) -> str:
    """The JSON text that a `durableClient` binding receives."""
    raise NotImplementedError
