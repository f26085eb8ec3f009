"""Answers as a caller may see them: personal data masked for roles that do not need it."""

from collections.abc import Callable, Mapping, Sequence
from types import UnionType
from typing import Annotated, Any, TypeAliasType, Union, get_args, get_origin

import typing_extensions
from pydantic import BaseModel, JsonValue

from shared.auth import EMPLOYEES, Caller
from shared.pii.marks import Personal

type _Mask = Callable[[Any], Any]

_ALIASES = (TypeAliasType, typing_extensions.TypeAliasType)


class Masks:
    """What of values of one type is masked for whom; worked out once per set of roles.

    Who has to see everything pays for one comparison. Values are not changed: what is masked is a
    copy.
    """

    def __init__(self, kind: Any) -> None:
        self._kind = kind
        self._masks: dict[frozenset[str], tuple[_Mask | None, frozenset[str]]] = {}

    def shown_to(self, caller: Caller, value: Any) -> Any:
        """The value as `caller` may see it. Customers see it whole: it is their own."""
        if caller.is_client:
            return value
        mask, _ = self._of(caller)
        return value if mask is None else mask(value)

    def hidden_from(self, caller: Caller) -> frozenset[str]:
        """The names of the fields that `caller` gets masked."""
        return frozenset() if caller.is_client else self._of(caller)[1]

    def seen_by(self, caller: Caller, fields: Sequence[str]) -> tuple[str, ...]:
        """`fields` with `:masked` behind the name of each that `caller` gets masked."""
        hidden = self.hidden_from(caller)
        return tuple(f"{name}:masked" if name in hidden else name for name in fields)

    def _of(self, caller: Caller) -> tuple[_Mask | None, frozenset[str]]:
        roles = caller.roles & EMPLOYEES
        known = self._masks.get(roles)
        if known is None:
            names: set[str] = set()
            mask = _mask_of(self._kind, _Path(roles, names, ()))
            known = self._masks[roles] = (mask, frozenset(names))
        return known


class _Path:
    """The way down into a type: for which roles, what is hidden, through which models."""

    def __init__(
        self, roles: frozenset[str], names: set[str], models: tuple[type[BaseModel], ...]
    ) -> None:
        self.roles, self.names, self.models = roles, names, models

    def into(self, model: type[BaseModel]) -> "_Path":
        if model in self.models:
            raise TypeError(f"{model.__name__} holds itself: such answers cannot be masked")
        return _Path(self.roles, self.names, (*self.models, model))


def _mask_of(kind: Any, path: _Path) -> _Mask | None:
    """What masks a value of the type `kind`; None where there is nothing to mask."""
    if kind is JsonValue:
        return None  # holds itself; marks stand on fields of models
    if isinstance(kind, _ALIASES):
        return _mask_of(kind.__value__, path)
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Annotated:
        base, *metadata = arguments
        return _leaf(metadata, path) or _mask_of(base, path)
    if origin in {Union, UnionType}:
        return _either(arguments, path)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return _of_values(_mask_of(arguments[-1], path))
    if isinstance(origin, type) and issubclass(origin, (Sequence, set, frozenset)):
        return _of_items(origin, _mask_of(arguments[0], path))
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return _of_model(kind, path.into(kind))
    return None


def _leaf(metadata: Sequence[Any], path: _Path) -> _Mask | None:
    for mark in metadata:
        if isinstance(mark, Personal) and mark.is_hidden_from(path.roles):
            mask = mark.mask
            assert mask is not None, "what is hidden has a mask"
            return lambda value: None if value is None else mask(str(value))
    return None


def _of_model(model: type[BaseModel], path: _Path) -> _Mask | None:
    masks: dict[str, _Mask] = {}
    for name, field in model.model_fields.items():
        leaf = _leaf(field.metadata, path)
        before = len(path.names)
        mask = leaf or _mask_of(field.annotation, path)
        if mask is not None:
            masks[name] = mask
            if len(path.names) == before and _is_leaf(field.annotation):
                path.names.add(name)
    if not masks:
        return None

    def masked(value: BaseModel) -> BaseModel:
        values = value.__dict__
        return value.model_copy(update={name: mask(values[name]) for name, mask in masks.items()})

    return masked


def _is_leaf(kind: Any) -> bool:
    """Whether no model stands between a field and its text."""
    if isinstance(kind, _ALIASES):
        return _is_leaf(kind.__value__)
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return False
    return all(_is_leaf(argument) for argument in get_args(kind) if not isinstance(argument, str))


def _either(kinds: Sequence[Any], path: _Path) -> _Mask | None:
    """One of several types: models are told apart by their class, all else is text."""
    models, rest = [], None
    for kind in kinds:
        mask = _mask_of(kind, path)
        if mask is None:
            continue
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            models.append((kind, mask))
        else:
            rest = mask
    if not models and rest is None:
        return None

    def masked(value: Any) -> Any:
        for model, mask in models:
            if isinstance(value, model):
                return mask(value)
        return (
            value if value is None or rest is None or isinstance(value, BaseModel) else rest(value)
        )

    return masked


def _of_items(container: type, mask: _Mask | None) -> _Mask | None:
    if mask is None:
        return None
    make = container if container in {tuple, set, frozenset} else list
    return lambda items: make(mask(item) for item in items)


def _of_values(mask: _Mask | None) -> _Mask | None:
    if mask is None:
        return None
    return lambda values: {key: mask(value) for key, value in values.items()}
