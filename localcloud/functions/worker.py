"""Microsoft's worker library in this process: indexes the app and runs its functions."""

import json
import site
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import azure_functions_runtime as library

from localcloud.functions.errors import StartRefused
from localcloud.functions.protos import (
    PROTOS,
    InvocationRequest,
    InvocationResponse,
    StatusResult,
    envelope,
)


@dataclass(frozen=True, slots=True)
class Indexed:
    """A function as the worker found it. Bindings are the raw JSON objects of the metadata."""

    name: str
    function_id: str
    bindings: tuple[Mapping[str, Any], ...]
    retry: Mapping[str, Any] | None = None
    """The retry policy as the function states it, if it does."""


async def index(script_root: Path) -> list[Indexed]:
    """Import `function_app.py` of `script_root` and list its functions in the worker's order.

    StartRefused with the worker's own message when the app cannot be imported or is invalid.
    The library keeps the app in globals: one app per process, and no reload.
    """
    if not (script_root / "function_app.py").exists():
        raise StartRefused(f"{script_root} holds no function_app.py")
    sys.path.insert(0, str(script_root))
    _add_packages(script_root)
    library.start_threadpool_executor()
    answer = await library.worker_init_request(
        envelope(
            "worker_init_request",
            {"host": "127.0.0.1", "protos": PROTOS},
            capabilities={},
            function_app_directory=str(script_root),
        )
    )
    if answer.result.status != StatusResult.Success:
        failure = answer.result.exception
        raise StartRefused(
            f"the app cannot be indexed: {failure.message}\n{failure.stack_trace.rstrip()}"
        )
    if "HttpUri" in answer.capabilities:
        raise StartRefused(
            "the app uses the fastapi extension (HTTP streams), which is not offered"
        )
    listing = await library.functions_metadata_request(envelope("functions_metadata_request"))
    return [
        Indexed(
            name=found.name,
            function_id=found.function_id,
            bindings=tuple(json.loads(text) for text in found.raw_bindings),
            retry=None if found.retry_options is None else _stated(found.retry_options),
        )
        for found in listing.function_metadata_results or ()
    ]


def _stated(options: Any) -> Mapping[str, Any]:
    """The policy's fields with intervals as text, as host.json has them."""
    return {
        name: str(value) if isinstance(value, timedelta) else value
        for name, value in vars(options).items()
    } | {"strategy": options.retry_strategy}


def _add_packages(script_root: Path) -> None:
    """Let the app import what was installed for it: Azure's folder, or a virtual environment."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    for folder in (
        script_root / ".python_packages" / "lib" / "site-packages",
        *(script_root / name / "lib" / version / "site-packages" for name in (".venv", "venv")),
    ):
        if folder.is_dir() and str(folder) not in sys.path:
            site.addsitedir(str(folder))


async def invoke(request: InvocationRequest) -> InvocationResponse:
    """Run one function. Its exceptions are in the answer; SystemExit and the like are raised."""
    answer: InvocationResponse = await library.invocation_request(request)
    return answer


def invocation_in_thread() -> str | None:
    """The invocation id that this thread of the worker's pool is busy with, if any."""
    running: str | None = library.invocation_id_cv.get()
    return running


def occupies_thread(function_id: str) -> bool:
    """Whether the function is a plain one, which runs in the pool and cannot be cancelled there."""
    found = library.handle_event._functions.get_function(function_id)  # noqa: SLF001 - no other way
    return found is not None and not found.is_async
