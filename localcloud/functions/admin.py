"""The part of Azure's `/admin` API that people and tools use: status, functions, keys, runs."""

import asyncio
import hashlib
import json
import platform
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from localcloud.functions.catalogue import HTTP, Function
from localcloud.functions.keys import Keys
from localcloud.functions.responses import Headers

Answer = tuple[int, Headers, bytes]
ByHand = Callable[[str], Coroutine[Any, Any, object]]
"""Runs a function on a text, as if that had been its trigger."""

_STARTED = time.monotonic()


class AdminApi:
    """Answers below `/admin`, to who has the master key."""

    def __init__(
        self,
        functions: Sequence[Function],
        *,
        script_root: Path,
        origin: str,
        urls: Mapping[str, str],
        keys: Keys,
        require_keys: bool,
        by_hand: Mapping[str, ByHand],
    ) -> None:
        """`urls` by the name of HTTP functions, `by_hand` by the lower-case name of the others."""
        self._functions = {function.name.lower(): function for function in functions}
        self._script_root, self._origin, self._urls = script_root, origin, urls
        self._keys, self._require_keys, self._by_hand = keys, require_keys, by_hand
        self._runs: set[asyncio.Task[object]] = set()

    async def answer(
        self, method: str, path: str, headers: Mapping[str, str], query: str, body: bytes
    ) -> Answer:
        """Answer one request; 401 without the master key, 404 for what is not offered."""
        parts = path.strip("/").lower().split("/")[1:]
        if parts == ["host", "ping"] and method in {"GET", "POST"}:
            return 200, [], b""
        if self._require_keys:
            code = parse_qs(query).get("code", [""])[0]
            given = headers.get("x-functions-key") or code
            if not self._keys.opens("ADMIN", "", given):
                return 401, [], b""
        match method, parts:
            case "GET", ["host", "status"]:
                return _json(200, self._status())
            case "GET", ["functions"]:
                return _json(200, [self._described(f) for f in self._functions.values()])
            case "GET", ["functions", name] if name in self._functions:
                return _json(200, self._described(self._functions[name]))
            case "POST", ["functions", name] if name in self._functions:
                return self._run(self._functions[name], body)
            case "GET", _ if (named := self._named_keys(parts)) is not None:
                listed = [{"name": name, "value": value} for name, value in named.items()]
                links = [{"rel": "self", "href": f"{self._origin}{path}"}]
                return _json(200, {"keys": listed, "links": links})
        return 404, [], b""

    def _status(self) -> dict[str, Any]:
        where = hashlib.blake2b(str(self._script_root).encode(), digest_size=4).hexdigest()
        return {
            "id": f"{platform.node().lower()}-{where}",
            "state": "Running",
            "version": "4.0.0.0",
            "versionDetails": "4.0.0+localcloud",
            "platformVersion": "",
            "instanceId": "",
            "computerName": platform.node().upper(),
            "processUptime": int((time.monotonic() - _STARTED) * 1000),
            "functionAppContentEditingState": "Unknown",
        }

    def _described(self, function: Function) -> dict[str, Any]:
        url = self._urls.get(function.name)
        return {
            "name": function.name,
            "script_root_path_href": None,
            "script_href": None,
            "config_href": None,
            "test_data_href": None,
            "href": f"{self._origin}/admin/functions/{function.name}",
            "invoke_url_template": url.lower() if url else None,
            "language": "python",
            "config": {
                "name": function.name,
                "language": "python",
                "scriptFile": "function_app.py",
                "bindings": [dict(binding) for binding in function.bindings],
            },
            "files": None,
            "test_data": None,
            "isDisabled": function.disabled,
            "isDirect": False,
            "isProxy": False,
        }

    def _named_keys(self, parts: Sequence[str]) -> Mapping[str, str] | None:
        match parts:
            case ["functions", name, "keys"] if name in self._functions:
                return self._keys.functions.get(self._functions[name].name, {})
            case ["host", "keys" | "functionkeys"]:
                return self._keys.host
            case ["host", "systemkeys"]:
                return self._keys.system
        return None

    def _run(self, function: Function, body: bytes) -> Answer:
        """Start a run and answer at once; 400 for a trigger that cannot be run by hand."""
        try:
            given = json.loads(body).get("input", "")
        except (ValueError, AttributeError):
            return _json(400, {"Message": "the body must be a JSON object, at least {}"})
        run = self._by_hand.get(function.name.lower())
        if run is None:
            how = "call its URL" if function.trigger == HTTP else "start its orchestration"
            return _json(400, {"Message": f"{function.name} has no manual run: {how}"})
        task = asyncio.create_task(run(given if isinstance(given, str) else json.dumps(given)))
        self._runs.add(task)
        task.add_done_callback(self._runs.discard)
        return 202, [], b""


def _json(status: int, document: Any) -> Answer:
    return status, [(b"content-type", b"application/json")], json.dumps(document).encode()
