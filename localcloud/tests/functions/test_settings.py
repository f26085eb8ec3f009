"""Settings, host.json, and what makes the host decline to start."""

import json
from pathlib import Path
from typing import Any

import pytest

from localcloud.functions.errors import StartRefused
from localcloud.functions.settings import (
    DurableOptions,
    HostOptions,
    ServiceBusOptions,
    is_disabled,
    load_host_options,
    load_local_settings,
    resolve,
)
from localcloud.tests.functions.running_host import refusal, running


def written(folder: Path, name: str, document: Any) -> Path:
    (folder / name).write_text(json.dumps(document), "utf-8")
    return folder


def app(folder: Path, source: str, **host: Any) -> Path:
    """An app of `source` below the usual imports."""
    folder.mkdir(parents=True, exist_ok=True)
    header = "import azure.functions as func\nimport azure.durable_functions as df\n"
    (folder / "function_app.py").write_text(header + source, "utf-8")
    return written(folder, "host.json", {"version": "2.0", **host})


@pytest.mark.conforms(
    "Settings",
    "local.settings.json fills in what the environment leaves open",
    source="core-tools:src/Cli/func/Actions/HostActions/StartHostAction.cs",
)
def test_local_settings_fill_in_what_the_environment_leaves_open(tmp_path: Path) -> None:
    values = {"A": "file", "B": "file", "C": "file"}
    document = {"IsEncrypted": False, "Values": values, "ConnectionStrings": {"Db": "x"}}
    environ = {"A": "environment", "B": ""}

    load_local_settings(written(tmp_path, "local.settings.json", document), environ)

    assert environ == {
        "A": "environment",
        "B": "file",
        "C": "file",
        "ConnectionStrings__Db": "x",
        "AZURE_FUNCTIONS_ENVIRONMENT": "Development",
    }


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        ({"Values": {}}, "encrypted"),
        ({"IsEncrypted": True, "Values": {}}, "encrypted"),
        ({"IsEncrypted": False, "Values": {"A": 1}}, "'A' is not a string"),
        ({"IsEncrypted": False, "Values": []}, None),
        (["IsEncrypted"], "not a JSON object"),
    ],
)
def test_unusable_local_settings_are_refused(
    tmp_path: Path, document: Any, reason: str | None
) -> None:
    folder = written(tmp_path, "local.settings.json", document)
    if reason is None:
        load_local_settings(folder, {})
        return
    with pytest.raises(StartRefused, match=reason):
        load_local_settings(folder, {})


@pytest.mark.conforms(
    "Settings",
    "host.json has Azure's defaults",
    source="learn:azure/azure-functions/functions-host-json",
)
def test_host_json_has_azures_defaults(tmp_path: Path) -> None:
    assert load_host_options(written(tmp_path, "host.json", {"version": "2.0"}), {}) == HostOptions(
        route_prefix="api",
        function_timeout_s=1800.0,
        service_bus=ServiceBusOptions(16, 0, 300.0),
        durable=DurableOptions("TestHubName", 8, 16),
        log_levels={"default": "Information"},
    )


@pytest.mark.conforms(
    "Settings",
    "AzureFunctionsJobHost__path__to__setting overrides host.json",
    source="learn:azure/azure-functions/functions-host-json#override-hostjson-values",
)
def test_host_json_is_obeyed_and_the_environment_overrides_it(tmp_path: Path) -> None:
    document = {
        "version": "2.0",
        "functionTimeout": "00:01:30",
        "logging": {"logLevel": {"default": "Warning", "Function.a": "Debug"}},
        "extensions": {
            "http": {"routePrefix": "/rest/"},
            "serviceBus": {
                "maxConcurrentCalls": 4,
                "prefetchCount": 8,
                "maxAutoLockRenewalDuration": "00:02:00",
            },
            "durableTask": {"hubName": "Hub", "maxConcurrentActivityFunctions": 3},
        },
    }
    environ = {
        "AzureFunctionsJobHost__extensions__serviceBus__maxConcurrentCalls": "2",
        "AzureFunctionsJobHost__Extensions__durableTask__maxConcurrentOrchestratorFunctions": "1",
    }

    assert load_host_options(written(tmp_path, "host.json", document), environ) == HostOptions(
        route_prefix="rest",
        function_timeout_s=90.0,
        service_bus=ServiceBusOptions(2, 8, 120.0),
        durable=DurableOptions("Hub", 1, 3),
        log_levels={"default": "Warning", "Function.a": "Debug"},
    )


def test_what_host_json_asks_in_vain_is_told(tmp_path: Path) -> None:
    document = {
        "version": "2.0",
        "extensionBundle": {"id": "x", "version": "y"},
        "logging": {"logLevel": {"default": "Debug"}, "fileLoggingMode": "always"},
        "extensions": {"http": {"routePrefix": "x", "customHeaders": {"X-A": "b"}}, "queues": {}},
        "concurrency": {"dynamicConcurrencyEnabled": True},
    }

    assert load_host_options(written(tmp_path, "host.json", document), {}).unheeded == (
        "logging.fileLoggingMode",
        "extensions.http.customHeaders.X-A",
        "concurrency.dynamicConcurrencyEnabled",
    )


def test_a_function_timeout_of_minus_one_is_no_limit(tmp_path: Path) -> None:
    written(tmp_path, "host.json", {"version": "2.0", "functionTimeout": "-1"})

    assert load_host_options(tmp_path, {}).function_timeout_s is None


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        ({}, '"version" must be "2.0"'),
        ({"version": "2.0", "functionTimeout": 5}, "functionTimeout must be a TimeSpan"),
        (
            {"version": "2.0", "extensions": {"serviceBus": {"maxConcurrentCalls": 0}}},
            "extensions.serviceBus.maxConcurrentCalls must be a whole number, 1 or more",
        ),
        (
            {"version": "2.0", "extensions": {"serviceBus": {"autoCompleteMessages": False}}},
            "autoCompleteMessages must be true",
        ),
    ],
)
def test_an_unusable_host_json_is_refused(tmp_path: Path, document: Any, reason: str) -> None:
    with pytest.raises(StartRefused) as refused:
        load_host_options(written(tmp_path, "host.json", document), {})
    assert reason in str(refused.value)


@pytest.mark.conforms(
    "Settings",
    "%NAME% in a binding is the setting of that name; one that is not set stops the start",
    source="learn:azure/azure-functions/functions-bindings-expressions-patterns#binding-expressions---app-settings",
)
def test_settings_in_percent_signs_are_replaced() -> None:
    environ = {"TOPIC": "order-events", "EMPTY": ""}

    assert resolve("%TOPIC%/x", environ, function="f") == "order-events/x"
    with pytest.raises(StartRefused, match="function 'f' refers to the setting %EMPTY%"):
        resolve("%EMPTY%", environ, function="f")


def test_a_function_is_disabled_by_any_spelling_of_the_setting() -> None:
    assert is_disabled("f", {"AzureWebJobs.f.Disabled": "True"})
    assert is_disabled("f", {"AzureWebJobs_f_Disabled": "1"})
    assert not is_disabled("f", {"AzureWebJobs.f.Disabled": "0", "AzureWebJobs.g.Disabled": "1"})


TIMER = """
app = func.FunctionApp()
@app.timer_trigger(arg_name="t", schedule="%WHEN%")
def nightly(t: func.TimerRequest) -> None: ...
"""


ORCHESTRATION = """
app = df.DFApp()
@app.orchestration_trigger(context_name="context")
def work(context): yield
"""

OUTPUT = """
app = func.FunctionApp()
@app.route("a")
@app.queue_output(arg_name="out", connection="C", queue_name="q")
def send(req: func.HttpRequest, out: func.Out[str]) -> str: ...
"""


def test_an_unset_setting_stops_the_start_and_is_named(tmp_path: Path) -> None:
    said = refusal(app(tmp_path, TIMER), tmp_path / "state")

    assert "Error: function 'nightly' refers to the setting %WHEN%, which is not set" in said


def test_an_unreadable_schedule_stops_the_start(tmp_path: Path) -> None:
    said = refusal(app(tmp_path, TIMER), tmp_path / "state", {"WHEN": "now and then"})

    assert "Error: function 'nightly': 'now and then' is neither an NCRONTAB" in said


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("app = func.FunctionApp()\nimport nowhere", "No module named 'nowhere'"),
        (ORCHESTRATION, "set LOCALCLOUD_DURABLE_PG_URL"),
        (OUTPUT, "function 'send': neither the setting 'C' nor 'C__queueServiceUri' is set"),
    ],
)
def test_an_app_that_cannot_run_stops_the_start_saying_why(
    tmp_path: Path, source: str, reason: str
) -> None:
    said = refusal(app(tmp_path, source), tmp_path / "state", {"LOCALCLOUD_DURABLE_PG_URL": ""})

    assert reason in said


def test_a_taken_port_stops_the_start(tmp_path: Path) -> None:
    folder = app(tmp_path, "app = func.FunctionApp()\n")
    with running(folder, tmp_path / "first") as host:
        options = ("--port", str(host.port))
        with (
            pytest.raises(AssertionError, match=f"port {host.port} on 127.0.0.1 cannot be used"),
            running(folder, tmp_path / "second", *options),
        ):
            pass


def test_log_lines_can_be_json(tmp_path: Path) -> None:
    source = (
        "import logging\napp = func.FunctionApp(func.AuthLevel.ANONYMOUS)\n"
        '@app.route("a")\ndef tell(req: func.HttpRequest) -> str:\n'
        '    logging.info("told %s", "you")\n    logging.debug("unheard")\n    return ""\n'
    )
    with running(app(tmp_path, source), tmp_path / "state", "--log-format", "json") as host:
        host.http.get("/api/a")
        assert host.stop() == 0
        lines = [json.loads(line) for line in host.log.splitlines()]

    told = next(line for line in lines if line["message"] == "told you")
    assert (told["level"], told["part"], told["function"]) == ("INFO", "functions", "tell")
    assert len(told["invocation_id"]) == 36
    assert len(told["trace_id"]) == 32
    assert not [line for line in lines if line["message"] == "unheard"]
