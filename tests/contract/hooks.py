"""What Schemathesis is told about this platform: real ids to use, and two checks of our own.

Read by the `schemathesis` command, which gets the world of the run in CONTRACT_WORLD (JSON): `ids`
by the names of path parameters, `foreign` texts that no answer may hold.
"""

import hashlib
import json
import os
from typing import Any
from uuid import UUID

import schemathesis
from schemathesis.checks import CheckContext
from schemathesis.core.failures import Failure
from schemathesis.core.transport import Response
from schemathesis.generation.modes import GenerationMode

WORLD: dict[str, Any] = json.loads(os.environ["CONTRACT_WORLD"])

RULES = (
    "at most 64 characters stand before the @",
    "at most 999 of a product, all lines summed",
    "must look like tok_",
    "for employees only",
    "since goes with neither cursor nor unread",
    "from and until must differ",
    "You are never told",
    "There is no such time zone",
    "give a name, an email or a phone number",
    "name either a recipient_id or an audience",
    "the subject and customer_id name two customers",
    "String should have at least",
    "must not be later",
    "must not be after",
    "required of employees",
    "Text is not valid",
    "must be 1 to 200 printable characters",
)
"""Refusals of what fits the schema: rules between fields, and texts of nothing but spaces."""

CODES = frozenset(
    {
        "invalid-cursor",
        "card-number-refused",
        "audit-range-too-long",
        "idempotency-key-reused",
        "etag-mismatch",
        "etag-required",
        "audit-details-too-large",
        "recent-sign-in-required",
    }
)
"""Refusals that depend on what the platform knows, not on the shape of the request."""


@schemathesis.hook
def map_path_parameters(context: Any, path_parameters: Any) -> Any:
    """Every second generated id becomes one that exists: the caller's own or somebody else's."""
    del context
    if not path_parameters:
        return path_parameters
    return {name: _real(name, value) for name, value in path_parameters.items()}


def _real(name: str, value: Any) -> Any:
    try:
        number = int(hashlib.sha256(str(UUID(str(value))).encode()).hexdigest(), 16)
    except ValueError:
        return value
    known = WORLD["ids"].get(name, [])
    return known[number // 2 % len(known)] if known and number % 2 else value


@schemathesis.check
def answers_hold_nothing_of_others(ctx: CheckContext, response: Response, case: Any) -> None:
    """No answer holds another client's data."""
    del ctx
    for text in WORLD["foreign"]:
        # What the caller himself sent may come back, such as an id in the path.
        if text in response.text and text not in json.dumps([case.path_parameters, case.query]):
            raise Failure(
                operation=case.operation.label, title="Another's data", message="was shown"
            )


@schemathesis.check
def fitting_requests_are_refused_by_rules_only(
    ctx: CheckContext, response: Response, case: Any
) -> None:
    """A request that fits the document is not refused for its shape."""
    del ctx
    meta = case.meta
    if meta is None or meta.generation.mode != GenerationMode.POSITIVE:
        return
    if response.status_code not in {400, 415, 422, 428}:
        return
    problem = response.json()
    if problem["code"] in CODES:
        return
    messages = [error["message"] for error in problem.get("errors", [])]
    known = [any(rule in message for rule in RULES) for message in messages]
    if problem["code"] == "invalid-request" and messages and all(known):
        return
    raise Failure(
        operation=case.operation.label,
        title="A fitting request was refused",
        message=json.dumps([problem["code"], problem.get("errors")]),
    )
