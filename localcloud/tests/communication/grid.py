"""A topic of Event Grid that remembers what it was sent, and that can fail or be away."""

import json
import threading
import time
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

WITHIN_S = 30.0
PATH = "/communication/api/events"

Event = dict[str, Any]


def until[T](look: Callable[[], T], done: Callable[[T], bool]) -> T:
    """What `look` finds once it is as wanted. AssertionError with the last finding otherwise."""
    deadline = time.monotonic() + WITHIN_S
    while not done(found := look()):
        assert time.monotonic() < deadline, found
        time.sleep(0.02)
    return found


class Grid:
    """Listens on a port of its own; `answers` are used up before it says 200 again."""

    def __init__(self) -> None:
        self.batches: list[tuple[Mapping[str, str], list[Event]]] = []
        self.refused: list[list[Event]] = []
        self.answers: list[int] = []
        self.unacceptable: str | None = None
        """Batches with an event about this message are answered 400."""
        self._lock = threading.Lock()
        self._server: ThreadingHTTPServer | None = None
        self._port = 0
        self.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}{PATH}"

    def start(self) -> None:
        """Listen, on the same port as before."""
        grid = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                assert self.path == f"{PATH}?api-version=2018-01-01"
                status = grid.take(dict(self.headers.items()), json.loads(body))
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_arguments: object) -> None:
                pass

        ThreadingHTTPServer.daemon_threads = True
        self._server = ThreadingHTTPServer(("127.0.0.1", self._port), Handler)
        self._port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def stop(self) -> None:
        """Be away: connections are refused."""
        assert self._server is not None
        self._server.shutdown()
        self._server.server_close()

    def take(self, headers: Mapping[str, str], batch: list[Event]) -> int:
        with self._lock:
            status = self.answers.pop(0) if self.answers else 200
            if any(event["data"]["messageId"] == self.unacceptable for event in batch):
                status = 400
            if status == 200:
                self.batches.append((headers, batch))
            else:
                self.refused.append(batch)
            return status

    def about(self, message_id: str) -> list[Event]:
        """The events about a message so far, in the order in which they came."""
        with self._lock:
            return [
                event
                for _, batch in self.batches
                for event in batch
                if event["data"]["messageId"] == message_id
            ]

    def expect(self, message_id: str, count: int) -> list[Event]:
        """The events about a message once there are that many."""
        return until(lambda: self.about(message_id), lambda events: len(events) >= count)
