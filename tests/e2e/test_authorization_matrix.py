"""Every operation × everybody who might ask: each cell of the authorization matrix, as answered."""

import uuid
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from demo.shop import Person
from tests.rig.authorization import (
    COLUMNS,
    FORBIDDEN,
    REFUSED_FOR_CONTENT,
    ROLES,
    UNKNOWN_TOKEN,
    UNSIGNED,
    Cell,
    Row,
    Who,
)
from tests.rig.authorization_page import hidden
from tests.rig.authorization_rows import ROWS
from tests.rig.customers import stranger
from tests.rig.platform import Platform, eventually

TARGETS = ("service", "gateway")
PRIVATE = ("customer", "email", "notification", "order", "payment", "session")
"""The owner's facts of which no other client may see anything, lists included."""


@dataclass(frozen=True)
class Target:
    """Where requests go: the service itself, or one of the gateway's proxies for each kind."""

    clients: str
    employees: str
    behind_proxies: bool

    def to_employees(self, who: Who, row: Row) -> bool:
        """Whether this caller asks where employees do; who is nobody, where they are let in."""
        return who in ROLES or (who in UNKNOWN_TOKEN and not row.clients)

    def base(self, who: Who, row: Row) -> str:
        """Where this caller sends the request."""
        return self.employees if self.to_employees(who, row) else self.clients

    def expected(self, row: Row) -> dict[Who, Cell]:
        """What everybody gets here."""
        cells = row.expected()
        if self.behind_proxies:
            for who in COLUMNS:
                absent = hidden(row, from_employees=self.to_employees(who, row))
                if absent == REFUSED_FOR_CONTENT and who == "no scope":
                    absent = FORBIDDEN  # asked before the path is looked at
                cells[who] = absent or cells[who]
        return cells


def target_of(platform: Platform, name: str) -> Target:
    """The target by its name."""
    if name == "service":
        api = f"{platform.cloud.url('functions')}/api"
        return Target(api, api, behind_proxies=False)
    ports = platform.cloud.ports
    return Target(
        f"http://127.0.0.1:{ports['gateway-external']}/external-api",
        f"http://127.0.0.1:{ports['gateway-internal']}/internal-api",
        behind_proxies=True,
    )


@dataclass(frozen=True)
class Stage:
    """Who asks, and about what."""

    headers: Mapping[str, Mapping[str, str]]
    facts: Mapping[str, str]
    http: httpx.AsyncClient

    def filled(self, template: Any) -> Any:
        """The template with its `{names}` replaced; each `{key}` is another one."""
        match template:
            case str():
                return (
                    template.format(**self.facts, key=uuid.uuid4()) if "{" in template else template
                )
            case dict():
                return {name: self.filled(value) for name, value in template.items()}
            case _:
                return template

    async def ask(self, row: Row, who: Who, base: str) -> Cell:
        """The answer to the row's request as `who`."""
        kind = "client" if row.clients else "employee"
        headers = self.headers[who if who in self.headers else f"{who}, {kind}"]
        answer = await self.http.request(
            row.method,
            f"{base}/{self.filled(row.path)}",
            json=self.filled(row.body),
            headers=dict(headers) | self.filled(dict(row.headers)),
        )
        problem = answer.headers.get("content-type", "").startswith("application/problem+json")
        assert problem == (answer.status_code >= 400), answer.text
        if who in {"no scope", "other client"}:
            leaked = [name for name in PRIVATE if self.facts[name] in answer.text]
            assert leaked == [], answer.text
        return answer.status_code, answer.json()["code"] if problem else None


async def token(platform: Platform, person: str, **order: Any) -> dict[str, str]:
    """The header with a token made to order for somebody whom nobody else in the tests is."""
    claims = {"oid": str(uuid.uuid4())} | order.pop("claims", {})
    answer = await platform.shop._http.post(
        f"{platform.shop.identity}/control/tokens",
        json={"person": person, "claims": claims, **order},
    )
    assert answer.is_success, answer.text
    return {"Authorization": f"Bearer {answer.json()['access_token']}"}


async def everybody(
    platform: Platform, owner: Person, other: Person
) -> dict[str, Mapping[str, str]]:
    """The headers of each column; those of tokens that are no good for clients and employees."""
    found: dict[str, Mapping[str, str]] = {
        "no token": {},
        "no scope": await token(platform, "alice", claims={"scp": "profile"}),
        "owner": owner.headers,
        "other client": other.headers,
    }
    for role, person in zip(ROLES, ("carla", "oscar", "ada"), strict=True):
        found[role] = await token(platform, person)
    for kind, person, oid in (("client", "alice", owner.id), ("employee", "ada", None)):
        own = {} if oid is None else {"oid": oid}
        spoilt: dict[str, dict[str, Any]] = {
            "expired": {"expires_in": -600, "claims": own},
            "wrong issuer": {"claims": own | {"iss": "https://login.attacker.test/v2.0"}},
            "wrong audience": {"claims": own | {"aud": "99999999-9999-4999-8999-999999999999"}},
        }
        for who, order in spoilt.items():
            found[f"{who}, {kind}"] = await token(platform, person, **order)
    return found


async def second_session(platform: Platform, owner: Person) -> str:
    """A session of the owner's that is there to be ended."""
    session = str(uuid.uuid4())
    headers = await token(platform, "alice", claims={"oid": owner.id, "sid": session})

    async def listed() -> bool:
        """On a busy machine Redis may be too slow to note one of the requests."""
        answer = await platform.shop.call("GET", "/sessions", headers=headers)
        return session in {one["id"] for one in answer.json()["items"] if answer.json()["complete"]}

    await eventually(listed, "the session to be known")
    return session


@pytest.fixture(scope="module")
async def stage(running_platform: Platform) -> AsyncIterator[Stage]:
    """An order of the owner's that was called off, with its payment and what was told of it."""
    platform = running_platform
    await platform.reset_partners()
    owner, other = await stranger(platform), await stranger(platform)
    placed = await platform.shop.place(
        owner, {platform.product(): 1}, payment_method="tok_declined", key=str(uuid.uuid4())
    )
    order = await platform.shop.settled(owner, placed["id"])
    assert order["status"] == "cancelled"

    async def items(path: str) -> list[dict[str, Any]]:
        answer = await platform.shop.call("GET", path, owner)
        return list(answer.json()["items"])

    async def told() -> bool:
        return bool(await items("/notifications"))

    await eventually(told, "the owner to be told of the order")
    (payment,) = await items("/payments")
    facts = {
        "customer": owner.id,
        "email": f"{owner.id}@clients.example",
        "nothing": str(uuid.uuid4()),
        "notification": (await items("/notifications"))[0]["id"],
        "order": order["id"],
        "payment": payment["id"],
        "product": platform.product(),
        "session": await second_session(platform, owner),
    }
    headers = await everybody(platform, owner, other)
    async with httpx.AsyncClient(timeout=30, trust_env=False) as http:
        yield Stage(headers, facts, http)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
@pytest.mark.parametrize("target", TARGETS)
async def test_everybody_gets_what_the_matrix_says(
    platform: Platform, stage: Stage, target: str, row: Row
) -> None:
    place = target_of(platform, target)
    answered = {who: await stage.ask(row, who, place.base(who, row)) for who in COLUMNS}
    assert answered == place.expected(row)


@pytest.mark.parametrize("row", [row for row in ROWS if row.partner], ids=lambda row: row.name)
async def test_the_partners_proxy_asks_everybody_for_a_signature(
    platform: Platform, stage: Stage, row: Row
) -> None:
    base = f"http://127.0.0.1:{platform.cloud.ports['gateway-external']}/partner-api"
    answered = {who: await stage.ask(row, who, base) for who in COLUMNS}
    assert answered == dict.fromkeys(COLUMNS, UNSIGNED)
