"""The part of Azure's `/admin` API that people and tests use: status, functions, manual runs."""

import asyncio
import json
import time
from collections.abc import Coroutine, Mapping, Sequence
from typing import Any
from urllib.parse import parse_qs

from localcloud.functions.catalogue import HTTP, SERVICE_BUS, TIMER, Function
from localcloud.functions.deliveries import Delivery
from localcloud.functions.execution import Executor
from localcloud.functions.keys import Keys
from localcloud.functions.responses import Headers
from localcloud.functions.timers import Timers

Answer = tuple[int, Headers, bytes]

_STARTED = time.monotonic()


class AdminApi:
    """Answers below `/admin`, to who has the master key."""

    def __init__(
        self,
        functions: Sequence[Function],
        *,
        urls: Mapping[str, str],
        keys: Keys,
        require_keys: bool,
        timers: Timers,
        deliveries: Mapping[str, Delivery],
        executor: Executor,
    ) -> None:
        self._functions = {function.name.lower(): function for function in functions}
        self._urls, self._keys, self._require_keys = urls, keys, require_keys
        self._timers, self._deliveries, self._executor = timers, deliveries, executor
        self._runs: set[asyncio.Task[object]] = set()

    async def answer(
        self, method: str, path: str, headers: Mapping[str, str], query: str, body: bytes
    ) -> Answer:
        """Answer one request; 401 without the master key, 404 for what is not offered."""
        if self._require_keys:
            code = parse_qs(query).get("code", [""])[0]
            given = headers.get("x-functions-key") or code
            if not self._keys.opens("ADMIN", "", given):
                return 401, [], b""
        parts = path.strip("/").lower().split("/")[1:]
        match method, parts:
            case "GET", ["host", "status"]:
                return _json(200, self._status())
            case "GET", ["functions"]:
                return _json(200, [self._described(f) for f in self._functions.values()])
            case "GET", ["functions", name] if name in self._functions:
                return _json(200, self._described(self._functions[name]))
            case "POST", ["functions", name] if name in self._functions:
                return self._run(self._functions[name], body)
        return 404, [], b""

    def _status(self) -> dict[str, Any]:
        return {
            "id": "localcloud",
            "state": "Running",
            "version": "4.0.0.0",
            "versionDetails": "localcloud",
            "processUptime": int((time.monotonic() - _STARTED) * 1000),
            "runningInvocations": self._executor.running,
        }

    def _described(self, function: Function) -> dict[str, Any]:
        return {
            "name": function.name,
            "isDisabled": function.disabled,
            "invoke_url_template": self._urls.get(function.name),
            "config": {"bindings": [dict(function.fields)]},
        }

    def _run(self, function: Function, body: bytes) -> Answer:
        """Start a run and answer at once; 400 for a trigger that cannot be run by hand."""
        try:
            given = json.loads(body)["input"] if body.strip() else ""
        except (ValueError, KeyError, TypeError):
            return _json(400, {"Message": 'the body must be a JSON object with "input"'})
        if function.trigger == TIMER:
            run: Coroutine[Any, Any, object] = self._timers.by_name[function.name.lower()].fire()
        elif function.trigger == SERVICE_BUS:
            text = given if isinstance(given, str) else json.dumps(given)
            run = self._deliveries[function.name.lower()].by_hand(text)
        else:
            how = "call its URL" if function.trigger == HTTP else "start its orchestration"
            return _json(400, {"Message": f"{function.name} has no manual run: {how}"})
        task = asyncio.create_task(run)
        self._runs.add(task)
        task.add_done_callback(self._runs.discard)
        return 202, [], b""


def _json(status: int, document: Any) -> Answer:
    return status, [(b"content-type", b"application/json")], json.dumps(document).encode()
