"""Rules of the house that no linter knows."""

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCHEMAS = {
    "orders": {"orders"},
    "products": {"products"},
    "customers": {"customers"},
    "payments": {"payments"},
    "notifications": {"notifications"},
    "admin": set(),
    "housekeeping": {"messaging"},
    "audit": {"audit"},
    "sessions": {"sessions"},
}
"""The schemas that each slice's SQL may name."""

OWNED = "|".join(sorted({name for names in SCHEMAS.values() for name in names}))
QUALIFIED = re.compile(rf"\b(?:FROM|JOIN|INTO|UPDATE|ON|EXISTS)\s+({OWNED})\.", re.IGNORECASE)


def modules(folder: str) -> Iterator[tuple[Path, ast.Module]]:
    for path in sorted((ROOT / folder).rglob("*.py")):
        yield path, ast.parse(path.read_text())


def texts(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


@pytest.mark.parametrize("slice_name", SCHEMAS)
def test_sql_names_only_its_own_schema(slice_name: str) -> None:
    named = {
        (path.name, found.lower())
        for path, tree in modules(f"blueprints/{slice_name}")
        for text in texts(tree)
        for found in QUALIFIED.findall(text)
    }

    assert {schema for _, schema in named} <= SCHEMAS[slice_name], named


def test_every_slice_is_listed_here() -> None:
    found = {p.name for p in (ROOT / "blueprints").iterdir() if p.is_dir() and p.name[0] != "_"}

    assert found == SCHEMAS.keys()


def imported(tree: ast.Module) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module.split(".")[0])
    return names


def test_the_composition_root_imports_only_what_is_deployed() -> None:
    tree = ast.parse((ROOT / "function_app.py").read_text())

    assert imported(tree) - sys.stdlib_module_names <= {"azure", "blueprints", "durable", "shared"}


def test_nothing_deployed_imports_what_stays_at_home() -> None:
    for folder in ("blueprints", "durable", "notifier", "shared"):
        for path, tree in modules(folder):
            assert not imported(tree) & {"localcloud", "demo", "bench", "tests"}, path


def decorated(tree: ast.Module, decorator: str) -> Iterator[tuple[str, ast.Call]]:
    """Function name and decorator call, for functions decorated with `….decorator(…)`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.AsyncFunctionDef | ast.FunctionDef):
            for one in node.decorator_list:
                if (
                    isinstance(one, ast.Call)
                    and isinstance(one.func, ast.Attribute)
                    and one.func.attr == decorator
                ):
                    yield node.name, one


def routes() -> dict[str, str]:
    found = {}
    for _, tree in modules("blueprints"):
        for name, call in decorated(tree, "route"):
            route = next(k.value for k in call.keywords if k.arg == "route")
            assert isinstance(route, ast.Constant)
            found[name] = str(route.value)
    return found


def test_identifiers_in_routes_are_constrained() -> None:
    free = {
        name: route
        for name, route in routes().items()
        if re.search(r"\{\w+\}", route) and name != "zz_unmatched_path"
    }

    assert free == {}


def test_the_function_that_catches_the_rest_comes_last() -> None:
    found = routes()

    assert max(found) == "zz_unmatched_path"
    assert found["zz_unmatched_path"] == "{*path}"


def called_activities() -> set[str]:
    """Names that orchestrators hand to the saga or to `call_activity…`, as first string."""
    names = set()
    for _, tree in modules("durable"):
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                wanted = node.func.attr in {"do", "call_activity", "call_activity_with_retry"}
                for argument in [*node.args, *(k.value for k in node.keywords)] if wanted else []:
                    if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
                        names.add(argument.value)
    return names


def test_every_activity_that_is_called_is_registered() -> None:
    registered = {
        name for _, tree in modules("blueprints") for name, _ in decorated(tree, "activity_trigger")
    }

    assert called_activities()
    assert called_activities() <= registered


def test_files_keep_to_their_size() -> None:
    long = {
        str(path.relative_to(ROOT)): lines
        for folder in (
            *("blueprints", "durable", "notifier", "shared"),
            *("localcloud", "demo", "bench"),
        )
        for path in (ROOT / folder).rglob("*.py")
        if "tests" not in path.parts and (lines := len(path.read_text().splitlines())) > 400
    }

    assert long == {}
