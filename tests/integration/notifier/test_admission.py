"""Who is let in, from where, for how long without a word."""

import asyncio
from typing import Any
from uuid import UUID

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.typing import Origin

from shared.live import Feed, LiveMessage
from tests.integration.notifier.conftest import Start
from tests.integration.notifier.raw import (
    HANDSHAKE,
    Negotiated,
    asked,
    bearer,
    hub_socket,
    negotiate,
    refused,
)
from tests.integration.notifier.rig import Identity, Replica, somebody, until

SHOP = "https://shop.example"


@pytest.fixture(scope="module")
async def replica(start: Start) -> Replica:
    one = start(
        NOTIFIER_ALLOWED_ORIGINS=f"{SHOP}, https://staff.example",
        NOTIFIER_TRUST_FORWARDED="true",
        NOTIFIER_CLIENT_TIMEOUT_S="1.5",
        NOTIFIER_CLOSE_S="0.2",
        NOTIFIER_HEARTBEAT_S="0.5",
        NOTIFIER_POLL_S="0.5",
    )
    await one.until_ready()
    return one


@pytest.fixture
def me() -> UUID:
    return somebody()


@pytest.mark.parametrize("path", ["negotiate", "ticket"])
async def test_only_people_with_the_scope_or_a_role_are_let_in(
    replica: Replica, identity: Identity, me: UUID, path: str
) -> None:
    staff: dict[str, Any] = {"tenant": "employees"}
    tokens = {
        "none": None,
        "garbage": "a.b.c",
        "forged": identity.token(me, forged=True),
        "expired": identity.token(me, expires_in=-3600),
        "without scope": identity.token(me, claims={"scp": "orders.readwrite"}),
        "of no role": identity.token(me, **staff, claims={"roles": []}),
        "of an unknown role": identity.token(me, **staff, claims={"roles": ["intern"]}),
        "of an application": identity.token(me, **staff, claims={"scp": "", "roles": ["admin"]}),
    }
    answers = {}
    for name, token in tokens.items():
        headers = {} if token is None else bearer(token)
        answer = await asked(replica.url, "POST", f"/notifications/{path}", headers=headers)
        answers[name] = (answer.status_code, answer.json()["code"])

    assert answers == {
        "none": (401, "token-missing"),
        "garbage": (401, "token-invalid"),
        "forged": (401, "token-invalid"),
        "expired": (401, "token-expired"),
        "without scope": (403, "forbidden"),
        "of no role": (403, "forbidden"),
        "of an unknown role": (403, "forbidden"),
        "of an application": (403, "forbidden"),
    }


async def test_negotiation_leads_to_one_of_two_paths(
    replica: Replica, identity: Identity, me: UUID
) -> None:
    headers = bearer(identity.token(me))
    ways = {}
    for hint in ("", "?transport=webSockets", "?transport=LongPolling"):
        answer = await asked(
            replica.url, "POST", f"/notifications/negotiate{hint}", headers=headers
        )
        assert answer.headers["cache-control"] == "no-store"
        document = answer.json()
        url = document["url"]
        ticket = bearer(document["accessToken"])
        async with httpx.AsyncClient() as http:
            second = await http.post(f"{url}/negotiate?negotiateVersion=1", headers=ticket)
        names = [offer["transport"] for offer in second.json()["availableTransports"]]
        ways[hint] = (url.removeprefix(replica.url), names)
    unknown = await asked(
        replica.url, "POST", "/notifications/negotiate?transport=fax", headers=headers
    )

    assert ways == {
        "": ("/notifications/hub", ["ServerSentEvents", "LongPolling"]),
        "?transport=webSockets": ("/notifications/ws", ["WebSockets"]),
        "?transport=LongPolling": ("/notifications/hub", ["ServerSentEvents", "LongPolling"]),
    }
    assert (unknown.status_code, unknown.json()["code"]) == (400, "invalid-request")


async def test_the_redirect_names_the_gateway_that_forwarded_the_request(
    replica: Replica, identity: Identity, me: UUID
) -> None:
    forwarded = {
        "X-Forwarded-Proto": "https",
        "X-Forwarded-Host": "api.shop.example",
        "X-Forwarded-Prefix": "/external-api/v1/notifications",
    }
    headers = bearer(identity.token(me)) | forwarded
    answer = await asked(replica.url, "POST", "/notifications/negotiate", headers=headers)
    own = headers | {"Origin": "https://api.shop.example"}
    from_there = await asked(replica.url, "POST", "/notifications/negotiate", headers=own)
    odd = headers | {"X-Forwarded-Host": "api.shop.example/@evil"}
    nowhere = await asked(replica.url, "POST", "/notifications/negotiate", headers=odd)

    assert answer.json()["url"] == "https://api.shop.example/external-api/v1/notifications/hub"
    assert from_there.status_code == 200
    assert (nowhere.status_code, nowhere.json()["code"]) == (400, "invalid-request")


async def test_an_old_negotiation_is_answered_with_an_error_of_the_protocol(
    replica: Replica, identity: Identity, me: UUID
) -> None:
    agreed = await negotiate(replica.url, identity.token(me))
    answer = await asked(replica.url, "POST", "/notifications/ws/negotiate", headers=agreed.headers)
    assert answer.json() == {
        "negotiateVersion": 1,
        "error": "this needs a client that negotiates by version 1",
    }


async def test_pages_of_other_sites_are_refused_and_listed_ones_are_served(
    replica: Replica, identity: Identity, me: UUID
) -> None:
    headers = bearer(identity.token(me))
    answers = {}
    for origin in (SHOP, replica.url, "https://evil.example", "null"):
        answer = await asked(
            replica.url, "POST", "/notifications/negotiate", headers=headers | {"Origin": origin}
        )
        allowed = answer.headers.get("access-control-allow-origin")
        answers[origin] = (answer.status_code, allowed)
    preflight = await asked(
        replica.url,
        "OPTIONS",
        "/notifications/negotiate",
        headers={
            "Origin": SHOP,
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "authorization,x-requested-with,x-signalr-user-agent",
        },
    )

    assert answers == {
        SHOP: (200, SHOP),
        replica.url: (200, None),
        "https://evil.example": (403, None),
        "null": (403, None),
    }
    assert preflight.status_code == 200
    assert preflight.headers["access-control-allow-origin"] == SHOP


async def test_a_websocket_is_not_opened_for_a_page_of_another_site(
    replica: Replica, identity: Identity, me: UUID
) -> None:
    agreed = await negotiate(replica.url, identity.token(me))
    evil = await refused(
        agreed.address, origin=Origin("https://evil.example"), additional_headers=agreed.headers
    )
    assert evil == (403, "origin-refused")
    async with connect(
        agreed.address.replace("http", "ws", 1),
        origin=Origin(SHOP),
        additional_headers=agreed.headers,
    ) as opened:
        await opened.send(HANDSHAKE)
        assert await opened.recv() == "{}\x1e"


async def test_clients_from_whom_nothing_is_heard_are_told_to_come_back(
    replica: Replica, identity: Identity, me: UUID
) -> None:
    """Pings come meanwhile; a poll that ends without a message is empty."""
    polling = await negotiate(replica.url, identity.token(somebody()), "longPolling")
    async with (
        hub_socket(replica.url, identity.token(me)) as silent,
        httpx.AsyncClient(headers=polling.headers) as http,
    ):
        await _polled_until_alive(http, polling)
        ping = await silent.socket.recv()
        empty = await http.get(polling.address)
        messages, _ = await silent.until_closed()
        await until(lambda: _gone_from(replica), "the client that stopped polling to be gone")

    assert ping == '{"type":6}\x1e'
    assert (empty.status_code, empty.text) == (200, "")
    error = "nothing was heard for too long"
    assert messages == [{"type": 7, "error": error, "allowReconnect": True}]


async def _polled_until_alive(http: httpx.AsyncClient, agreed: Negotiated) -> None:
    await http.get(agreed.address)
    await http.post(agreed.address, content=HANDSHAKE)
    assert (await http.get(agreed.address)).text == "{}\x1e"


async def _gone_from(replica: Replica) -> bool:
    name = 'notifier_closed_total{reason="timeout",transport="longpolling"}'
    return await replica.metric(name) == 1


async def test_a_newer_poll_ends_an_older_one(
    replica: Replica, identity: Identity, me: UUID, feed: Feed
) -> None:
    agreed = await negotiate(replica.url, identity.token(me), "longPolling")
    async with httpx.AsyncClient(headers=agreed.headers) as http:
        await _polled_until_alive(http, agreed)
        older = asyncio.create_task(http.get(agreed.address))
        newer = asyncio.create_task(http.get(agreed.address))
        await asyncio.wait({older, newer}, return_when=asyncio.FIRST_COMPLETED)
        assert await feed.publish([LiveMessage((f"user:{me}",), "notification", "n", {})])
        texts = sorted([(await older).text, (await newer).text])

    assert texts[0] == ""
    assert '"id":"n"' in texts[1]


def test_what_is_wrong_with_the_settings_is_said_and_no_secret_shown(start: Start) -> None:
    broken = start(REDIS_URL="", NOTIFIER_PORT="many", AUTH_CLIENTS_ISSUER="secret-issuer")
    assert broken.process.wait(30) == 1
    said = broken.log.read_text()
    assert "redis_url" in said
    assert "notifier_port" in said
    assert "secret-issuer" not in said
