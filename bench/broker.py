"""The Service Bus broker alone: messages a second that are on disk when they are acknowledged."""

import contextlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
from azure.servicebus import ServiceBusClient, ServiceBusMessage, ServiceBusReceiver

from localcloud.cloud import ROOT
from localcloud.process import PREFIX

BATCH = 100
BODY = b"x" * 1024
QUEUE, TOPIC, SUBSCRIPTION = "bench", "news", "all"
TOPOLOGY: dict[str, Any] = {
    "UserConfig": {
        "Namespaces": [
            {
                "Name": "bench",
                "Queues": [{"Name": QUEUE, "Properties": {}}],
                "Topics": [
                    {
                        "Name": TOPIC,
                        "Properties": {},
                        "Subscriptions": [{"Name": SUBSCRIPTION, "Properties": {}, "Rules": []}],
                    }
                ],
            }
        ]
    }
}


def measure(seconds: float) -> dict[str, Any]:
    """Messages of 1 KB a second through the unmodified SDK, and the broker's CPU µs for each."""
    with _broker() as (process, connection), _client(connection) as client:
        with client.get_topic_sender(TOPIC) as sender:
            batches = _rate(process, seconds, lambda: _send_batch(sender))
        with client.get_queue_sender(QUEUE) as sender:
            singles = _rate(process, seconds, lambda: _send_one(sender))
        with client.get_queue_receiver(QUEUE) as receiver:
            taken = _rate(process, seconds, lambda: _take(receiver))
    return {"sends_batched": batches, "sends": singles, "receives_and_completes": taken}


def _send_batch(sender: Any) -> int:
    sender.send_messages([ServiceBusMessage(BODY) for _ in range(BATCH)])
    return BATCH


def _send_one(sender: Any) -> int:
    sender.send_messages(ServiceBusMessage(BODY))
    return 1


def _take(receiver: ServiceBusReceiver) -> int:
    messages = receiver.receive_messages(BATCH, max_wait_time=1)
    for message in messages:
        receiver.complete_message(message)
    return len(messages)


def _rate(process: psutil.Process, seconds: float, work: Callable[[], int]) -> dict[str, float]:
    """How many a second `work` gets done, until it finds nothing more to do."""
    work()
    done, before, began = 0, sum(process.cpu_times()[:2]), time.perf_counter()
    while time.perf_counter() - began < seconds and (some := work()):
        done += some
        took = time.perf_counter() - began
    used = sum(process.cpu_times()[:2]) - before
    return {"per_second": round(done / took, 1), "cpu_us": round(used / done * 1e6, 1)}


@contextlib.contextmanager
def _broker() -> Iterator[tuple[psutil.Process, str]]:
    with tempfile.TemporaryDirectory(prefix="bench-broker-") as folder:
        topology = Path(folder) / "topology.json"
        topology.write_text(json.dumps(TOPOLOGY))
        command = [sys.executable, "-m", "localcloud.servicebus", "--port", "0"]
        command += ["--topology", str(topology), "--state", f"{folder}/state"]
        process = subprocess.Popen(  # noqa: S603 - our own module
            [*command, "--key", "RootManageSharedAccessKey=bench"],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            cwd=ROOT,
        )
        assert process.stdout is not None
        try:
            port = json.loads(process.stdout.readline().removeprefix(PREFIX))["port"]
            name = "RootManageSharedAccessKey"
            address = f"Endpoint=sb://127.0.0.1:{port};SharedAccessKeyName={name};"
            yield (
                psutil.Process(process.pid),
                f"{address}SharedAccessKey=bench;UseDevelopmentEmulator=true;",
            )
        finally:
            process.terminate()
            process.wait()
            process.stdout.close()


@contextlib.contextmanager
def _client(connection: str) -> Iterator[ServiceBusClient]:
    with ServiceBusClient.from_connection_string(connection) as client:
        yield client
