"""Policy files: how they chain, and what refuses to load with file and line."""

from pathlib import Path

import pytest

from localcloud.gateway.policy import PolicyFault
from localcloud.tests.gateway.policy.stage import FORWARD, GLOBAL, Folder, Staged, section

MARK = '<set-header name="X-Trail" exists-action="append"><value>{}</value></set-header>'


@pytest.mark.conforms(
    "policies",
    "<base/> stands for the policies of the wider scope, wherever it is placed",
    source="learn:azure/api-management/set-edit-policies",
)
async def test_base_puts_the_wider_scopes_policies_where_it_stands(staged: Staged) -> None:
    stage = staged(
        everywhere=section(
            inbound=MARK.format("global"), backend=FORWARD, outbound="", on_error=""
        ),
        api=section(inbound=MARK.format("before") + "<base/>" + MARK.format("after")),
        operation=section(inbound="<base/>" + MARK.format("operation")),
    )
    context = stage.context()
    await stage.run(context)
    assert context.request.headers.values("X-Trail") == ["before", "global", "after", "operation"]


async def test_without_base_a_scope_stands_alone(staged: Staged) -> None:
    stage = staged(
        everywhere=section(
            inbound=MARK.format("global"), backend=FORWARD, outbound="", on_error=""
        ),
        operation=section(inbound=MARK.format("operation")),
    )
    context = stage.context()
    await stage.run(context)
    assert context.request.headers.values("X-Trail") == ["operation"]


async def test_a_fragment_is_inserted_as_it_is(staged: Staged) -> None:
    stage = staged(
        api=section(
            inbound='<base/><include-fragment fragment-id="a"/><choose><when condition="true">'
            '<include-fragment fragment-id="b"/></when></choose>'
        ),
        fragments={
            "a": f"<fragment>{MARK.format('1')}</fragment>",
            "b": f"<fragment>{MARK.format('{{two}}')}</fragment>",
        },
        named={"two": "2"},
    )
    context = stage.context()
    await stage.run(context)
    assert context.request.headers.values("X-Trail") == ["1", "2"]


NESTED = '<include-fragment fragment-id="b"/>'


@pytest.mark.conforms(
    "policies",
    "a policy fragment can't nest another policy fragment",
    source="learn:azure/api-management/policy-fragments",
)
@pytest.mark.parametrize(
    ("inner", "fault"),
    [
        (NESTED, "fragments/a.xml:2: API Management does not nest fragments"),
        (
            f'<choose><when condition="true">{NESTED}</when></choose>',
            "fragments/a.xml:2: API Management does not nest fragments",
        ),
        (" " * 32_768, "fragments/a.xml:1: a fragment has at most 32 KB"),
    ],
)
def test_a_fragment_that_api_management_would_not_take_is_refused(
    tmp_path: Path, inner: str, fault: str
) -> None:
    fragments = {"a": f"<fragment>\n{inner}</fragment>", "b": "<fragment/>"}
    include = '<include-fragment fragment-id="a"/>'
    with pytest.raises(PolicyFault) as refused:
        Folder(tmp_path, api=section(inbound=include), fragments=fragments).load()
    assert fault in str(refused.value)


@pytest.mark.parametrize(
    ("files", "fault"),
    [
        ({"api": section(inbound="<base/>\n<quota/>")}, "api.xml:3: unknown element <quota>"),
        ({"api": "<policies>\n<inbound>\n</policies>"}, "api.xml:3: mismatched tag"),
        ({"api": '<policies>\n<a b="@("c")"/></policies>'}, "api.xml:2: not well-formed"),
        ({"api": "<policy/>"}, "api.xml:1: expected <policies>"),
        ({"api": "<policies><inbound/><outbound/><backend/></policies>"}, "<on-error> is missing"),
        ({"api": "<policies><inbound/><inbound/></policies>"}, "<inbound> stands twice"),
        ({"api": section(inbound="<base/>text")}, "holds text"),
        ({"api": section(outbound="<base/><rewrite-uri template='/'/>")}, "no place in outbound"),
        ({"api": section(inbound=FORWARD)}, "<forward-request> has no place in inbound"),
        ({"api": section(backend=FORWARD + FORWARD)}, "<forward-request> stands once"),
        ({"everywhere": section()}, "global.xml:2: <base/> has nothing to stand for"),
        (
            {"api": section(inbound="<choose><when condition='true'><base/></when></choose>")},
            "<base/> has nothing to stand for",
        ),
        ({"api": section(inbound='<include-fragment fragment-id="no"/>')}, "no fragment no"),
        ({"api": section(outbound='<set-status code="200"/>')}, "<set-status> needs reason"),
        ({"fragments": {"a": "<policies/>"}}, "a.xml:1: expected <fragment>"),
        ({"api": section(inbound="<set-variable name='a'/>")}, "<set-variable> needs value"),
        (
            {"api": section(inbound="<set-variable name='a' value='b' scope='c'/>")},
            "<set-variable> has no attribute scope",
        ),
        (
            {"api": section(inbound="<set-variable name='a' value='{{no}}'/>")},
            "there is no named value no",
        ),
        (
            {"api": section(inbound="<set-variable name='a' value='@{return 1;}'/>")},
            "multi-statement expressions are outside",
        ),
        (
            {"api": section(inbound="\n<set-variable name='a'\n value='@(context.User.Id)'/>")},
            "api.xml:3: Context.User is outside",
        ),
        (
            {"api": section(inbound="<set-variable name='a' value='@(1)&#32;'/>")},
            "starts with @( and ends with )",
        ),
        (
            {
                "api": section(inbound="<set-variable name='a' value='@(\"{{b}}\")'/>"),
                "named": {"b": 'x" + context.RequestId + "'},
            },
            "the named value b would break the expression",
        ),
        (
            {"api": section(inbound="<set-backend-service backend-id='other'/>")},
            "there is no backend other",
        ),
        (
            {"api": section(inbound="<set-header name='a'><value>@(1)</value></set-header>")},
            "the expression gives int, not string",
        ),
    ],
)
def test_a_file_that_cannot_be_executed_is_refused_with_file_and_line(
    tmp_path: Path, files: dict[str, str], fault: str
) -> None:
    with pytest.raises(PolicyFault) as refused:
        Folder(tmp_path, **files).load()  # type: ignore[arg-type]
    assert fault in str(refused.value)


@pytest.mark.parametrize(
    "prolog",
    [
        '<!DOCTYPE policies [<!ENTITY a "b">]>',
        '<!DOCTYPE policies SYSTEM "file:///etc/passwd">',
        "<?php system('id') ?>",
    ],
)
def test_nothing_in_a_policy_file_expands_or_points_outside(tmp_path: Path, prolog: str) -> None:
    with pytest.raises(PolicyFault, match="has no place in a policy"):
        Folder(tmp_path, api=prolog + section()).load()


def test_an_entity_of_ones_own_is_not_known(tmp_path: Path) -> None:
    with pytest.raises(PolicyFault, match=r"api\.xml:2: undefined entity"):
        Folder(tmp_path, api=section(inbound="<base/>&own;")).load()


def test_elements_nested_without_end_are_refused(tmp_path: Path) -> None:
    deep = "<choose><when condition='true'>" * 30 + "</when></choose>" * 30
    with pytest.raises(PolicyFault, match="nested too deeply"):
        Folder(tmp_path, api=section(inbound=deep)).load()


@pytest.mark.conforms(
    "policies",
    "policies that the onHandshake operation does not support are skipped when inherited",
    source="learn:azure/api-management/websocket-api#unsupported-policies",
)
async def test_a_websocket_api_skips_what_it_inherits_and_cannot_do(staged: Staged) -> None:
    stage = staged(
        kind="websocket",
        everywhere=section(
            inbound='<validate-content unspecified-content-type-action="prevent" max-size="10"'
            ' size-exceeded-action="prevent"/>' + MARK.format("kept"),
            backend=FORWARD,
            outbound="",
            on_error="",
        ),
        api=section(inbound="<base/><set-backend-service backend-id='main'/>"),
    )
    await stage.ask(body=b"longer than ten bytes")
    assert stage.services.upstream.sent[0].headers["X-Trail"] == "kept"


def test_a_websocket_api_refuses_such_a_policy_of_its_own(tmp_path: Path) -> None:
    own = section(inbound="<base/><set-body>no</set-body>")
    with pytest.raises(PolicyFault, match="<set-body> is not for WebSocket APIs"):
        Folder(tmp_path, kind="websocket", api=own).load()


def test_the_files_of_a_set_are_known_so_that_they_can_be_watched(tmp_path: Path) -> None:
    loaded = Folder(tmp_path, operation=section(), fragments={"a": "<fragment/>"}).load()
    assert {file.relative_to(tmp_path).as_posix() for file in loaded.files} == {
        "apis.json",
        "global.xml",
        "api.xml",
        "operation.xml",
        "fragments/a.xml",
    }


def test_a_changed_file_changes_what_is_done(tmp_path: Path) -> None:
    folder = Folder(tmp_path, everywhere=GLOBAL)
    first = folder.load().pipeline("shop-v1", "look")
    folder.api = section(inbound="<base/><quota/>")
    with pytest.raises(PolicyFault):
        folder.load()
    folder.api = section()
    assert folder.load().pipeline("shop-v1", "look") is not first
