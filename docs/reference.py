"""Writes the reference pages from the code: `make docs`. A test fails when one is stale."""

import json
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
SAMPLE = ROOT / "local.settings.sample.json"


def load() -> None:
    """Make `function_app` importable: its settings are the sample's, nothing is connected to."""
    os.environ.update(json.loads(SAMPLE.read_text())["Values"])
    if str(ROOT) not in sys.path:
        sys.path.insert(0, str(ROOT))


def api_page() -> str:
    """Every operation: method, path, who may call it, what it does, its own problem codes."""
    import function_app  # noqa: PLC0415 - needs the settings that `load` sets

    lines = [
        "# API",
        "",
        "Generated from the code by `make docs`. Paths are below `/api`. Every answer carries",
        "`X-Correlation-Id`; errors are `application/problem+json` ([problems](problems.md)).",
        "Where employees' reads are audited, `X-Access-Reason` (at most 200 printable characters)",
        "may say why; a read that cannot be recorded shows nothing (503).",
        "",
        "| operation | clients' scope | employees' roles | what | problems of its own |",
        "|---|---|---|---|---|",
    ]
    registry = function_app.api.registry
    rows = []
    for route in function_app.api.routes():
        operation = registry[route.name]
        path = re.sub(r":\w+(\(\d+\))?\}", "}", route.template)
        notes = []
        if operation.idempotency_key:
            notes.append("`Idempotency-Key`")
        if operation.if_match:
            notes.append("`If-Match`")
        shown = operation.discloses
        access = operation.access
        scope = "anyone" if access.anyone else f"`{access.client_scope}`"
        roles = ", ".join(sorted(access.employee_roles or ())) or "–"
        codes = ", ".join(f"`{problem.code}`" for problem in operation.raises) or "–"
        what = " ".join([operation.summary, *(f"Needs {note}." for note in notes)])
        if shown is not None and access.employee_roles:
            what += f" Employees' reads are audited: {', '.join(shown.fields)}."
        method = "/".join(sorted(route.methods))
        if access.client_scope is None and not access.anyone:
            scope = "partners" if access.partner else "–"
        rows.append((path, f"| `{method} /{path}` | {scope} | {roles} | {what} | {codes} |"))
    return "\n".join([*lines, *(row for _, row in sorted(rows)), *causes(), ""])


def causes() -> Iterator[str]:
    """The table of codes that say why an order is called off."""
    from blueprints.orders.models import CLIENT_CAUSES, EMPLOYEE_CAUSES  # noqa: PLC0415

    yield from (
        "",
        "## Why an order is called off",
        "",
        "`DELETE /v1/orders/{order_id}?reason=` takes one of these codes, and no words: URLs are",
        "logged. The order shows it as `cancel_cause`; customers do not see those of employees.",
        "",
        "| reason | who | meaning |",
        "|---|---|---|",
    )
    yield from (f"| `{code}` | everybody | {meaning} |" for code, meaning in CLIENT_CAUSES.items())
    yield from (
        f"| `{code}` | employees | {meaning} |" for code, meaning in EMPLOYEE_CAUSES.items()
    )


def problems() -> Iterator[tuple[str, int, str]]:
    """Code, status and meaning of every problem that the product knows."""
    import function_app  # noqa: F401, PLC0415 - defines them all
    from shared.problem import Problem  # noqa: PLC0415

    def below(kind: type[Problem]) -> Iterator[type[Problem]]:
        for child in kind.__subclasses__():
            yield child
            yield from below(child)

    for kind in below(Problem):
        if "code" in vars(kind):
            yield kind.code, kind.status, " ".join((kind.__doc__ or "").split())


def problems_page() -> str:
    """Every problem code."""
    lines = [
        "# Problems",
        "",
        "Generated from the code by `make docs`. An error answer is RFC 9457",
        "`application/problem+json`: `type`, `title`, `status`, `detail`, a stable `code` and the",
        "`correlation_id` to quote to support; some carry more, named here.",
        "",
        "| code | status | meaning |",
        "|---|---|---|",
    ]
    return "\n".join(
        [*lines, *(f"| `{c}` | {s} | {meaning} |" for c, s, meaning in sorted(problems())), ""]
    )


def data_map_page() -> str:
    """Whose data is where."""
    import data_map  # noqa: PLC0415 - beside this file, which is a script

    return str(data_map.page())


PAGES = {
    "docs/api.md": api_page,
    "docs/problems.md": problems_page,
    "docs/data-map.md": data_map_page,
}


def documents() -> Iterator[tuple[str, dict[str, Any]]]:
    """The gateway's documents by their paths, as API Management imports them."""
    import function_app  # noqa: PLC0415
    from shared.http.openapi import GATEWAY, Documents  # noqa: PLC0415
    from shared.http.openapi_security import SignIn  # noqa: PLC0415

    # API Management ignores where people sign in; whoever serves the documents puts in the truth.
    sign_in = SignIn(
        clients="https://sign-in.example/clients/oauth2/v2.0",
        employees="https://sign-in.example/employees/oauth2/v2.0",
    )
    made = Documents(function_app.api, sign_in)
    for name in GATEWAY:
        yield f"apim/openapi/{name}.json", made.named(name)


def written() -> dict[str, str]:
    """Every generated file: its text by its path."""
    pages = {name: page() for name, page in PAGES.items()}
    made = {
        name: json.dumps(document, indent=1, ensure_ascii=False) + "\n"
        for name, document in documents()
    }
    return pages | made


PROMISED = ROOT / "apim" / "openapi" / "promised"
"""What clients rely on: each document as it was when it last only grew."""


def broken() -> list[str]:
    """What the code breaks of the promised documents."""
    import compatibility  # noqa: PLC0415 - beside this file, which is a script

    found = []
    for name, document in documents():
        promise = PROMISED / Path(name).name
        if promise.exists():
            old = json.loads(promise.read_text())
            found += [f"{name}: {what}" for what in compatibility.breaks(old, document)]
    return found


def promise(document: dict[str, Any]) -> str:
    """A document without what is only for people to read."""
    return json.dumps(_bare(document), separators=(",", ":"), sort_keys=True) + "\n"


def _bare(value: Any, *, names: bool = False) -> Any:
    if isinstance(value, list):
        return [_bare(item) for item in value]
    if not isinstance(value, dict):
        return value
    words = set() if names else {"description", "summary", "example", "links", "tags", "info"}
    return {
        key: _bare(part, names=key == "properties")
        for key, part in value.items()
        if key not in words
    }


def main() -> None:
    """Writes every page and document, unless that would break clients of a version."""
    load()
    if found := broken():
        sys.exit("\n".join([*found, "This breaks clients: make a new version of the operation."]))
    PROMISED.mkdir(parents=True, exist_ok=True)
    for name, document in documents():
        (PROMISED / Path(name).name).write_text(promise(document))
    for name, text in written().items():
        (ROOT / name).parent.mkdir(parents=True, exist_ok=True)
        (ROOT / name).write_text(text)


if __name__ == "__main__":
    main()
