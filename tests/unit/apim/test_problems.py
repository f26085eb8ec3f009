"""Every refusal of the gateway is a problem document with a stable code."""

import re

import pytest

from localcloud.gateway.policy import Refusal, Violation
from shared.problem import STANDARD
from tests.unit.apim.gate import APIM, Gate, problem


@pytest.mark.parametrize(
    ("refusal", "status", "code"),
    [
        (("configuration", "OperationNotFound", 404), 404, "not-found"),
        (("configuration", "MethodNotAllowed", 405), 405, "method-not-allowed"),
        (("request", "BadRequest", 400), 400, "bad-request"),
        (("request", "BodyTooLarge", 413), 413, "body-too-large"),
        (("request", "UriTooLong", 414), 414, "uri-too-long"),
        (("request", "UpgradeRequired", 426), 426, "upgrade-required"),
        (("request", "HeadersTooLarge", 431), 431, "headers-too-large"),
        (("forward-request", "Timeout", 500), 504, "upstream-timeout"),
        (("forward-request", "BackendConnectionFailure", 500), 502, "upstream-unavailable"),
        (("forward-request", "BackendBusy", 503), 503, "service-unavailable"),
        (("validate-jwt", "OpenIdConfigurationUnavailable", 503), 503, "service-unavailable"),
        (("check-header", "HeaderNotFound", 403), 403, "forbidden"),
        (("authentication-managed-identity", "ManagedIdentityFailure", 500), 500, "internal-error"),
        (("set-header", "ExpressionValueEvaluationFailure", 500), 500, "internal-error"),
        (("anything", "NeverHeardOf", 418), 500, "internal-error"),
    ],
)
async def test_a_refusal_has_a_code(
    gate: Gate, refusal: tuple[str, str, int], status: int, code: str
) -> None:
    source, reason, first = refusal
    error = Refusal(
        source=source, reason=reason, status=first, message="secret", headers={"Allow": "GET, PUT"}
    )
    context = gate.context("external-v1", "list_orders")
    answer = await gate.policies.unmatched(None).fail(context, error)
    found = problem(answer)
    assert (answer.status, found["code"]) == (status, code)
    assert set(found) == {"type", "title", "status", "detail", "code", "correlation_id"}
    assert "secret" not in str(answer.body)
    assert answer.headers.values("Allow") == (["GET, PUT"] if status == 405 else [])
    assert answer.headers.values("Retry-After") == (["2"] if status == 503 else [])
    assert answer.headers.values("X-Content-Type-Options") == ["nosniff"]


@pytest.mark.parametrize(("sent", "kept"), [("mine-1", True), ("x" * 65, False), ("a,b", False)])
async def test_a_refusal_before_any_policy_knows_the_correlation_id(
    gate: Gate, sent: str, kept: bool
) -> None:
    context = gate.context("external-v1", "list_orders", headers={"X-Correlation-Id": sent})
    error = Refusal(source="configuration", reason="OperationNotFound", status=404)
    answer = await gate.policies.unmatched(None).fail(context, error)
    known = sent if kept else context.request_id
    assert problem(answer)["correlation_id"] == known
    assert [facts["correlation_id"] for *_, facts in gate.services.traced] == [known]


async def test_what_breaks_the_description_is_named_and_nothing_is_sent(gate: Gate) -> None:
    gate.services.contract.violations = [
        Violation("query", "limit", "must be an integer", specified=True)
    ]
    answer = await gate.ask("external-v1", "list_orders", gate.client(), query="limit=lots")
    found = problem(answer)
    assert (answer.status, found["code"]) == (400, "invalid-request")
    message = "The value of the query parameter limit does not conform to the definition. "
    assert found["errors"] == [{"field": "parameters", "message": message + "must be an integer"}]
    assert "lots" not in str(answer.body)
    assert gate.services.upstream.sent == []


MALFORMED = Violation("body", "", "", specified=True, reason="malformed")
WRONG = Violation("body", "/lines", "is missing", specified=True)


@pytest.mark.parametrize(
    ("media_type", "size", "violation", "refused"),
    [
        ("text/xml", 2, None, (415, "unsupported-media-type")),
        ("application/json", 102_401, None, (413, "body-too-large")),
        ("application/json", 2, MALFORMED, (400, "malformed-json")),
        ("application/json", 2, WRONG, (400, "invalid-request")),
        ("application/json", 102_400, None, None),
    ],
)
async def test_a_body_that_is_not_as_described_is_refused_with_the_services_own_codes(
    gate: Gate,
    media_type: str,
    size: int,
    violation: Violation | None,
    refused: tuple[int, str] | None,
) -> None:
    gate.services.contract.body = violation
    answer = await gate.ask(
        "external-v1",
        "place_order",
        gate.client(),
        method="POST",
        headers={"Content-Type": media_type},
        body=b"x" * size,
    )
    assert len(gate.services.upstream.sent) == (0 if refused else 1)
    if refused:
        assert (answer.status, problem(answer)["code"]) == refused


async def test_who_may_not_come_in_learns_nothing_of_the_description(gate: Gate) -> None:
    gate.services.contract.violations = [Violation("query", "x", "unknown", specified=False)]
    for api, authorization, status in (
        ("external-v1", None, 401),
        ("external-v1", gate.client("products.read"), 403),
        ("internal-v1", gate.employee("guest"), 403),
    ):
        assert (await gate.ask(api, "list_orders", authorization)).status == status
    answer = await gate.ask("internal-v1", "place_order", gate.employee("admin"), method="POST")
    assert answer.status == 403


async def test_a_refusal_is_told_to_the_log_without_anything_of_the_person(gate: Gate) -> None:
    authorization = gate.client("products.read", iss="https://elsewhere.test")
    await gate.ask("external-v1", "list_orders", authorization, query="q=private")
    ((source, severity, message, facts),) = gate.services.traced
    assert (source, severity, message) == ("gateway", "information", "refused")
    assert facts == {
        "correlation_id": "0f0e0d0c-0000-4000-8000-000000000001",
        "source": "validate-jwt",
        "reason": "TokenIssuerNotAllowed",
        "section": "inbound",
        "policy": "validate-jwt[1]",
    }


def test_a_code_has_the_title_that_the_service_gives_it() -> None:
    text = (APIM / "fragments" / "problem.xml").read_text("utf-8")
    pair = r'name="code" value="([^"]+)" />\s+<set-variable name="title" value="([^"]+)"'
    gateway = dict(re.findall(pair, text))
    service = {problem.code: problem.title for problem in STANDARD}
    common = gateway.keys() & service.keys()
    assert {code: gateway[code] for code in common} == {code: service[code] for code in common}
    assert {"token-missing", "forbidden", "not-found", "invalid-request"} <= common


async def test_a_missing_scope_is_told_to_the_log(gate: Gate) -> None:
    await gate.ask("external-v1", "list_orders", gate.client("products.read"))
    ((_, _, message, facts),) = gate.services.traced
    assert (message, facts["reason"]) == ("refused", "forbidden")
    assert facts["correlation_id"] == "0f0e0d0c-0000-4000-8000-000000000001"
