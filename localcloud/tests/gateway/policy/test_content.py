"""`validate-parameters` and `validate-content`: requests as their description says."""

import pytest

from localcloud.gateway.policy import PolicyFault, Violation
from localcloud.tests.gateway.policy.doubles import FixedBody
from localcloud.tests.gateway.policy.stage import Stage, Staged, section

PARAMETERS = "learn:azure/api-management/validate-parameters-policy"
CONTENT = "learn:azure/api-management/validate-content-policy"
JSON = {"Content-Type": "application/json; charset=utf-8"}


def parameters(inner: str = "", *, specified: str = "prevent", unspecified: str = "prevent") -> str:
    return section(
        inbound=f'<base/><validate-parameters specified-parameter-action="{specified}"'
        f' unspecified-parameter-action="{unspecified}">{inner}</validate-parameters>'
    )


UNKNOWN = Violation("query", "colour", "not described", specified=False)
WRONG = Violation("query", "size", "must be an integer", specified=True)
PATH = Violation("path", "id", "must be a UUID", specified=True)
HEADER = Violation("headers", "X-Odd", "not described", specified=False)


@pytest.mark.conforms(
    "validate-parameters", "each action by place, specified or not, and by name", source=PARAMETERS
)
@pytest.mark.parametrize(
    ("policy", "violation", "status"),
    [
        (parameters(), UNKNOWN, 400),
        (parameters(), WRONG, 400),
        (parameters(), PATH, 400),
        (parameters(unspecified="ignore"), UNKNOWN, 200),
        (parameters(specified="detect"), WRONG, 200),
        (parameters('<query unspecified-parameter-action="ignore"/>'), UNKNOWN, 200),
        (parameters('<query unspecified-parameter-action="ignore"/>'), WRONG, 400),
        (parameters('<query><parameter name="Colour" action="ignore"/></query>'), UNKNOWN, 200),
        (parameters('<headers unspecified-parameter-action="ignore"/>'), HEADER, 200),
        (
            parameters(
                '<headers unspecified-parameter-action="ignore">'
                '<parameter name="x-odd" action="prevent"/></headers>'
            ),
            HEADER,
            400,
        ),
    ],
)
async def test_validate_parameters(
    staged: Staged, policy: str, violation: Violation, status: int
) -> None:
    stage = staged(api=policy)
    stage.services.contract.violations = [violation]
    assert (await stage.ask()).status == status
    assert len(stage.services.upstream.sent) == (1 if status == 200 else 0)


async def test_places_that_are_ignored_are_not_even_looked_at(staged: Staged) -> None:
    stage = staged(
        api=parameters(
            '<headers specified-parameter-action="ignore" unspecified-parameter-action="ignore"/>'
        )
    )
    await stage.ask()
    assert stage.services.contract.places == {"query", "path"}


@pytest.mark.conforms(
    "validate-parameters",
    "the client is told the public message",
    source=f"{CONTENT}#validation-errors",
)
async def test_the_parameter_is_named_and_its_value_is_not(staged: Staged) -> None:
    stage = staged(api=parameters())
    stage.services.contract.violations = [WRONG]
    context = stage.context(query="size=secret")
    await stage.run(context)
    assert context.last_error is not None
    assert (context.last_error.source, context.last_error.message) == (
        "validate-parameters",
        (
            "The value of the query parameter size does not conform to the definition. "
            "must be an integer"
        ),
    )
    stage.services.contract.violations = [UNKNOWN]
    context = stage.context()
    await stage.run(context)
    assert context.last_error is not None
    assert context.last_error.message == "Unspecified query parameter colour is not allowed."


def content(action: str = "prevent", unspecified: str = "prevent") -> str:
    return section(
        inbound=f'<base/><validate-content unspecified-content-type-action="{unspecified}"'
        ' max-size="20" size-exceeded-action="prevent">'
        f'<content type="application/json" validate-as="json" action="{action}"/>'
        "</validate-content>"
    )


async def refused(stage: Stage, body: bytes, headers: dict[str, str]) -> str:
    context = stage.context(method="POST", body=body, headers=headers)
    answer = await stage.run(context)
    assert answer.status == 400
    assert stage.services.upstream.sent == []
    assert context.last_error is not None
    assert context.last_error.source == "validate-content"
    return context.last_error.message


@pytest.mark.conforms(
    "validate-content", "400 when prevented in the inbound section", source=CONTENT
)
async def test_a_body_of_another_type_or_size_or_shape_is_refused(staged: Staged) -> None:
    stage = staged(api=content())
    assert (
        await refused(stage, b"<a/>", {"Content-Type": "text/XML"})
        == "Unspecified content type text/xml is not allowed."
    )
    assert await refused(stage, b"{}", {}) == "Unspecified content type  is not allowed."
    assert await refused(stage, b"x" * 21, JSON) == "Request's body exceeds the limit of 20 bytes."
    assert stage.services.contract.seen == []
    stage.services.contract.body = Violation(
        "body", "/lines/0", "must be an object", specified=True
    )
    assert (await refused(stage, b"[]", JSON)).endswith(
        "application/json. /lines/0: must be an object"
    )
    stage.services.contract.body = Violation("body", "", "", specified=True, reason="malformed")
    assert (
        await refused(stage, b"[", JSON)
        == "Body of the request cannot be validated for the content type application/json."
    )


async def test_a_good_body_is_read_once_and_sent_byte_for_byte(staged: Staged) -> None:
    stage = staged(api=content())
    body = b'{"a":  1}'
    assert (await stage.ask(method="POST", body=body, headers=JSON)).status == 200
    assert stage.services.contract.seen == [body]
    assert stage.services.upstream.sent[0].body == body


@pytest.mark.parametrize("headers", [{}, {"Content-Length": "0"}, JSON])
async def test_a_request_without_a_body_has_nothing_to_look_at(
    staged: Staged, headers: dict[str, str]
) -> None:
    stage = staged(api=content())
    context = stage.context(headers=headers)
    assert (await stage.run(context)).status == 200
    assert stage.services.contract.seen == []


async def test_a_body_of_unknown_length_is_looked_at(staged: Staged) -> None:
    stage = staged(api=content())
    context = stage.context(method="POST", headers={"Transfer-Encoding": "chunked", **JSON})
    context.request.body = FixedBody(b"{}")
    assert (await stage.run(context)).status == 200
    assert stage.services.contract.seen == [b"{}"]


async def test_what_is_only_to_be_detected_is_traced_and_passes(staged: Staged) -> None:
    stage = staged(api=content(action="detect", unspecified="detect"))
    stage.services.contract.body = Violation("body", "/a", "is wrong", specified=True)
    assert (await stage.ask(method="POST", body=b"{}", headers=JSON)).status == 200
    assert (
        await stage.ask(method="POST", body=b"a", headers={"Content-Type": "a/b"})
    ).status == 200
    assert [source for source, *_ in stage.services.traced] == ["validate-content"] * 2


@pytest.mark.conforms("validate-content", "Maximum allowed value: 102,400 bytes", source=CONTENT)
@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('max-size="20"', 'max-size="102401"'),
        ('size-exceeded-action="prevent"', 'size-exceeded-action="ignore"'),
        ('validate-as="json"', 'validate-as="xml"'),
        ('action="prevent"', 'action="deny"'),
    ],
)
def test_a_check_of_content_beyond_the_subset_is_refused(
    staged: Staged, old: str, new: str
) -> None:
    with pytest.raises(PolicyFault):
        staged(api=content().replace(old, new))
