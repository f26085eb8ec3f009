"""What the sample apps may know: Azure's two libraries, and nothing of the local cloud."""

import ast
import json
import sys
from pathlib import Path

import pytest

SAMPLES = Path(__file__).parents[2] / "samples"
APPS = sorted(path.parent.name for path in SAMPLES.glob("*/function_app.py"))
STORING = "queue_to_blob"
DURABLE = {"azure.durable_functions", "azure.functions"}


def imported(source: Path) -> set[str]:
    """The top-level packages that `source` imports, the standard library left out."""
    modules: set[str] = set()
    for node in ast.walk(ast.parse(source.read_text())):
        if isinstance(node, ast.Import):
            modules.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            modules.add(node.module)
    return {name for name in modules if name.partition(".")[0] not in sys.stdlib_module_names}


def test_there_is_a_sample_of_every_documented_shape() -> None:
    assert APPS == [
        "async_http_api",
        "counter_entity",
        "eternal_orchestration",
        "fan_out_fan_in",
        "function_chaining",
        "human_interaction",
        "monitor",
        "queue_to_blob",
    ]


@pytest.mark.parametrize("app", APPS)
def test_a_sample_imports_only_the_libraries_of_azure(app: str) -> None:
    libraries = {"azure.functions"} if app == STORING else DURABLE
    assert imported(SAMPLES / app / "function_app.py") == libraries


@pytest.mark.parametrize("app", [app for app in APPS if app != STORING])
def test_a_sample_has_a_task_hub_of_its_own(app: str) -> None:
    hubs = [
        json.loads((SAMPLES / other / "host.json").read_text())["extensions"]["durableTask"]
        for other in APPS
        if other != STORING
    ]

    assert json.loads((SAMPLES / app / "host.json").read_text())["version"] == "2.0"
    assert len({hub["hubName"] for hub in hubs}) == len(APPS) - 1
