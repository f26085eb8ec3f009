"""The border of the API: through the gateway or not, as a partner, with claims of one's own."""

import time
from collections.abc import Mapping
from typing import Any
from uuid import UUID

import pytest

from shared.auth import (
    ANONYMOUS,
    ANYONE,
    PARTNER,
    PARTNERS,
    Authenticator,
    Caller,
    Gateway,
    StepUp,
    access,
)
from shared.auth.devices import device_name
from shared.http.border import Border
from shared.problem import (
    Forbidden,
    GatewayRequired,
    InvalidRequest,
    RecentSignInRequired,
    SessionEnded,
    TokenExpired,
    TokenInvalid,
    TokenMissing,
)
from tests.rig.tokens import Tenant, authenticator_of

ALICE = UUID("0195a0a0-0000-7000-8000-00000000a11c")
GATEWAY = UUID("6a7e0000-0000-4000-8000-000000000012")
PLATFORM = UUID("70a70000-0000-4000-8000-000000000011")
EMPLOYEES_TID = "11111111-1111-4111-8111-111111111111"
ORDERS = access(clients="orders.readwrite")


@pytest.fixture
def clients() -> Tenant:
    tid = "22222222-2222-4222-8222-222222222222"
    return Tenant("client", tid, "44444444-4444-4444-8444-444444444444", ALICE)


@pytest.fixture
def workloads() -> Tenant:
    return Tenant("gateway", EMPLOYEES_TID, "api://order-platform", GATEWAY)


class Registry:
    """Notes who came in, on what; sends away who is in `ended`."""

    def __init__(self) -> None:
        self.admitted: list[tuple[UUID, str | None]] = []
        self.ended: set[UUID] = set()

    async def admit(self, caller: Caller, device: str | None) -> None:
        if caller.id in self.ended:
            raise SessionEnded("over")
        self.admitted.append((caller.id, device))


def gateway_of(workloads: Tenant, *, only: bool) -> Gateway:
    async def fetch(_url: str) -> Mapping[str, Any]:
        return workloads.key_set()

    return Gateway(workloads.trusted(), [GATEWAY], only=only, fetch=fetch)


def border_of(
    clients: Tenant, workloads: Tenant, *, only: bool = False, registry: Registry | None = None
) -> Border:
    return Border(authenticator_of(clients), gateway_of(workloads, only=only), registry)


def own(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


def forwarded(gateway: str, person: str) -> dict[str, str]:
    return own(gateway) | {"x-forwarded-authorization": f"Bearer {person}"}


async def test_the_gateway_carries_a_person_s_token_beside_its_own(
    clients: Tenant, workloads: Tenant
) -> None:
    for only in (False, True):
        border = border_of(clients, workloads, only=only)
        caller = await border.caller(ORDERS, forwarded(workloads.token(), clients.token()))
        assert (caller.kind, caller.id) == ("client", ALICE)


async def test_a_person_s_own_token_is_enough_unless_the_gateway_is_the_only_way_in(
    clients: Tenant, workloads: Tenant
) -> None:
    open_, closed = (border_of(clients, workloads, only=only) for only in (False, True))
    assert (await open_.caller(ORDERS, own(clients.token()))).id == ALICE
    for headers in (own(clients.token()), {}):
        with pytest.raises(GatewayRequired):
            await closed.caller(ORDERS, headers)


@pytest.mark.parametrize(
    "changes",
    [
        {"oid": str(PLATFORM)},
        {"aud": "api://somewhere-else"},
        {"iss": "https://identity.test/evil/v2.0"},
        {"tid": "22222222-2222-4222-8222-222222222222"},
        {"exp": 1_700_000_000},
        {"oid": None},
        {"oid": "gateway"},
    ],
    ids=str,
)
async def test_nobody_else_carries_people_s_tokens(
    clients: Tenant, workloads: Tenant, changes: dict[str, Any]
) -> None:
    for only in (False, True):
        border = border_of(clients, workloads, only=only)
        headers = forwarded(workloads.token(**changes), clients.token())
        with pytest.raises(GatewayRequired):
            await border.caller(ORDERS, headers)
        with pytest.raises(GatewayRequired):
            await border.caller(PARTNER, own(workloads.token(**changes)))


async def test_a_person_does_not_carry_another_person_s_token(
    clients: Tenant, workloads: Tenant
) -> None:
    border = border_of(clients, workloads)
    with pytest.raises(GatewayRequired):
        await border.caller(ORDERS, forwarded(clients.token(), clients.token()))
    with pytest.raises(GatewayRequired):
        await border.caller(ORDERS, {"x-forwarded-authorization": f"Bearer {clients.token()}"})


async def test_what_the_gateway_carries_is_looked_at_like_any_other_token(
    clients: Tenant, workloads: Tenant
) -> None:
    border = border_of(clients, workloads)
    for person, refusal in (
        (clients.token(exp=int(time.time()) - 60), TokenExpired),
        (clients.token(aud="another"), TokenInvalid),
        (workloads.token(), TokenInvalid),
        (clients.token(scp="products.read"), Forbidden),
    ):
        with pytest.raises(refusal):
            await border.caller(ORDERS, forwarded(workloads.token(), person))
    headers = own(workloads.token()) | {"x-forwarded-authorization": ""}
    with pytest.raises(TokenMissing):
        await border.caller(ORDERS, headers)


async def test_the_gateway_itself_is_nobody(clients: Tenant, workloads: Tenant) -> None:
    border = border_of(clients, workloads)
    with pytest.raises(TokenInvalid):
        await border.caller(ORDERS, own(workloads.token()))
    with pytest.raises(TokenMissing):
        await border_of(clients, workloads, only=True).caller(ORDERS, own(workloads.token()))


async def test_a_forwarded_token_means_nothing_where_no_gateway_is_known(clients: Tenant) -> None:
    border = Border(authenticator_of(clients))
    token = f"Bearer {clients.token()}"
    for headers in (
        {"x-forwarded-authorization": token},
        {"authorization": token, "x-forwarded-authorization": token},
    ):
        with pytest.raises(TokenInvalid):
            await border.caller(ORDERS, headers)


async def test_partners_come_in_without_a_person(clients: Tenant, workloads: Tenant) -> None:
    border = border_of(clients, workloads)
    assert await border.caller(PARTNER, {}) == PARTNERS
    assert await border.caller(PARTNER, own(workloads.token())) == PARTNERS
    assert await Border(authenticator_of(clients)).caller(PARTNER, {}) == PARTNERS
    closed = border_of(clients, workloads, only=True)
    assert await closed.caller(PARTNER, own(workloads.token())) == PARTNERS
    for headers in ({}, own(clients.token())):
        with pytest.raises(GatewayRequired):
            await closed.caller(PARTNER, headers)


async def test_a_partner_may_do_nothing_else_and_nobody_else_is_a_partner() -> None:
    with pytest.raises(Forbidden):
        ORDERS.check(PARTNERS)
    for caller in (Caller("client", ALICE), Caller("employee", ALICE), ANONYMOUS):
        with pytest.raises(Forbidden):
            PARTNER.check(caller)


@pytest.mark.parametrize(
    "name",
    [
        "x-user-id",
        "x-user-roles",
        "x-user-",
        "x-ms-client-principal",
        "x-ms-client-principal-id",
        "x-ms-client-principal-name",
        "x-ms-client-principal-idp",
        "x-ms-token-aad-access-token",
    ],
)
async def test_who_says_himself_who_he_is_gets_nowhere(
    clients: Tenant, workloads: Tenant, name: str
) -> None:
    border = border_of(clients, workloads)
    for rule in (ORDERS, PARTNER):
        with pytest.raises(InvalidRequest) as refused:
            await border.caller(rule, own(clients.token()) | {name: "admin"})
        assert refused.value.extra["errors"] == [{"field": name, "message": "is not taken"}]


async def test_who_comes_in_is_noted_before_it_is_asked_what_he_may(
    clients: Tenant, workloads: Tenant
) -> None:
    registry = Registry()
    border = border_of(clients, workloads, registry=registry)
    await border.caller(ORDERS, own(clients.token()) | {"user-agent": "curl"})
    with pytest.raises(Forbidden):
        await border.caller(ORDERS, own(clients.token(scp="products.read")))
    assert registry.admitted == [(ALICE, "curl"), (ALICE, None)]

    registry.ended.add(ALICE)
    with pytest.raises(SessionEnded):
        await border.caller(ORDERS, own(clients.token()))
    assert await border.caller(ANYONE, own(clients.token())) == ANONYMOUS


async def test_what_needs_a_recent_sign_in_gets_one(clients: Tenant, workloads: Tenant) -> None:
    border, now = border_of(clients, workloads), int(time.time())
    recent = own(clients.token(auth_time=now - 200))
    assert (await border.caller(ORDERS, recent, recent_sign_in=True)).signed_in_at == now - 200
    for token in (clients.token(auth_time=now - 400), clients.token()):
        with pytest.raises(RecentSignInRequired) as refused:
            await border.caller(ORDERS, own(token), recent_sign_in=True)
        assert (refused.value.status, refused.value.extra) == (401, {"max_age": 300})
        assert (await border.caller(ORDERS, own(token))).id == ALICE


@pytest.mark.parametrize(("age_s", "passes"), [(0, True), (330, True), (331, False), (-60, True)])
def test_a_sign_in_is_recent_for_as_long_as_set(age_s: int, *, passes: bool) -> None:
    caller = Caller("client", ALICE, signed_in_at=1_000_000)
    step_up = StepUp(300, clock=lambda: 1_000_000 + age_s)
    if passes:
        step_up.check(caller)
    else:
        with pytest.raises(RecentSignInRequired):
            step_up.check(caller)


def test_a_gateway_without_an_identity_is_not_trusted(workloads: Tenant) -> None:
    with pytest.raises(ValueError, match="identities"):
        Gateway(workloads.trusted(), [], only=True)


LINUX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
IPHONE = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15"
    " (KHTML, like Gecko) Version/18.0 Mobile/15E148 Safari/604.1"
)
WINDOWS = "Mozilla/5.0 (Windows NT 10.0; Win64; x64)"
CHROME = "AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36"


@pytest.mark.parametrize(
    ("user_agent", "name"),
    [
        (f"{WINDOWS} {CHROME} Edg/140.0.0.0", "Edge on Windows"),
        (f"{WINDOWS} {CHROME}", "Chrome on Windows"),
        (f"Mozilla/5.0 (Linux; Android 14; Pixel 8) {CHROME}", "Chrome on Android"),
        (LINUX, "Firefox on Linux"),
        (IPHONE, "Safari on iPhone"),
        ("Firefox/140.0", "Firefox"),
        ("curl/8.5.0", "Unknown device"),
        ("|0|<script>", "Unknown device"),
        ("x" * 100_000 + "Firefox/140.0", "Unknown device"),
        ("", "Unknown device"),
        (None, "Unknown device"),
    ],
)
def test_a_session_is_named_by_browser_and_system(user_agent: str | None, name: str) -> None:
    assert device_name(user_agent) == name


async def test_an_issuer_is_trusted_as_one_kind_of_caller(clients: Tenant) -> None:
    with pytest.raises(ValueError, match="once"):
        Authenticator([clients.trusted(), clients.trusted()])
