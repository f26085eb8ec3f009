"""Writes docs/data-map.md from the code: whose data is where, why, how long, and who sees it."""

import importlib
import pkgutil
from collections.abc import Iterator

from pydantic import BaseModel

import blueprints
from shared.pii.columns import ELSEWHERE, TABLES
from shared.pii.marks import MEANINGS
from shared.pii.models import Field, fields_with_text
from shared.pii.records import Record


def page() -> str:
    """The whole page."""
    return "\n".join([*_head(), *_records(), *_columns(), *_fields(), *_elsewhere(), ""])


def _head() -> Iterator[str]:
    yield from (
        "# Data map",
        "",
        "Generated from the code by `make docs`: what the platform keeps about people. Each column",
        "and each field that can hold text is classified, or a test fails. Periods and legal bases",
        "are for counsel to confirm; the articles are those of the GDPR. Nothing erases a customer",
        "by itself yet: what is ended so is erased by hand.",
        "",
        "| kind of data | what it says |",
        "|---|---|",
        *(f"| {category.value} | {meaning} |" for category, meaning in MEANINGS.items()),
        "",
    )


def _records() -> Iterator[str]:
    records: dict[str, Record] = {table.record.name: table.record for table in TABLES.values()}
    yield from (
        "## Why and how long",
        "",
        "| record | purpose | legal basis | kept | ended by |",
        "|---|---|---|---|---|",
    )
    for name, record in sorted(records.items()):
        yield (
            f"| {name} | {record.purpose} | {record.basis} | {record.retention} "
            f"| {record.ended_by} |"
        )
    yield ""


def _columns() -> Iterator[str]:
    yield from (
        "## In the database",
        "",
        "| table | record | personal data | the other columns |",
        "|---|---|---|---|",
    )
    for name, table in sorted(TABLES.items()):
        personal = "; ".join(
            f"{category.value}: {_code(names)}" for category, names in table.personal.items()
        )
        yield (
            f"| `{name}` | {table.record.name} | {personal or '–'} | {_code(table.others) or '–'} |"
        )
    yield ""


def _fields() -> Iterator[str]:
    yield from (
        "## In requests and answers",
        "",
        "Customers see their own data in full. An employee sees in full what one of the roles here",
        "is shown, else the mask; where no role is named, everybody whom the operation lets in.",
        "Whoever gets masked emails and phone numbers can look for whole ones only. Purpose, basis",
        "and period of a field are those of the columns that it is written to or read from.",
        "",
        "| field | kind of data | shown in full to | mask |",
        "|---|---|---|---|",
    )
    rows = [
        f"| `{field.model.__module__.split('.')[1]}.{field.label}` | {field.category.value} "
        f"| {_shown(field)} |"
        for field in fields_with_text(_models())
        if field.category is not None
    ]
    yield from sorted(rows)
    yield ""


def _shown(field: Field) -> str:
    if field.mark is None or field.mark.shown_to is None:
        return "all | –"
    return f"{', '.join(sorted(field.mark.shown_to))} | `{field.mark.masked_example}`"


def _elsewhere() -> Iterator[str]:
    yield from (
        "## Elsewhere",
        "",
        "| where | what |",
        "|---|---|",
        *(f"| {place} | {what} |" for place, what in ELSEWHERE.items()),
    )


def _code(names: str) -> str:
    return ", ".join(f"`{name}`" for name in names.split())


def _models() -> list[type[BaseModel]]:
    """The models that slices declare, by module."""
    found: dict[str, type[BaseModel]] = {}
    for module in pkgutil.walk_packages(blueprints.__path__, "blueprints."):
        if module.name.endswith("models"):
            for value in vars(importlib.import_module(module.name)).values():
                own = isinstance(value, type) and value.__module__ == module.name
                if own and issubclass(value, BaseModel) and value.__name__[0] != "_":
                    found[f"{module.name}.{value.__name__}"] = value
    return list(found.values())
