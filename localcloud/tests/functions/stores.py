"""The app of storage and Event Grid bindings, on a real Azurite and a real HTTP receiver."""

import contextlib
import http.server
import json
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from azure.core.exceptions import ResourceExistsError, ResourceNotFoundError
from azure.storage.blob import BlobServiceClient, ContainerClient
from azure.storage.queue import (
    QueueClient,
    QueueServiceClient,
    TextBase64DecodePolicy,
    TextBase64EncodePolicy,
)

from localcloud.cloud import LocalCloud
from localcloud.ports import HOST
from localcloud.storage.azurite import connection_string
from localcloud.tests.functions.running_host import APPS, RunningHost, eventually, running


@dataclass
class Topic:
    """What an Event Grid topic received; `answers` are the statuses of the next answers."""

    port: int = 0
    requests: list[tuple[str, Mapping[str, str], Any]] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)


class Account:
    """The storage account as another client than the host sees it."""

    def __init__(self, connection: str) -> None:
        self.connection = connection
        self._queues = QueueServiceClient.from_connection_string(connection, retry_total=0)
        self._blobs = BlobServiceClient.from_connection_string(connection, retry_total=0)

    def queue(self, name: str, *, encoded: bool = True) -> QueueClient:
        """A queue, made when it is missing, whose texts travel in Base64 unless not `encoded`."""
        policies: dict[str, Any] = {}
        if encoded:
            policies["message_encode_policy"] = TextBase64EncodePolicy()
            policies["message_decode_policy"] = TextBase64DecodePolicy()
        queue = self._queues.get_queue_client(name, **policies)
        with contextlib.suppress(ResourceExistsError):
            queue.create_queue()
        return queue

    def container(self, name: str) -> ContainerClient:
        """A container, made when it is missing."""
        container = self._blobs.get_container_client(name)
        with contextlib.suppress(ResourceExistsError):
            container.create_container()
        return container

    def text(self, container: str, name: str) -> str | None:
        """What a blob holds; None when it is not there."""
        try:
            blob = self._blobs.get_blob_client(container, name)
            return blob.download_blob().readall().decode()
        except ResourceNotFoundError:
            return None

    def appeared(self, container: str, name: str) -> str:
        """What a blob holds once it is there."""
        eventually(lambda: self.text(container, name) is not None, 30)
        return str(self.text(container, name))

    def received(self, queue: str, count: int) -> list[str]:
        """The texts of `count` messages once they came, in any order; they are deleted."""
        texts: list[str] = []
        client = self.queue(queue)

        def enough() -> bool:
            for message in client.receive_messages():
                texts.append(message.content)
                client.delete_message(message)
            return len(texts) >= count

        eventually(enough, 30)
        assert len(texts) == count
        return texts

    def has_queue(self, name: str) -> bool:
        """Whether there is a queue of that name."""
        return name in [queue.name for queue in self._queues.list_queues()]

    def delete_queue(self, name: str) -> None:
        """Delete a queue with its messages."""
        self._queues.delete_queue(name)

    def is_empty(self, queue: str) -> bool:
        """Whether the queue holds no message, hidden ones counted."""
        return self.queue(queue).get_queue_properties().approximate_message_count == 0


class Stores(Account):
    """A host that runs the app, its account, and what it noted."""

    def __init__(self, host: RunningHost, account: str, evidence: Path, topic: Topic) -> None:
        super().__init__(account)
        self.host, self.evidence, self.topic = host, evidence, topic

    def notes(self, name: str) -> list[dict[str, Any]]:
        """What the functions noted under `name`, in its order."""
        file = self.evidence / name
        lines = file.read_text().splitlines() if file.exists() else []
        return [json.loads(line) for line in lines]

    def noted(self, what: str, /, **facts: Any) -> list[dict[str, Any]]:
        """Those notes under `what` that agree with `facts`."""
        return [
            found
            for found in self.notes(what)
            if all(found.get(key) == value for key, value in facts.items())
        ]

    def let(self, name: str) -> None:
        """Make the file that a function waits for."""
        (self.evidence / name).touch()


@contextlib.contextmanager
def topic() -> Iterator[Topic]:
    """An HTTP server that takes events as a topic does."""
    seen = Topic()

    class Receiver(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            seen.requests.append((self.path, headers, json.loads(body)))
            self.send_response(seen.answers.pop(0) if seen.answers else 200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Nothing: the test reads the requests."""

    with http.server.ThreadingHTTPServer((HOST, 0), Receiver) as server:
        seen.port = server.server_port
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield seen
        server.shutdown()
        thread.join()


@contextlib.contextmanager
def serving(
    cloud: LocalCloud,
    folder: Path,
    *options: str,
    queue: str = "work",
    box: str = "picky",
    **settings: str,
) -> Iterator[Stores]:
    """The app, with its work in the given queue and container, killed at the end of the block."""
    evidence = folder / "evidence"
    evidence.mkdir(parents=True, exist_ok=True)
    account = connection_string(cloud.ports)
    with topic() as seen:
        env = {
            "EVIDENCE": str(evidence),
            "Store": account,
            "AzureWebJobsStorage": account,
            "WORK_QUEUE": queue,
            "BOX": box,
            "TOPIC_URI": f"http://{HOST}:{seen.port}/api/events",
            "TOPIC_KEY": "the topic's key",
            **settings,
        }
        with running(APPS / "stores", folder / "state", *options, env=env) as host:
            yield Stores(host, account, evidence, seen)
