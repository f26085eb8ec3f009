"""The authorization matrix speaks of every operation, as it is declared and as it is printed."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.rig.authorization import COLUMNS
from tests.rig.authorization_page import PAGE, page
from tests.rig.authorization_rows import ROWS

ROOT = Path(__file__).resolve().parents[2]
DECLARED = """
import sys, json
sys.path.insert(0, "docs")
import reference
reference.load()
import function_app
found = {}
for route in function_app.api.routes():
    access = function_app.api.registry[route.name].access
    found[route.name] = {
        "methods": sorted(route.methods),
        "template": route.template,
        "clients": access.client_scope is not None,
        "employees": sorted(access.employee_roles or ()),
        "anyone": access.anyone,
        "partner": access.partner,
    }
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def declared() -> dict[str, dict[str, Any]]:
    """What the code says of each operation."""
    done = subprocess.run(
        [sys.executable, "-c", DECLARED], cwd=ROOT, check=True, capture_output=True, text=True
    )
    found: dict[str, dict[str, Any]] = json.loads(done.stdout)
    return found


def test_the_matrix_has_every_operation_once(declared: dict[str, dict[str, Any]]) -> None:
    assert sorted(row.name for row in ROWS) == sorted(declared)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_an_operation_lets_in_whom_the_matrix_says(
    declared: dict[str, dict[str, Any]], row: Any
) -> None:
    found = declared[row.name]
    assert (found["methods"], found["clients"], found["anyone"], found["partner"]) == (
        [row.method],
        row.clients,
        row.anyone,
        row.partner,
    )
    assert found["employees"] == sorted(row.employees)
    template = re.sub(r"\{[^}]+\}", "[^/]+", found["template"])
    assert re.fullmatch(template, row.path.partition("?")[0])


def test_every_cell_is_filled() -> None:
    for row in ROWS:
        assert tuple(row.expected()) == COLUMNS or set(row.expected()) == set(COLUMNS)


def test_the_page_is_what_the_matrix_says() -> None:
    assert PAGE.read_text() == page(), "stale: run `python -m tests.rig.authorization_page`"
