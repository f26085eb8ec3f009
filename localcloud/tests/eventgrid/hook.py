"""A subscriber's webhook that remembers what it was sent, and does what a test wants."""

import contextlib
import json
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

WITHIN_S = 30.0


@dataclass(frozen=True)
class Request:
    """One request; header names are in lower case."""

    method: str
    headers: Mapping[str, str]
    body: Any

    @property
    def events(self) -> list[dict[str, Any]]:
        return self.body if isinstance(self.body, list) else [self.body]


@dataclass
class Path:
    """One path of the server. `statuses` are used up before it answers `status` again."""

    url: str
    status: int = 202
    statuses: list[int] = field(default_factory=list)
    handshake: str = "agree"
    options_status: int = 200
    held: threading.Event = field(default_factory=threading.Event)
    requests: list[Request] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.held.set()

    def notifications(self) -> list[Request]:
        return [r for r in self.requests if r.headers.get("aeg-event-type") == "Notification"]

    def events(self) -> list[dict[str, Any]]:
        return [event for request in self.notifications() for event in request.events]

    def ids(self) -> list[str]:
        return [event["id"] for event in self.events()]


class Hook:
    """Serves on a port of its own."""

    def __init__(self) -> None:
        self._paths: dict[str, Path] = {}
        hook = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                self._take()

            def do_OPTIONS(self) -> None:
                self._take()

            def _take(self) -> None:
                size = int(self.headers.get("Content-Length") or 0)
                raw = self.rfile.read(size)
                if len(raw) < size:  # its sender was killed
                    self.close_connection = True
                    return
                headers = {name.lower(): value for name, value in self.headers.items()}
                path = hook.at(self.path.partition("?")[0])
                body = json.loads(raw) if raw else None
                request = Request(self.command, headers, body)
                status, extra, answer = hook.answer(path, request)
                with contextlib.suppress(ConnectionError):
                    self.send_response(status)
                    for name, value in extra.items():
                        self.send_header(name, value)
                    self.send_header("Content-Length", str(len(answer)))
                    self.end_headers()
                    self.wfile.write(answer)

            def handle(self) -> None:
                with contextlib.suppress(ConnectionError):
                    super().handle()

            def log_message(self, *_arguments: object) -> None:
                pass

        ThreadingHTTPServer.daemon_threads = True
        ThreadingHTTPServer.request_queue_size = 128
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._base = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def at(self, path: str) -> Path:
        return self._paths.setdefault(path, Path(self._base + path))

    def answer(self, path: Path, request: Request) -> tuple[int, dict[str, str], bytes]:
        if request.method == "OPTIONS":
            path.requests.append(request)
            allowed = {"WebHook-Allowed-Origin": "eventgrid.azure.net"}
            return path.options_status, allowed if path.handshake == "agree" else {}, b""
        if request.headers.get("aeg-event-type") == "SubscriptionValidation":
            path.requests.append(request)
            if path.handshake == "refuse":
                return 404, {}, b""
            code = request.body[0]["data"]["validationCode"]
            answer = {"validationResponse": code} if path.handshake == "agree" else {}
            return 200, {}, json.dumps(answer).encode()
        path.requests.append(request)
        path.held.wait(WITHIN_S)
        status = path.statuses.pop(0) if path.statuses else path.status
        return status, {}, b""

    def stop(self) -> None:
        for path in self._paths.values():
            path.held.set()
        self._server.shutdown()
        self._server.server_close()


def until[T](look: Callable[[], T], done: Callable[[T], bool]) -> T:
    """What `look` finds once it is as wanted. AssertionError with the last finding otherwise."""
    deadline = time.monotonic() + WITHIN_S
    while not done(found := look()):
        assert time.monotonic() < deadline, found
        time.sleep(0.02)
    return found
