"""Whether a part answers, in its own protocol; every probe raises OSError when it does not."""

import http.client
import socket

import psycopg

from localcloud.ports import HOST

TIMEOUT_S = 2.0


def listening(port: int) -> None:
    """Returns when something accepts TCP connections."""
    with socket.create_connection((HOST, port), TIMEOUT_S):
        pass


def http_health(port: int, path: str = "/health") -> None:
    """Returns when the part answers 200 on its health `path`."""
    connection = http.client.HTTPConnection(HOST, port, timeout=TIMEOUT_S)
    try:
        connection.request("GET", path)
        status = connection.getresponse().status
    except http.client.HTTPException as broken:
        raise OSError(f"no HTTP answer: {broken}") from broken
    finally:
        connection.close()
    if status != http.HTTPStatus.OK:
        raise OSError(f"GET {path} answered {status}")


def valkey(port: int) -> None:
    """Returns when the server answers PING, which it refuses while it loads or shuts down."""
    with socket.create_connection((HOST, port), TIMEOUT_S) as connection:
        connection.settimeout(TIMEOUT_S)
        connection.sendall(b"PING\r\n")
        answer = connection.recv(64)
    if not answer.startswith(b"+PONG"):
        raise OSError(f"PING was answered {answer!r}")


def postgres(port: int, password: str) -> None:
    """Returns when the server runs a query, which it refuses while it recovers or shuts down."""
    try:
        with psycopg.connect(
            host=HOST,
            port=port,
            user="postgres",
            password=password,
            dbname="postgres",
            connect_timeout=2,
        ) as session:
            session.execute("SELECT 1")
    except psycopg.OperationalError as refused:
        raise OSError(str(refused).strip()) from refused
