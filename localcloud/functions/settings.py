"""Application settings and `host.json`: where they come from and what the host reads from them."""

import json
import re
from collections.abc import Iterator, Mapping, MutableMapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from localcloud.functions import storage_options
from localcloud.functions.errors import StartRefused
from localcloud.functions.reading import Reader
from localcloud.functions.retries import RetryPolicy
from localcloud.functions.storage_options import BlobOptions, QueueOptions

_REFERENCE = re.compile(r"%([^%]+)%")
_OVERRIDE = "AzureFunctionsJobHost__"
PROCESS_COUNT = "FUNCTIONS_WORKER_PROCESS_COUNT"
_MOST_PROCESSES = 10
_TRUE = frozenset({"1", "true"})
_HEEDED = frozenset(
    key.lower()
    for key in (
        "version",
        "functionTimeout",
        "functions",
        *(f"retry.{name}" for name in ("strategy", "maxRetryCount", "delayInterval")),
        *(f"retry.{name}Interval" for name in ("minimum", "maximum")),
        "logging.logLevel",
        "extensions.http.routePrefix",
        "extensions.serviceBus.maxConcurrentCalls",
        "extensions.serviceBus.prefetchCount",
        "extensions.serviceBus.maxMessageBatchSize",
        "extensions.serviceBus.minMessageBatchSize",
        "extensions.serviceBus.maxBatchWaitTime",
        "extensions.serviceBus.maxConcurrentSessions",
        "extensions.serviceBus.sessionIdleTimeout",
        "extensions.serviceBus.autoCompleteMessages",
        "extensions.serviceBus.maxAutoLockRenewalDuration",
        *storage_options.HEEDED,
        "extensions.durableTask.hubName",
        "extensions.durableTask.maxConcurrentOrchestratorFunctions",
        "extensions.durableTask.maxConcurrentActivityFunctions",
    )
)
_WITHOUT_CONSEQUENCE = frozenset(
    {"$schema", "extensionbundle", "logging.applicationinsights", "logging.console"}
)
"""How Azure gets its extensions and where it sends its logs."""


@dataclass(frozen=True, slots=True)
class ServiceBusOptions:
    """`extensions.serviceBus`, with Azure's defaults."""

    max_concurrent_calls: int = 16
    prefetch_count: int = 0
    max_lock_renewal_s: float = 300.0
    max_batch_size: int = 1000
    min_batch_size: int = 1
    max_batch_wait_s: float = 30.0
    max_concurrent_sessions: int = 8
    session_idle_s: float = 60.0


@dataclass(frozen=True, slots=True)
class DurableOptions:
    """`extensions.durableTask`, with Azure's defaults for one small instance."""

    hub_name: str = "TestHubName"
    max_orchestrations: int = 8
    max_activities: int = 16


@dataclass(frozen=True, slots=True)
class HostOptions:
    """What the host obeys in `host.json`; `function_timeout_s` None means no limit."""

    route_prefix: str = "api"
    function_timeout_s: float | None = 1800.0
    service_bus: ServiceBusOptions = field(default_factory=ServiceBusOptions)
    queues: QueueOptions = field(default_factory=QueueOptions)
    blobs: BlobOptions = field(default_factory=BlobOptions)
    durable: DurableOptions = field(default_factory=DurableOptions)
    log_levels: Mapping[str, str] = field(default_factory=lambda: {"default": "Information"})
    retry: RetryPolicy | None = None
    only: tuple[str, ...] = ()
    """`functions`: the names of those to run; empty means all."""
    unheeded: tuple[str, ...] = ()
    """Keys of the document that change the app in Azure and do nothing here."""


def load_local_settings(script_root: Path, environ: MutableMapping[str, str]) -> None:
    """Add `Values` and `ConnectionStrings` of `local.settings.json`, if there is one, to `environ`.

    A variable that is set and not empty wins. StartRefused for a file that is encrypted or no
    JSON object of strings.
    """
    environ["AZURE_FUNCTIONS_ENVIRONMENT"] = "Development"
    path = script_root / "local.settings.json"
    if not path.exists():
        return
    document = _json_object(path)
    if document.get("IsEncrypted", True):
        raise StartRefused(
            f'{path} is encrypted, or does not say "IsEncrypted": false; decrypt it with'
            " `func settings decrypt`"
        )
    values = _section(path, document, "Values")
    connections = _section(path, document, "ConnectionStrings")
    named = {f"ConnectionStrings__{name}": value for name, value in connections.items()}
    for name, value in (values | named).items():
        if not isinstance(value, str):
            raise StartRefused(f"{path}: the value of {name!r} is not a string")
        if not environ.get(name):
            environ[name] = value


def worker_processes(environ: Mapping[str, str]) -> int:
    """How many processes run the app: FUNCTIONS_WORKER_PROCESS_COUNT, 1 to 10, else 1.

    StartRefused for anything else.
    https://learn.microsoft.com/azure/azure-functions/functions-app-settings
    """
    text = environ.get(PROCESS_COUNT) or "1"
    if not (text.isascii() and text.isdecimal()) or not 1 <= int(text) <= _MOST_PROCESSES:
        raise StartRefused(f"{PROCESS_COUNT} is a number from 1 to {_MOST_PROCESSES}, not {text!r}")
    return int(text)


def load_host_options(script_root: Path, environ: Mapping[str, str]) -> HostOptions:
    """`host.json` with the `AzureFunctionsJobHost__…` overrides of the environment.

    StartRefused when it is missing, no JSON, not version 2.0, or holds a value of the wrong kind.
    """
    path = script_root / "host.json"
    if not path.exists():
        raise StartRefused(f"{path} is missing: this is no Functions app")
    document = _json_object(path)
    if document.get("version") != "2.0":
        raise StartRefused(f'{path}: "version" must be "2.0"')
    for name, value in environ.items():
        if name.startswith(_OVERRIDE):
            _override(document, name.removeprefix(_OVERRIDE).split("__"), value)
    read = Reader(path, document)
    return HostOptions(
        route_prefix=read.text("extensions", "http", "routePrefix", default="api").strip("/"),
        function_timeout_s=read.timeout("functionTimeout", default=1800.0),
        service_bus=_service_bus(read),
        queues=storage_options.queue_options(read),
        blobs=storage_options.blob_options(read),
        durable=DurableOptions(
            hub_name=read.text("extensions", "durableTask", "hubName", default="TestHubName"),
            max_orchestrations=read.count(
                "extensions", "durableTask", "maxConcurrentOrchestratorFunctions", default=8
            ),
            max_activities=read.count(
                "extensions", "durableTask", "maxConcurrentActivityFunctions", default=16
            ),
        ),
        log_levels=read.texts("logging", "logLevel", default={"default": "Information"}),
        retry=read.retry("retry"),
        only=read.names("functions"),
        unheeded=tuple(_unheeded(document)),
    )


def resolve(text: str, environ: Mapping[str, str], *, function: str) -> str:
    """`text` with each `%NAME%` replaced by that setting. StartRefused naming one that is unset."""

    def value_of(match: re.Match[str]) -> str:
        value = environ.get(match[1], "")
        if not value:
            raise StartRefused(
                f"function {function!r} refers to the setting %{match[1]}%, which is not set"
            )
        return value

    return _REFERENCE.sub(value_of, text)


def is_disabled(function: str, environ: Mapping[str, str]) -> bool:
    """Whether a setting switches `function` off, as `AzureWebJobs.<function>.Disabled` does."""
    return any(
        environ.get(f"AzureWebJobs{mark}{function}{mark}Disabled", "").lower() in _TRUE
        for mark in (".", "_", "__")
    )


def _service_bus(read: Reader) -> ServiceBusOptions:
    at = ("extensions", "serviceBus")
    if not read.flag(*at, "autoCompleteMessages", default=True):
        raise StartRefused(
            "host.json: extensions.serviceBus.autoCompleteMessages must be true:"
            " Python functions cannot settle messages themselves"
        )
    least = read.count(*at, "minMessageBatchSize", default=1)
    most = read.count(*at, "maxMessageBatchSize", default=1000)
    if least > most:
        raise StartRefused(
            "host.json: extensions.serviceBus.minMessageBatchSize is more than maxMessageBatchSize"
        )
    return ServiceBusOptions(
        max_concurrent_calls=read.count(*at, "maxConcurrentCalls", default=16),
        prefetch_count=read.count(*at, "prefetchCount", default=0, least=0),
        max_batch_size=most,
        min_batch_size=least,
        max_batch_wait_s=read.timeout(*at, "maxBatchWaitTime", default=30.0) or 30.0,
        max_concurrent_sessions=read.count(*at, "maxConcurrentSessions", default=8),
        session_idle_s=read.timeout(*at, "sessionIdleTimeout", default=60.0) or 60.0,
        max_lock_renewal_s=read.timeout(*at, "maxAutoLockRenewalDuration", default=300.0) or 0.0,
    )


def _unheeded(document: Mapping[str, Any], above: str = "") -> Iterator[str]:
    for key, value in document.items():
        path = f"{above}{key}"
        if path.lower() in _HEEDED | _WITHOUT_CONSEQUENCE:
            continue
        if isinstance(value, dict):
            yield from _unheeded(value, f"{path}.")
        else:
            yield path


def _json_object(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_text("utf-8-sig"))
    except (OSError, ValueError) as error:
        raise StartRefused(f"{path} cannot be read: {error}") from error
    if not isinstance(document, dict):
        raise StartRefused(f"{path} is not a JSON object")
    return document


def _section(path: Path, document: Mapping[str, Any], name: str) -> dict[str, Any]:
    section = document.get(name) or {}
    if not isinstance(section, dict):
        raise StartRefused(f"{path}: {name} is not an object")
    return section


def _override(document: dict[str, Any], keys: list[str], value: str) -> None:
    """Set the value at `keys`, which .NET configuration compares without regard to case."""
    for key in keys[:-1]:
        present = next((name for name in document if name.lower() == key.lower()), key)
        if not isinstance(document.get(present), dict):
            document[present] = {}
        document = document[present]
    last = keys[-1]
    document[next((name for name in document if name.lower() == last.lower()), last)] = value
