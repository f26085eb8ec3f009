"""Who may call what: denied by default."""

from uuid import UUID

import pytest

from shared.auth import ADMIN, CUSTOMER_SERVICE, EMPLOYEES, Access, Caller, access
from shared.problem import Forbidden

ALICE = UUID("0195a0a0-0000-7000-8000-00000000a11c")
CARLA = UUID("0195a0a0-0000-7000-8000-00000000ca51")
CLIENT = Caller("client", ALICE, scopes=frozenset({"orders.readwrite"}))
AGENT = Caller("employee", CARLA, frozenset({"customer-service"}), frozenset({"employee.access"}))


@pytest.mark.parametrize(
    ("rule", "caller"),
    [
        (access(clients="orders.readwrite"), CLIENT),
        (access(clients="orders.readwrite", employees=EMPLOYEES), AGENT),
        (access(employees={CUSTOMER_SERVICE, ADMIN}), AGENT),
    ],
)
def test_access_is_granted(rule: Access, caller: Caller) -> None:
    rule.check(caller)


@pytest.mark.parametrize(
    ("rule", "caller", "detail"),
    [
        (access(), CLIENT, "this is not open to a caller of the kind client"),
        (access(), AGENT, "this is not open to a caller of the kind employee"),
        (access(clients="payments.readwrite"), CLIENT, "this needs the scope payments.readwrite"),
        (access(employees=EMPLOYEES), CLIENT, "this is not open to a caller of the kind client"),
        (access(employees={ADMIN}), AGENT, "this needs a role of: admin"),
        (
            access(clients="employee.access"),
            AGENT,
            "this is not open to a caller of the kind employee",
        ),
        (
            access(employees=EMPLOYEES),
            Caller("employee", CARLA, frozenset({"admin"})),
            "this needs the scope employee.access",
        ),
        (
            access(employees=EMPLOYEES),
            Caller("client", ALICE, frozenset({"admin"}), frozenset({"employee.access"})),
            "this is not open to a caller of the kind client",
        ),
    ],
)
def test_access_is_denied_by_default(rule: Access, caller: Caller, detail: str) -> None:
    with pytest.raises(Forbidden) as refused:
        rule.check(caller)
    assert refused.value.detail == detail


def test_a_role_that_nobody_can_have_is_refused() -> None:
    with pytest.raises(ValueError, match="no such role: root"):
        access(employees={"root"})
