"""The standard problems, as clients know them."""

from shared import problem


def test_standard_problems_have_codes_and_titles_of_their_own() -> None:
    assert len({kind.code for kind in problem.STANDARD}) == len(problem.STANDARD)
    assert [kind.status for kind in problem.STANDARD] == sorted(k.status for k in problem.STANDARD)
    assert {kind.code: (kind.status, kind.title) for kind in problem.STANDARD} == {
        "malformed-json": (400, "The body is not valid JSON"),
        "invalid-request": (400, "The request is not valid"),
        "invalid-cursor": (400, "Invalid cursor"),
        "idempotency-key-required": (400, "Idempotency-Key required"),
        "token-missing": (401, "Token missing"),
        "token-expired": (401, "Token expired"),
        "token-invalid": (401, "Token invalid"),
        "session-ended": (401, "Session ended"),
        "gateway-required": (401, "Gateway required"),
        "forbidden": (403, "Forbidden"),
        "not-found": (404, "Not found"),
        "method-not-allowed": (405, "Method not allowed"),
        "etag-mismatch": (412, "ETag mismatch"),
        "body-too-large": (413, "Body too large"),
        "unsupported-media-type": (415, "Unsupported media type"),
        "idempotency-key-reused": (422, "Idempotency-Key reused"),
        "etag-required": (428, "ETag required"),
        "too-many-requests": (429, "Too many requests"),
        "internal-error": (500, "Internal error"),
        "partner-unavailable": (503, "Partner unavailable"),
        "service-unavailable": (503, "Service unavailable"),
    }
