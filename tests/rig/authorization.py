"""What a row of the authorization matrix is: an operation, a request, and who gets what for it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

type Who = Literal[
    "no token",
    "expired",
    "wrong issuer",
    "wrong audience",
    "no scope",
    "owner",
    "other client",
    "customer-service",
    "order-manager",
    "admin",
]
COLUMNS: tuple[Who, ...] = (
    "no token",
    "expired",
    "wrong issuer",
    "wrong audience",
    "no scope",
    "owner",
    "other client",
    "customer-service",
    "order-manager",
    "admin",
)
ROLES: tuple[Who, ...] = ("customer-service", "order-manager", "admin")
CS, OM, AD = ROLES
EVERYBODY = frozenset(ROLES)
MANAGERS = frozenset({OM, AD})

type Cell = tuple[int, str | None]
"""Status, and the problem's code if the answer is one."""

UNKNOWN_TOKEN: Mapping[Who, Cell] = {
    "no token": (401, "token-missing"),
    "expired": (401, "token-expired"),
    "wrong issuer": (401, "token-invalid"),
    "wrong audience": (401, "token-invalid"),
}
FORBIDDEN: Cell = (403, "forbidden")
NOT_FOUND: Cell = (404, "not-found")
OK: Cell = (200, None)
REFUSED_FOR_CONTENT: Cell = (400, "invalid-request")
UNSIGNED: Cell = (401, "signature-invalid")
STALE: Cell = (412, "etag-mismatch")
OLD_VERSION = {"If-Match": '"999999"'}


@dataclass(frozen=True, kw_only=True)
class Row:
    """An operation, a request of it, and what who is let in gets for that.

    `clients` and `employees` are who the design lets in; `owned` says that another client finds
    nothing here. `{order}` and the like in path and body are filled in by the test.
    """

    name: str
    method: str
    path: str
    clients: bool = False
    employees: frozenset[Who] = frozenset()
    owned: bool = False
    anyone: bool = False
    partner: bool = False
    let_in: Cell = OK
    but: Mapping[Who, Cell] = field(default_factory=dict)
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)

    def expected(self) -> dict[Who, Cell]:
        """What everybody gets."""
        if self.anyone or self.partner:
            return dict.fromkeys(COLUMNS, self.let_in) | dict(self.but)
        cells: dict[Who, Cell] = dict(UNKNOWN_TOKEN)
        cells["no scope"] = FORBIDDEN
        cells["owner"] = self.let_in if self.clients else FORBIDDEN
        cells["other client"] = NOT_FOUND if self.owned and self.clients else cells["owner"]
        for role in ROLES:
            cells[role] = self.let_in if role in self.employees else FORBIDDEN
        return cells | dict(self.but)


def shared(name: str, method: str, path: str, **more: Any) -> Row:
    """Clients and every employee."""
    return Row(name=name, method=method, path=path, clients=True, employees=EVERYBODY, **more)


def inside(name: str, method: str, path: str, who: frozenset[Who], **more: Any) -> Row:
    """Employees only."""
    return Row(name=name, method=method, path=path, employees=who, **more)


def signed(name: str, path: str) -> Row:
    """Partners: nobody's token counts, and without the gateway's own none is taken."""
    nobody: Mapping[Who, Cell] = dict.fromkeys(COLUMNS[1:], (401, "gateway-required"))
    return Row(
        name=name, method="POST", path=path, partner=True, let_in=UNSIGNED, but=nobody, body={}
    )


def unprotected(name: str, path: str) -> Row:
    """Health and documentation."""
    return Row(name=name, method="GET", path=path, anyone=True)
