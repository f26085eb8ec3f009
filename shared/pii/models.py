"""Looks through pydantic models for fields that can hold text, and for the marks on them."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeAliasType, get_args, get_origin
from uuid import UUID

import typing_extensions
from pydantic import BaseModel

from shared.pii import fields
from shared.pii.marks import Category, Personal


@dataclass(frozen=True, slots=True)
class Field:
    """A field that can hold text; `mark` is what its model says of it, `category` what is known.

    The category of an impersonal field is None; `classified` tells whether anybody said so.
    """

    model: type[BaseModel]
    name: str
    mark: Personal | None
    category: Category | None
    classified: bool

    @property
    def label(self) -> str:
        """`Model.field`."""
        return f"{self.model.__name__}.{self.name}"


def fields_with_text(models: Iterable[type[BaseModel]]) -> Iterator[Field]:
    """The fields of `models` that can hold text, in their order."""
    for model in models:
        for name, field in model.model_fields.items():
            marks = {m for m in [*field.metadata, *_marks(field.annotation)] if _is_mark(m)}
            assert len(marks) <= 1, f"{model.__name__}.{name} is marked twice"
            mark = next(iter(marks), None)
            if mark is None and not _holds_text(field.annotation):
                continue
            said = mark.category if mark else fields.listed(model.__name__, name)
            category = said if isinstance(said, Category) else None
            yield Field(model, name, mark, category, classified=said is not False)


def _is_mark(metadata: Any) -> bool:
    return isinstance(metadata, Personal)


def _unaliased(kind: Any) -> Any:
    while isinstance(kind, (TypeAliasType, typing_extensions.TypeAliasType)):
        kind = kind.__value__
    return kind


def _marks(kind: Any) -> Iterator[Any]:
    """What is said of the parts of a type."""
    kind = _unaliased(kind)
    if get_origin(kind) is Annotated:
        yield from kind.__metadata__
    if get_origin(kind) is Literal:
        return
    for part in get_args(kind):
        if not isinstance(part, str):  # a forward reference: only JSON values hold themselves
            yield from _marks(part)


def _holds_text(kind: Any) -> bool:
    """Whether a value of the type can be, or hold, text that is not from a closed list."""
    kind = _unaliased(kind)
    if kind in {str, UUID, Any, object}:
        return True
    if get_origin(kind) is Literal or kind in {int, float, bool}:
        return False
    return any(_holds_text(part) for part in get_args(kind) if not isinstance(part, str))
