"""Brokers as processes of their own, and the topology they serve under test."""

import json
import select
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

KEY = "an-untold-secret"
READY = "READY "
START_TIMEOUT_S = 20.0


class BrokerProcess:
    """A broker that serves; `kill` is SIGKILL, `stop` asks it to end and returns its exit code."""

    def __init__(self, topology: Path, state: Path, *options: str, port: int = 0) -> None:
        command = [sys.executable, "-m", "localcloud.servicebus", "--port", str(port)]
        command += ["--topology", str(topology), "--state", str(state)]
        command += ["--key", f"RootManageSharedAccessKey={KEY}", *options]
        # A pipe that nobody reads would block a broker that has much to complain about.
        self._log = state.with_suffix(".log")
        with self._log.open("w", encoding="utf-8") as log:
            self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
        assert self.process.stdout is not None
        readable, _, _ = select.select([self.process.stdout], [], [], START_TIMEOUT_S)
        line = self.process.stdout.readline() if readable else ""
        if not line.startswith(READY):
            self.kill()
            raise BrokerRefused(self.log())
        facts = json.loads(line.removeprefix(READY))
        self.port = int(facts["port"])
        self.tls_port, self.admin_port = (int(facts.get(f"{p}_port", 0)) for p in ("tls", "admin"))
        self.certificate = state / "tls.pem"

    def connection_string(self, key: str = KEY) -> str:
        return (
            f"Endpoint=sb://127.0.0.1:{self.port};SharedAccessKeyName=RootManageSharedAccessKey;"
            f"SharedAccessKey={key};UseDevelopmentEmulator=true;"
        )

    def admin_connection_string(self, key: str = KEY) -> str:
        return self.connection_string(key).replace(f":{self.port};", f":{self.admin_port};")

    def log(self) -> str:
        return self._log.read_text(encoding="utf-8")

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()

    def stop(self) -> int:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.communicate(timeout=START_TIMEOUT_S)
        return self.process.returncode


class BrokerRefused(Exception):
    """The broker ended instead of serving; the text is what it wrote to standard error."""


@contextmanager
def running(topology: Path, state: Path, *options: str) -> Iterator[BrokerProcess]:
    broker = BrokerProcess(topology, state, *options)
    try:
        yield broker
    finally:
        if broker.process.poll() is None:
            broker.stop()


def subscription(
    name: str = "all", rules: Sequence[Mapping[str, Any]] = (), **properties: Any
) -> dict[str, Any]:
    filters = [
        {
            "Name": f"rule-{number}",
            "Properties": {"FilterType": "Correlation", "CorrelationFilter": rule},
        }
        for number, rule in enumerate(rules)
    ]
    return {"Name": name, "Properties": properties, "Rules": filters}


def sql_rule(name: str, condition: str, action: str | None = None) -> dict[str, Any]:
    properties: dict[str, Any] = {
        "FilterType": "Sql",
        "SqlFilter": {"SqlExpression": condition},
    }
    if action is not None:
        properties["Action"] = {"SqlExpression": action}
    return {"Name": name, "Properties": properties}


def write_topology(
    path: Path,
    topics: Mapping[str, Sequence[Mapping[str, Any]]],
    queues: Mapping[str, Mapping[str, Any]] | None = None,
) -> Path:
    """A topology file with these subscriptions for each topic, and properties for each queue."""
    entries = [{"Name": name, "Subscriptions": subs} for name, subs in topics.items()]
    waiting = [{"Name": name, "Properties": own} for name, own in (queues or {}).items()]
    namespace = {"Name": "sbemulatorns", "Queues": waiting, "Topics": entries}
    path.write_text(json.dumps({"UserConfig": {"Namespaces": [namespace]}}), encoding="utf-8")
    return path
