"""The partners' stand-ins as processes, and what a test asks of their control side."""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from typing import Any

import httpx

API_KEY = "test-shipping-key"
EMPLOYEES = "11111111-1111-4111-8111-111111111111"


class Standin:
    """One partner at `url`, seen through its control API."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._http = httpx.Client(base_url=url, timeout=10, trust_env=False)

    def fault(self, operation: str, kind: str, **how: Any) -> None:
        """Make the next `operation` fail (`times=None`: all until the reset)."""
        order = {"operation": operation, "kind": kind, **how}
        assert self._http.post("/control/faults", json=order).status_code == 201

    def reset(self) -> None:
        """Remove what was ordered; what took effect stays."""
        assert self._http.post("/control/reset").is_success

    def confirm_on_page(self, payment_id: str, code: str) -> None:
        """The customer gives the code to the gateway, and not to us."""
        path = f"/control/payments/{payment_id}/confirm"
        assert self._http.post(path, json={"code": code}).is_success

    def entries(self, reference: object) -> list[dict[str, Any]]:
        """What took effect for `reference`, oldest first."""
        answer = self._http.get("/control/ledger", params={"reference": str(reference)})
        entries: list[dict[str, Any]] = answer.json()["entries"]
        return entries

    def operations(self, reference: object) -> list[str]:
        """The operations that took effect for `reference`, oldest first."""
        return [entry["operation"] for entry in self.entries(reference)]

    def close(self) -> None:
        self._http.close()


@contextlib.contextmanager
def running(part: str, *arguments: str) -> Iterator[Standin]:
    """`python -m localcloud.<part>` on a free port with a state of its own."""
    with tempfile.TemporaryDirectory() as state:
        command = [sys.executable, "-m", f"localcloud.{part}", "--port", "0", "--state", state]
        process = subprocess.Popen(
            [*command, *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
        assert process.stdout is not None
        try:
            line = process.stdout.readline()
            assert line.startswith("READY "), f"{part} did not start: {line!r}"
            standin = Standin(f"http://127.0.0.1:{json.loads(line[6:])['port']}")
            yield standin
            standin.close()
        finally:
            process.terminate()
            process.wait(timeout=10)
            process.stdout.close()
