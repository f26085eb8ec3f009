"""The ways to the notifier: who needs a token there, and what it gets to know."""

import pytest

from tests.unit.apim.gate import Gate, problem

PROXIES = ("external", "internal")


def person(gate: Gate, proxy: str) -> str:
    return gate.client() if proxy == "external" else gate.employee("admin")


@pytest.mark.parametrize("proxy", PROXIES)
@pytest.mark.parametrize(
    ("operation", "path"),
    [
        ("negotiate_connection", "/notifications/negotiate"),
        ("issue_stream_ticket", "/notifications/ticket"),
    ],
)
async def test_a_ticket_is_for_people_with_a_token_that_reaches_the_notifier_untouched(
    gate: Gate, proxy: str, operation: str, path: str
) -> None:
    refused = await gate.ask(
        f"{proxy}-v1", operation, None, method="POST", path=path, query="ticket=x"
    )
    assert (refused.status, problem(refused)["code"]) == (401, "token-missing")
    assert gate.services.upstream.sent == []
    token = person(gate, proxy)
    answer = await gate.ask(f"{proxy}-v1", operation, token, method="POST", path=path, query="a=1")
    assert answer.status == 200
    (sent,) = gate.services.upstream.sent
    assert sent.url == f"http://notifier.test{path}?a=1"
    assert sent.headers["Authorization"] == token
    assert "X-Forwarded-Authorization" not in sent.headers


@pytest.mark.parametrize("proxy", PROXIES)
async def test_the_event_stream_takes_a_ticket_or_a_token(gate: Gate, proxy: str) -> None:
    path = "/notifications/stream"
    api = f"{proxy}-v1"
    assert (await gate.ask(api, "stream_notifications", None, path=path)).status == 401
    assert gate.services.upstream.sent == []
    by_ticket = await gate.ask(api, "stream_notifications", None, path=path, query="ticket=t")
    by_token = await gate.ask(api, "stream_notifications", person(gate, proxy), path=path)
    assert (by_ticket.status, by_token.status) == (200, 200)
    assert [sent.url for sent in gate.services.upstream.sent] == [
        f"http://notifier.test{path}?ticket=t",
        f"http://notifier.test{path}",
    ]
    assert [sent.timeout_s for sent in gate.services.upstream.sent] == [240.0, 240.0]


@pytest.mark.parametrize("proxy", PROXIES)
@pytest.mark.parametrize(
    ("operation", "method", "path"),
    [
        ("negotiate_hub", "POST", "/notifications/hub/negotiate"),
        ("receive_from_hub", "GET", "/notifications/hub"),
        ("send_to_hub", "POST", "/notifications/hub"),
        ("leave_hub", "DELETE", "/notifications/hub"),
    ],
)
async def test_the_hub_checks_its_own_tickets_and_bodies(
    gate: Gate, proxy: str, operation: str, method: str, path: str
) -> None:
    answer = await gate.ask(
        f"{proxy}-v1", operation, "Bearer ticket", method=method, path=path, query="id=1",
        headers={"Content-Type": "text/plain"}, body=b"{}\x1e",
    )  # fmt: skip
    assert answer.status == 200
    (sent,) = gate.services.upstream.sent
    assert (sent.url, sent.body) == (f"http://notifier.test{path}?id=1", b"{}\x1e")
    assert sent.headers["Authorization"] == "Bearer ticket"


@pytest.mark.parametrize("proxy", PROXIES)
@pytest.mark.parametrize(
    ("api", "operation", "path"),
    [
        ("socket", "onHandshake", "/notifications/ws"),
        ("negotiate", "negotiate_socket", "/notifications/ws/negotiate"),
    ],
)
async def test_the_websocket_and_what_comes_before_it(
    gate: Gate, proxy: str, api: str, operation: str, path: str
) -> None:
    answer = await gate.ask(
        f"{proxy}-{api}", operation, None, path="", query="access_token=t",
        headers={"X-User-Id": "someone"},
    )  # fmt: skip
    assert answer.status == 200
    (sent,) = gate.services.upstream.sent
    assert sent.url == f"http://notifier.test{path}?access_token=t"
    assert "X-User-Id" not in sent.headers
    assert gate.services.limits.asked == [("address:10.0.0.5", 30000, 60)]


@pytest.mark.parametrize("proxy", PROXIES)
async def test_the_notifier_knows_how_it_is_reached(gate: Gate, proxy: str) -> None:
    forged = {
        "X-Forwarded-Proto": "https",
        "X-Forwarded-Host": "evil.test",
        "X-Forwarded-Prefix": "/",
    }
    await gate.ask(
        f"{proxy}-v1", "negotiate_hub", None, method="POST", path="/notifications/hub/negotiate",
        headers=forged,
    )  # fmt: skip
    (sent,) = gate.services.upstream.sent
    assert {name: sent.headers[name] for name in forged} == {
        "X-Forwarded-Proto": "http",
        "X-Forwarded-Host": "api.shop.test:8080",
        "X-Forwarded-Prefix": f"/{proxy}-api/v1/notifications",
    }
