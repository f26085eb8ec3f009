"""The functions of the app as the host runs them: triggers, inputs, and what is refused."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from localcloud.functions.errors import StartRefused
from localcloud.functions.retries import RetryPolicy, policy_of
from localcloud.functions.settings import is_disabled, resolve
from localcloud.functions.worker import Indexed

_log = logging.getLogger("localcloud.functions")

HTTP, TIMER, SERVICE_BUS = "httpTrigger", "timerTrigger", "serviceBusTrigger"
QUEUE, BLOB, EVENT_GRID = "queueTrigger", "blobTrigger", "eventGridTrigger"
SERVICE_BUS_OUTPUT, EVENT_GRID_OUTPUT = "serviceBus", "eventGrid"
QUEUE_OUTPUT, BLOB_BINDING = "queue", "blob"
ORCHESTRATION, ACTIVITY, ENTITY = "orchestrationTrigger", "activityTrigger", "entityTrigger"
CLIENT = "durableClient"

_TRIGGERS = frozenset(
    {HTTP, TIMER, SERVICE_BUS, QUEUE, BLOB, EVENT_GRID, ORCHESTRATION, ACTIVITY, ENTITY}
)
_INPUTS = frozenset({BLOB_BINDING})
_OUTPUTS = frozenset({SERVICE_BUS_OUTPUT, EVENT_GRID_OUTPUT, QUEUE_OUTPUT, BLOB_BINDING})
_POLLED = "LogsAndContainerScan"
_DURABLE_NAME = {ORCHESTRATION: "orchestration", ACTIVITY: "activity", ENTITY: "entityName"}


@dataclass(frozen=True, slots=True)
class Binding:
    """An input or output binding: its parameter (`$return` for the returned value), its fields."""

    name: str
    fields: Mapping[str, Any]

    @property
    def kind(self) -> str:
        """Its type, such as `queue`."""
        return str(self.fields["type"])

    @property
    def connection(self) -> str:
        """The name of its connection setting, which may be empty."""
        return str(self.fields.get("connection") or "")


@dataclass(frozen=True, slots=True)
class Function:
    """One function: its trigger's type and resolved fields, and its durable client parameters."""

    name: str
    function_id: str
    trigger: str
    parameter: str
    fields: Mapping[str, Any]
    clients: tuple[str, ...]
    disabled: bool
    retry: RetryPolicy | None = None
    outputs: tuple[Binding, ...] = ()
    inputs: tuple[Binding, ...] = ()
    bindings: tuple[Mapping[str, Any], ...] = ()
    """All of them as the app states them, with references to settings as they are."""

    @property
    def connection(self) -> str:
        """The name of its trigger's connection setting, which may be empty."""
        return str(self.fields.get("connection") or "")

    @property
    def is_durable(self) -> bool:
        """Whether orchestrations run it, rather than events from outside."""
        return self.trigger in _DURABLE_NAME

    @property
    def durable_name(self) -> str:
        """The name by which orchestrations call it."""
        return str(self.fields.get(_DURABLE_NAME.get(self.trigger, ""), "") or self.name)


def functions_of(indexed: Sequence[Indexed], environ: Mapping[str, str]) -> list[Function]:
    """The app's functions, by name without regard to case.

    StartRefused for a binding that this host does not run, a setting that is not set, or no
    trigger. The message names the function and the binding.
    """
    found = sorted(indexed, key=lambda item: item.name.lower())
    return [_function(item, environ) for item in found]


def chosen(
    indexed: Sequence[Indexed], asked: Sequence[str], configured: Sequence[str]
) -> list[Indexed]:
    """The functions that `asked` names, else those of `functions` in host.json, else all.

    StartRefused when `asked` names one that the app does not have; host.json may, as in Azure.
    """
    names = {item.name.lower() for item in indexed}
    unknown = [name for name in asked if name.lower() not in names]
    if unknown:
        raise StartRefused(f"the app has no function {', '.join(map(repr, unknown))}")
    wanted = {name.lower() for name in (asked or configured)}
    return [item for item in indexed if not wanted or item.name.lower() in wanted]


def _function(item: Indexed, environ: Mapping[str, str]) -> Function:
    triggers = [b for b in item.bindings if str(b["type"]).endswith("Trigger")]
    if len(triggers) != 1:
        raise StartRefused(f"function {item.name!r} has {len(triggers)} triggers; it needs one")
    trigger = triggers[0]
    kind = str(trigger["type"])
    if kind not in _TRIGGERS:
        raise StartRefused(f"function {item.name!r}: the trigger {kind!r} is not offered here")
    _refuse_other_ways_to_blobs(item)
    disabled = is_disabled(item.name, environ)
    # A disabled function may refer to settings that only its own environment has.
    fields = trigger if disabled else _resolved(item.name, trigger, environ)
    clients, inputs, outputs = _other_bindings(item, environ, disabled=disabled)
    return Function(
        name=item.name,
        function_id=item.function_id,
        trigger=kind,
        parameter=str(trigger["name"]),
        fields=fields,
        clients=tuple(clients),
        disabled=disabled,
        retry=_retry_policy(item, kind),
        outputs=tuple(outputs),
        inputs=tuple(inputs),
        bindings=item.bindings,
    )


def _retry_policy(item: Indexed, trigger: str) -> RetryPolicy | None:
    """Azure heeds the policies of timers; other triggers here retry by themselves, or never."""
    if item.retry is None:
        return None
    if trigger != TIMER:
        _log.warning(
            "function %r: a retry policy has no effect on the trigger %s", item.name, trigger
        )
        return None
    try:
        return policy_of(dict(item.retry))
    except ValueError as error:
        raise StartRefused(f"function {item.name!r}, retry policy: {error}") from error


def _refuse_other_ways_to_blobs(item: Indexed) -> None:
    for binding in item.bindings:
        source = str(binding.get("source") or _POLLED)
        if binding["type"] == BLOB and source.lower() != _POLLED.lower():
            raise StartRefused(
                f"function {item.name!r}: the source {source!r} of a blob trigger is not offered"
                f" here; there is {_POLLED}"
            )
        if (binding.get("properties") or {}).get("SupportsDeferredBinding"):
            raise StartRefused(
                f"function {item.name!r}: SDK types such as BlobClient, which {binding['name']!r}"
                " asks for, are not offered here"
            )


def _other_bindings(
    item: Indexed, environ: Mapping[str, str], *, disabled: bool
) -> tuple[list[str], list[Binding], list[Binding]]:
    """The durable client parameters, the input bindings and the output bindings."""
    clients: list[str] = []
    inputs: list[Binding] = []
    outputs: list[Binding] = []
    for binding in item.bindings:
        kind, name = str(binding["type"]), str(binding["name"])
        goes_in = str(binding.get("direction", "OUT")).upper() == "IN"
        if kind == CLIENT:
            clients.append(name)
        elif kind in (_INPUTS if goes_in else _OUTPUTS):
            fields = binding if disabled else _resolved(item.name, binding, environ)
            (inputs if goes_in else outputs).append(Binding(name, fields))
        elif not kind.endswith("Trigger") and not (kind == "http" and name == "$return"):
            raise StartRefused(
                f"function {item.name!r}: the binding {kind!r} of {name!r} is not offered here"
            )
    return clients, inputs, outputs


def _resolved(
    function: str, trigger: Mapping[str, Any], environ: Mapping[str, str]
) -> Mapping[str, Any]:
    return {
        key: resolve(value, environ, function=function) if isinstance(value, str) else value
        for key, value in trigger.items()
    }
