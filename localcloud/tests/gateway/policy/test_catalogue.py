"""`apis.json`: what it must say, and the faults it is refused for."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from localcloud.gateway.policy import Masks, PolicyFault, PolicySet
from localcloud.tests.gateway.policy.stage import Folder, section


def _changed(tmp_path: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    folder = Folder(tmp_path, named={"known": "here"}).written()
    content = json.loads((folder / "apis.json").read_text("utf-8"))
    change(content)
    (folder / "apis.json").write_text(json.dumps(content, indent=1), "utf-8")
    return folder


def test_an_api_is_shown_below_its_path_and_version(tmp_path: Path) -> None:
    api = Folder(tmp_path).load().apis["shop-v1"]
    assert (api.prefix, api.gateway, api.kind, api.document) == (
        "/shop/v1",
        "external",
        "http",
        None,
    )
    assert [(each.id, each.method, each.template) for each in api.operations] == [
        ("look", "GET", "/things/{id}")
    ]


def test_backends_and_masks_are_given_to_the_proxy(tmp_path: Path) -> None:
    loaded = Folder(tmp_path).load()
    assert loaded.backends == {"main": "http://backend.test/api/v1"}
    assert loaded.masks == Masks(frozenset({"cookie"}), frozenset({"q"}))


def test_a_given_value_wins_over_the_declared_one(tmp_path: Path) -> None:
    folder = Folder(
        tmp_path,
        api=section(inbound="<base/><set-backend-service backend-id='{{which}}'/>"),
        named={"which": "none such"},
    )
    with pytest.raises(PolicyFault, match="no backend none such"):
        folder.load()
    assert folder.load(which="main").pipeline("shop-v1", "look")


def test_an_unknown_operation_has_no_pipeline(tmp_path: Path) -> None:
    with pytest.raises(KeyError):
        Folder(tmp_path).load().pipeline("shop-v1", "other")


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (
            lambda c: c["namedValues"]["known"].pop("value"),
            "apis.json:3: the named value known has",
        ),
        (lambda c: c["apis"][0].pop("policy"), "apis.0.policy: Field required"),
        (lambda c: c["apis"][0].update(colour="red"), "apis.0.colour: Extra inputs"),
        (lambda c: c["apis"][0].update(versionSet="other"), "a version belongs to a version set"),
        (lambda c: c["backends"]["main"].update(url="{{no}}"), "there is no named value no"),
        (lambda c: c["apis"].append(c["apis"][0]), "two APIs are called shop-v1"),
        (lambda c: c["apis"].append({**c["apis"][0], "name": "other"}), "share /shop/v1"),
        (lambda c: c["apis"][0].update(operationPolicies={"no": "api.xml"}), "has no operation no"),
        (
            lambda c: c["apis"][0]["operations"].append(c["apis"][0]["operations"][0]),
            "has two operations look",
        ),
        (lambda c: c["apis"][0].update(document="none.json"), "none.json cannot be read"),
        (lambda c: c["apis"][0].update(policy="none.xml"), "none.xml:1: cannot be read"),
        (lambda c: c["diagnostics"].update(bodyBytes=512), "diagnostics.bodyBytes"),
    ],
)
def test_a_catalogue_that_does_not_hold_together_is_refused(
    tmp_path: Path, change: Callable[[dict[str, Any]], None], fault: str
) -> None:
    folder = _changed(tmp_path, change)
    with pytest.raises(PolicyFault) as refused:
        PolicySet.load(folder, {})
    assert fault in str(refused.value)


@pytest.mark.conforms(
    "WebSocket APIs",
    "WebSocket and HTTP do not share one path",
    source="learn:azure/api-management/websocket-api",
)
def test_a_websocket_and_http_on_one_path_are_refused_with_file_and_line(tmp_path: Path) -> None:
    def change(content: dict[str, Any]) -> None:
        content["apis"][0]["operations"][0]["template"] = "/live"
        content["apis"].append(
            {
                "name": "socket",
                "displayName": "Live",
                "description": "live",
                "gateway": "external",
                "kind": "websocket",
                "path": "shop/v1/live",
                "policy": "api.xml",
            }
        )

    folder = _changed(tmp_path, change)
    with pytest.raises(PolicyFault) as refused:
        PolicySet.load(folder, {})
    assert str(refused.value).endswith(
        "/shop/v1/live is both the WebSocket API socket and HTTP in shop-v1"
    )
    lines = (folder / "apis.json").read_text("utf-8").splitlines()
    assert '"name": "socket"' in lines[refused.value.line - 1]


def test_operations_are_read_from_the_document(tmp_path: Path) -> None:
    folder = _changed(tmp_path, lambda content: content["apis"][0].update(document="shop.json"))
    paths = {"/orders": {"parameters": [], "get": {"operationId": "list_orders"}}}
    (folder / "shop.json").write_text(json.dumps({"paths": paths}), "utf-8")
    loaded = PolicySet.load(folder, {})
    assert loaded.pipeline("shop-v1", "list_orders") is loaded.pipeline("shop-v1", "look")
    assert folder / "shop.json" in loaded.files
    (folder / "shop.json").write_text(json.dumps({"paths": {"/orders": {"get": {}}}}), "utf-8")
    with pytest.raises(PolicyFault, match=r"shop\.json:1: is no OpenAPI document"):
        PolicySet.load(folder, {})


@pytest.mark.parametrize(
    ("text", "fault"),
    [('{\n"a": }', "apis.json:2: "), ('{"a": 1, "a": 2}', "a name stands twice"), ("[]", "valid")],
)
def test_a_catalogue_that_is_no_json_object_is_refused(
    tmp_path: Path, text: str, fault: str
) -> None:
    folder = Folder(tmp_path).written()
    (folder / "apis.json").write_text(text, "utf-8")
    with pytest.raises(PolicyFault) as refused:
        PolicySet.load(folder, {})
    assert fault in str(refused.value)


def test_a_value_for_a_name_that_nobody_declared_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PolicyFault, match="typo is given but not declared"):
        Folder(tmp_path).load(typo="x")
