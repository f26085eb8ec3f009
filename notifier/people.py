"""Who is connected: a person as a verified token tells of him, and which groups that makes."""

import json
from dataclasses import dataclass
from typing import Self
from uuid import UUID

from shared.auth import EMPLOYEES, Caller, access

ACCESS = access(clients="notifications.readwrite", employees=EMPLOYEES)
"""Clients with the scope, and every employee."""


@dataclass(frozen=True, slots=True)
class Person:
    """A caller who may be here, until his token expires (seconds since 1970)."""

    caller: Caller
    expires_at: float

    @property
    def groups(self) -> tuple[str, ...]:
        """The groups that this person is in without asking."""
        kind = "clients" if self.caller.is_client else "employees"
        roles = sorted(self.caller.roles & EMPLOYEES) if self.caller.is_employee else ()
        return (f"user:{self.caller.id}", *(f"role:{role}" for role in roles), kind, "everyone")

    def to_text(self) -> str:
        """As a ticket keeps it."""
        return json.dumps(
            {
                "kind": self.caller.kind,
                "id": str(self.caller.id),
                "roles": sorted(self.caller.roles),
                "scopes": sorted(self.caller.scopes),
                "session": None if self.caller.session is None else str(self.caller.session),
                "signed_in_at": self.caller.signed_in_at,
                "issued_at": self.caller.issued_at,
                "expires_at": self.expires_at,
            }
        )

    @classmethod
    def from_text(cls, text: str) -> Self:
        """The person that `to_text` wrote."""
        kept = json.loads(text)
        session = kept["session"]
        caller = Caller(
            kept["kind"],
            UUID(kept["id"]),
            frozenset(kept["roles"]),
            frozenset(kept["scopes"]),
            None if session is None else UUID(session),
            kept["signed_in_at"],
            kept["issued_at"],
        )
        return cls(caller, kept["expires_at"])
