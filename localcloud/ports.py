"""Which port each part listens on, and who holds a port that is taken."""

import contextlib
import random
import socket
from collections.abc import Iterable, Mapping

import psutil

HOST = "127.0.0.1"
DEFAULT_BASE = 5000
LOWEST_BASE, HIGHEST_BASE = 1000, 48000
"""Bases between which every default port stays a port that needs no root."""

DEFAULTS: Mapping[str, int] = {
    "postgres": 5433,
    "valkey": 6380,
    "servicebus": 5672,
    "servicebus-admin": 5300,
    "blob": 10000,
    "queue": 10001,
    "table": 10002,
    "identity": 7080,
    "eventgrid": 7081,
    "communication": 7082,
    "keyvault": 7083,
    "erp": 7090,
    "payment": 7091,
    "shipping": 7092,
    "notifier": 7100,
    "gateway-external": 8080,
    "gateway-internal": 8081,
    "functions": 7071,
    "durable": 17071,
    "dashboard": 8090,
}
"""The documented ports; `durable` is the Functions host's second one, the gateway has two."""

KEYLESS: Mapping[str, int] = {
    "postgres-tls": 5443,
    "valkey-tls": 6390,
    "eventgrid-tls": 7181,
    "communication-tls": 7182,
}
"""The ports that only the keyless profile has."""

_FREE_RANGE = range(20000, 32000)
"""Below the usual ephemeral ranges: no outgoing connection takes a port while its part restarts."""


def assign(names: Iterable[str], base: int = DEFAULT_BASE) -> dict[str, int]:
    """The port of each name: its default moved by `base` - 5000; with base 0 any free port.

    ValueError when the base is neither 0 nor between 1000 and 48000.
    """
    wanted = list(names)
    if base == 0:
        return _free_ports(wanted)
    if not LOWEST_BASE <= base <= HIGHEST_BASE:
        message = f"a port base is 0 or lies between {LOWEST_BASE} and {HIGHEST_BASE}, not {base}"
        raise ValueError(message)
    known = {**DEFAULTS, **KEYLESS}
    return {name: known[name] + base - DEFAULT_BASE for name in wanted}


def is_free(port: int, host: str = HOST) -> bool:
    """Whether a server could listen on this port of the loopback address now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def holder(port: int) -> str:
    """The process that listens on `port`, as `pid 123 (name)`; empty when it cannot be seen."""
    with contextlib.suppress(psutil.Error, OSError):
        for connection in psutil.net_connections("tcp"):
            listens = connection.status == psutil.CONN_LISTEN
            if listens and connection.laddr and connection.laddr.port == port and connection.pid:
                return f"pid {connection.pid} ({psutil.Process(connection.pid).name()})"
    return ""


def _free_ports(names: list[str]) -> dict[str, int]:
    chosen: dict[str, int] = {}
    for port in random.sample(_FREE_RANGE, len(_FREE_RANGE)):
        if len(chosen) == len(names):
            break
        if is_free(port):
            chosen[names[len(chosen)]] = port
    if len(chosen) < len(names):
        raise OSError(f"no free ports between {_FREE_RANGE.start} and {_FREE_RANGE.stop}")
    return chosen
