"""A secret value and the faults of getting one."""

import hmac
from typing import NoReturn, Self


class SecretUnavailable(Exception):
    """No value of the secret is at hand. The text names the secret, never a value."""


class SecretMissing(SecretUnavailable):
    """The store answers that there is no such secret, or that it must not be used any more."""


class StoreAway(SecretUnavailable):
    """The store does not answer, or not to us; the text is the kind of fault."""


class Secret:
    """A value that shows itself only to who asks by `reveal`.

    It is written as asterisks everywhere else, and cannot be pickled, serialised or taken apart:
    a secret leaves the process in a call to whom it is for, or not at all. A copy is the secret
    itself. Comparison takes equally long wherever two secrets differ.
    """

    __slots__ = ("__value",)

    def __init__(self, value: str) -> None:
        self.__value = value

    def reveal(self) -> str:
        """The value."""
        return self.__value

    def __repr__(self) -> str:
        return "Secret(**********)"

    def __str__(self) -> str:
        return "**********"

    def __format__(self, _specification: str) -> str:
        return str(self)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(self.__value.encode(), other.__value.encode())

    __hash__ = None  # type: ignore[assignment]  # no key of a mapping, which somebody may print

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, _memo: object) -> Self:
        return self

    def __reduce_ex__(self, _protocol: object) -> NoReturn:
        raise TypeError("a secret does not leave its process")

    def __getstate__(self) -> NoReturn:
        raise TypeError("a secret does not leave its process")
