"""Who calls and what they may: callers, roles, scopes, access rules."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal
from uuid import UUID

from shared.problem import Forbidden

EMPLOYEE_SCOPE = "employee.access"
CUSTOMER_SERVICE = "customer-service"
ORDER_MANAGER = "order-manager"
ADMIN = "admin"
EMPLOYEES = frozenset({CUSTOMER_SERVICE, ORDER_MANAGER, ADMIN})
"""Every employee role."""


@dataclass(frozen=True, slots=True)
class Caller:
    """An authenticated person; `id` is the directory object id (`oid`), the same in every app."""

    kind: Literal["client", "employee", "partner", "anonymous"]
    id: UUID
    roles: frozenset[str] = frozenset()
    scopes: frozenset[str] = frozenset()
    session: UUID | None = None
    """The sign-in that the token belongs to; None where the directory does not tell."""
    signed_in_at: int | None = None
    """When the person last proved who it is, in seconds since 1970 (`auth_time`)."""
    issued_at: int = field(default=0, compare=False)
    """When the token was issued, in seconds since 1970."""

    @property
    def is_client(self) -> bool:
        """Signed in with the clients' tenant."""
        return self.kind == "client"

    @property
    def is_employee(self) -> bool:
        """Signed in with the employees' tenant."""
        return self.kind == "employee"

    def has_role(self, *roles: str) -> bool:
        """Is an employee with at least one of `roles`."""
        return self.is_employee and not self.roles.isdisjoint(roles)


ANONYMOUS = Caller("anonymous", UUID(int=0))
"""The caller of an operation that asks for no token: neither client nor employee."""

PARTNERS = Caller("partner", UUID(int=0))
"""The caller of an operation for partners: nobody signed in; what they send is signed itself."""


@dataclass(frozen=True, slots=True)
class Access:
    """Who may call an operation. None shuts a kind of caller out; the default is nobody."""

    client_scope: str | None = None
    employee_roles: frozenset[str] | None = None
    anyone: bool = False
    partner: bool = False

    def check(self, caller: Caller) -> None:
        """Nothing if `caller` may; raises Forbidden otherwise."""
        if self.anyone or (self.partner and caller.kind == "partner"):
            return
        if caller.is_client and self.client_scope is not None:
            if self.client_scope in caller.scopes:
                return
            raise Forbidden(f"this needs the scope {self.client_scope}")
        if caller.is_employee and self.employee_roles is not None:
            if EMPLOYEE_SCOPE not in caller.scopes:
                raise Forbidden(f"this needs the scope {EMPLOYEE_SCOPE}")
            if not self.employee_roles.isdisjoint(caller.roles):
                return
            raise Forbidden(f"this needs a role of: {', '.join(sorted(self.employee_roles))}")
        raise Forbidden(f"this is not open to a caller of the kind {caller.kind}")


ANYONE = Access(anyone=True)
"""No token asked for: health and documentation only."""

PARTNER = Access(partner=True)
"""Partners' webhooks: no person's token; what they send is signed itself."""


def access(*, clients: str | None = None, employees: Iterable[str] = ()) -> Access:
    """Clients whose token has the scope `clients`, and employees with one of the roles."""
    roles = frozenset(employees)
    if unknown := roles - EMPLOYEES:
        raise ValueError(f"no such role: {', '.join(sorted(unknown))}")
    return Access(client_scope=clients, employee_roles=roles or None)
