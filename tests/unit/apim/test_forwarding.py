"""What the platform gets through the gateway, and what comes back."""

from datetime import UTC, datetime, time
from email.utils import format_datetime

import pytest

from blueprints.orders.routes import GIVES_WAY
from localcloud.gateway.policy import Refusal
from localcloud.tests.gateway.policy.doubles import Sent
from tests.unit.apim.gate import Gate, problem

RID = "0f0e0d0c-0000-4000-8000-000000000001"


def sent(gate: Gate) -> Sent:
    """The one request that the backend got."""
    (only,) = gate.services.upstream.sent
    return only


@pytest.mark.parametrize("api", ["external-v1", "external-v2", "internal-v1", "internal-v2"])
async def test_the_platform_sees_the_gateways_token_and_the_persons_beside_it(
    gate: Gate, api: str
) -> None:
    person = gate.client() if api.startswith("external") else gate.employee("admin")
    answer = await gate.ask(api, "list_orders", person, query="limit=5")
    assert answer.status == 200
    got = sent(gate)
    assert got.url == "http://platform.test/api/v1/orders?limit=5"
    assert got.headers["Authorization"] == "Bearer token-for-api://order-platform-as-None"
    assert got.headers["X-Forwarded-Authorization"] == person


@pytest.mark.parametrize(
    "name",
    [
        "x-ms-client-principal",
        "X-MS-CLIENT-PRINCIPAL-ID",
        "x-ms-client-principal-name",
        "x-ms-client-principal-idp",
        "x-ms-token-aad-access-token",
        "X-User-Id",
        "X-User-Roles",
        "X-User-Email",
        "X-Functions-Key",
    ],
)
async def test_identity_headers_from_outside_go_no_further(gate: Gate, name: str) -> None:
    person = gate.client()
    await gate.ask("external-v1", "list_orders", person, headers={name: "someone", "X-Kept": "1"})
    got = {header.lower(): value for header, value in sent(gate).headers.items()}
    assert name.lower() not in got
    assert got["x-kept"] == "1"


async def test_a_forged_forwarded_token_is_replaced(gate: Gate) -> None:
    person = gate.client()
    forged = [("X-Forwarded-Authorization", "Bearer forged"), ("x-forwarded-authorization", "two")]
    context = gate.context("external-v1", "list_orders", person, headers=forged)
    await gate.run(context)
    assert context.request.headers.values("X-Forwarded-Authorization") == [person]


@pytest.mark.parametrize(
    ("headers", "kept"),
    [
        ([], RID),
        ([("X-Correlation-Id", "mine-1")], "mine-1"),
        ([("X-Correlation-Id", "x" * 65)], RID),
        ([("X-Correlation-Id", "a"), ("x-correlation-id", "b")], RID),
    ],
)
async def test_a_correlation_id_goes_all_the_way(
    gate: Gate, headers: list[tuple[str, str]], kept: str
) -> None:
    answer = await gate.ask("external-v1", "list_orders", gate.client(), headers=headers)
    assert sent(gate).headers["X-Correlation-Id"] == kept
    assert answer.headers.values("X-Correlation-Id") == [kept]
    refused = await gate.ask("external-v1", "list_orders", None, headers=headers)
    assert problem(refused)["correlation_id"] == kept


@pytest.mark.parametrize(
    ("api", "location", "shown"),
    [
        ("external-v1", "/api/v1/orders/7", "/external-api/v1/orders/7"),
        ("external-v2", "/api/v1/orders/7", "/external-api/v2/orders/7"),
        ("external-v1", "https://elsewhere.test/api/v1/x", "https://elsewhere.test/api/v1/x"),
        ("external-v1", "/other", "/other"),
    ],
)
async def test_a_location_is_where_the_caller_finds_it(
    gate: Gate, api: str, location: str, shown: str
) -> None:
    gate.services.upstream.headers = {"Location": location, "X-Powered-By": "something"}
    answer = await gate.ask(api, "place_order", gate.client(), method="POST")
    assert answer.headers.values("Location") == [shown]
    assert "X-Powered-By" not in answer.headers


@pytest.mark.parametrize("proxy", ["external", "internal"])
async def test_calling_off_by_delete_is_deprecated_and_says_until_when_and_for_what(
    gate: Gate, proxy: str
) -> None:
    person = gate.client() if proxy == "external" else gate.employee("admin")
    answer = await gate.ask(f"{proxy}-v1", "cancel_order_request", person, method="DELETE")
    since, until = (
        datetime.combine(day, time(), UTC) for day in (GIVES_WAY.since, GIVES_WAY.sunset)
    )
    assert answer.headers.values("Deprecation") == [f"@{since.timestamp():.0f}"] == ["@1795478400"]
    assert answer.headers.values("Sunset") == [format_datetime(until, usegmt=True)]
    assert answer.headers.values("Link") == [
        f'</{proxy}-api/v2/orders/0190/cancellation>; rel="successor-version"'
    ]
    other = await gate.ask(f"{proxy}-v1", "list_orders", person)
    assert "Deprecation" not in other.headers


@pytest.mark.parametrize("proxy", ["external", "internal"])
async def test_what_version_2_alone_has_is_served_by_version_2(gate: Gate, proxy: str) -> None:
    person = gate.client() if proxy == "external" else gate.employee("admin")
    path = "/orders/0190/cancellation"
    await gate.ask(f"{proxy}-v2", "request_cancellation", person, method="POST", path=path)
    assert sent(gate).url == f"http://platform.test/api/v2{path}"
    assert sent(gate).headers["X-Forwarded-Authorization"] == person


@pytest.mark.parametrize("status", [502, 503, 504])
async def test_a_read_is_tried_again_when_the_platform_is_away(gate: Gate, status: int) -> None:
    gate.services.upstream.answers = [status, 200]
    assert (await gate.ask("external-v1", "list_orders", gate.client())).status == 200
    assert len(gate.services.upstream.sent) == 2


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
async def test_a_change_is_never_sent_twice(gate: Gate, method: str) -> None:
    away = Refusal(source="forward-request", reason="BackendConnectionFailure")
    gate.services.upstream.answers = [away, 200]
    answer = await gate.ask("external-v1", "place_order", gate.client(), method=method)
    assert (answer.status, problem(answer)["code"]) == (502, "upstream-unavailable")
    assert len(gate.services.upstream.sent) == 1
    gate.services.upstream.answers = [503]
    answer = await gate.ask("external-v1", "place_order", gate.client(), method=method)
    assert (answer.status, answer.body) == (503, b"from afar")
    assert len(gate.services.upstream.sent) == 2


async def test_what_the_service_answers_passes_as_it_is(gate: Gate) -> None:
    gate.services.upstream.answers = [409]
    gate.services.upstream.headers = {"Content-Type": "application/problem+json", "ETag": '"7"'}
    answer = await gate.ask("external-v1", "place_order", gate.client(), method="POST")
    assert (answer.status, answer.body) == (409, b"from afar")
    assert answer.headers.values("ETag") == ['"7"']
    assert answer.headers.values("Content-Type") == ["application/problem+json"]


@pytest.mark.parametrize(
    ("api", "document"),
    [
        ("external-document-v1", "external"),
        ("external-document-v2", "external-v2"),
        ("internal-document-v1", "internal"),
        ("internal-document-v2", "internal-v2"),
    ],
)
async def test_the_document_of_an_api_is_for_everyone(gate: Gate, api: str, document: str) -> None:
    answer = await gate.ask(api, "read_document", None, path="", query="x=1")
    assert answer.status == 200
    assert sent(gate).url == f"http://platform.test/api/v3/api-docs/{document}"
    assert "Authorization" not in sent(gate).headers
