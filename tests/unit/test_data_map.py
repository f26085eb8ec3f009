"""Every field that can hold text is classified, and nobody overwrites with a mask."""

import importlib
import pkgutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, JsonValue

import blueprints
from shared.http import Body
from shared.pii import EMAIL, Category
from shared.pii.fields import IMPERSONAL, PERSONAL, named
from shared.pii.models import Field, fields_with_text

ROOT = Path(__file__).resolve().parents[2]


def models() -> list[type[BaseModel]]:
    """Every model that a slice declares."""
    for module in pkgutil.walk_packages(blueprints.__path__, "blueprints."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)

    def below(kind: type[BaseModel]) -> Iterator[type[BaseModel]]:
        for child in kind.__subclasses__():
            yield child
            yield from below(child)

    return sorted(
        {
            model
            for model in below(BaseModel)
            if model.__module__.startswith("blueprints.") and "[" not in model.__name__
        },
        key=lambda model: (model.__module__, model.__name__),
    )


def test_every_field_that_can_hold_text_is_classified() -> None:
    unclassified = [field.label for field in fields_with_text(models()) if not field.classified]

    assert unclassified == [], "mark it in its model, or list it in shared/pii/fields.py"


def test_every_name_in_the_map_is_that_of_a_field() -> None:
    unmarked = [field for field in fields_with_text(models()) if field.mark is None]
    there = {field.label for field in unmarked} | {f"*.{field.name}" for field in unmarked}
    mapped = [*named(IMPERSONAL), *(name for names in PERSONAL.values() for name in named(names))]

    assert sorted(set(mapped) - there) == []
    assert len(mapped) == len(set(mapped))


def test_an_unclassified_field_is_found_wherever_the_text_stands() -> None:
    class Part(Body):
        anything: JsonValue = None

    class Whole(Body):
        nickname: str
        keys: dict[UUID, int]
        names: list[str | None]
        parts: list[Part]
        email: Annotated[str, EMAIL] | None
        count: int

    found = list(fields_with_text([Whole, Part]))

    assert [(field.label, field.category, field.classified) for field in found] == [
        ("Whole.nickname", None, False),
        ("Whole.keys", None, False),
        ("Whole.names", None, False),
        ("Whole.email", Category.EMAIL, True),
        ("Part.anything", None, False),
    ]


NAMES_THAT_ARE_PERSONAL = ("email", "phone", "line1", "line2", "city", "postal_code")


def test_fields_by_which_people_are_reached_are_marked_in_their_model() -> None:
    unmarked = [
        field.label
        for field in fields_with_text(models())
        if field.name in NAMES_THAT_ARE_PERSONAL and field.mark is None
    ]

    assert unmarked == []


WHO_WRITES_WHAT = """
import json, sys
sys.path.insert(0, "docs")
import reference
reference.load()
import function_app
from shared.pii import Masks
from shared.auth import Caller
from uuid import UUID
found = []
for operation in function_app.api.registry.values():
    for role in operation.access.employee_roles or ():
        caller = Caller("employee", UUID(int=1), frozenset({role}))
        hidden = operation.masks.hidden_from(caller)
        sent = set(operation.body.model_fields) if operation.body is not None else set()
        if operation.if_match and hidden & sent:
            found.append([operation.name, role, sorted(hidden & sent)])
print(json.dumps(found))
"""


def test_whoever_replaces_a_field_is_shown_it_in_full() -> None:
    done = subprocess.run(
        [sys.executable, "-c", WHO_WRITES_WHAT],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )

    assert done.stdout.strip() == "[]"


def test_the_fields_that_are_masked_are_these() -> None:
    def hidden(field: Field) -> bool:
        return field.mark is not None and field.mark.shown_to is not None

    assert [field.label for field in fields_with_text(models()) if hidden(field)] == [
        "Customer.email",
        "Customer.phone",
        "CustomerSearch.email",
        "CustomerSearch.phone",
        "CustomerSummary.email",
        "CustomerSummary.phone",
        "Profile.email",
        "Profile.phone",
        "UpdateCustomer.email",
        "UpdateCustomer.phone",
    ]
