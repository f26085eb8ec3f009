"""Two tenants that tokens are made for, and what verifies them."""

from uuid import UUID

import pytest

from shared.auth import Authenticator
from tests.rig.tokens import Tenant, authenticator_of

ALICE = UUID("0195a0a0-0000-7000-8000-00000000a11c")
CARLA = UUID("0195a0a0-0000-7000-8000-00000000ca51")


@pytest.fixture
def clients() -> Tenant:
    tid = "22222222-2222-4222-8222-222222222222"
    return Tenant("client", tid, "44444444-4444-4444-8444-444444444444", ALICE)


@pytest.fixture
def employees() -> Tenant:
    tid = "11111111-1111-4111-8111-111111111111"
    return Tenant("employee", tid, "33333333-3333-4333-8333-333333333333", CARLA)


@pytest.fixture
def authenticator(clients: Tenant, employees: Tenant) -> Authenticator:
    return authenticator_of(clients, employees)
