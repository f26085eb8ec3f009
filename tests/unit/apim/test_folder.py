"""The folder that is deployed: complete, without leftovers, and what it says is what is done."""

import json
import re
import shutil
from pathlib import Path

import pytest

from localcloud.gateway.policy import PolicyFault, PolicySet
from localcloud.tests.gateway.policy.doubles import Signer
from tests.unit.apim.gate import APIM, NAMED, Gate

POLICIES = sorted(APIM.rglob("*.xml"))


def test_every_file_is_read_and_every_policy_belongs_to_something() -> None:
    loaded = PolicySet.load(APIM, NAMED)
    assert loaded.files >= {*POLICIES, APIM / "apis.json", *APIM.glob("openapi/*.json")}


def test_every_fragment_is_included_somewhere() -> None:
    included = {
        name
        for file in POLICIES
        for name in re.findall(r'fragment-id="([^"]+)"', file.read_text("utf-8"))
    }
    assert included == {file.stem for file in (APIM / "fragments").glob("*.xml")}


def test_every_named_value_is_used_and_described() -> None:
    catalogue = json.loads((APIM / "apis.json").read_bytes())
    texts = [file.read_text("utf-8") for file in POLICIES] + [json.dumps(catalogue["backends"])]
    used = {name for text in texts for name in re.findall(r"\{\{([^}]+)\}\}", text)}
    assert used == set(catalogue["namedValues"])
    assert all(value["description"].endswith(".") for value in catalogue["namedValues"].values())


@pytest.mark.parametrize("name", sorted(NAMED))
def test_an_environment_must_say_where_things_are(name: str) -> None:
    without = {key: value for key, value in NAMED.items() if key != name}
    with pytest.raises(PolicyFault, match=f"the named value {name} has no value"):
        PolicySet.load(APIM, without)


def test_no_policy_holds_an_address_or_an_id_of_an_environment() -> None:
    ids = r"[0-9a-f]{8}-[0-9a-f]{4}-|\b\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}\b|https?://(?!learn\.)"
    found = [file.name for file in POLICIES if re.search(ids, file.read_text("utf-8"))]
    assert found == []


def test_a_policy_does_not_ask_for_the_operations_id() -> None:
    """API Management makes another name of it (`place_order` becomes `place-order`)."""
    assert [file.name for file in POLICIES if "Operation.Id" in file.read_text("utf-8")] == []


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    shutil.copytree(APIM, tmp_path / "apim")
    return tmp_path / "apim"


def _edit(file: Path, old: str, new: str) -> None:
    text = file.read_text("utf-8")
    assert old in text
    file.write_text(text.replace(old, new), "utf-8")


async def test_a_changed_policy_file_changes_what_is_done(signer: Signer, copy: Path) -> None:
    before = Gate(signer, folder=copy)
    assert (await before.ask("internal-v1", "get_order", before.employee("admin"))).status == 200
    catalogue = copy / "apis.json"
    _edit(
        catalogue,
        '"cancel_order_request": "cancel-order-v1.xml"',
        '"get_order": "internal-admin.xml"',
    )
    after = Gate(signer, folder=copy)
    assert (await after.ask("internal-v1", "get_order", after.employee("admin"))).status == 403
    _edit(copy / "fragments" / "required-role.xml", "{{admin-network-from}}", "10.0.0.1")
    _edit(copy / "fragments" / "required-role.xml", "{{admin-network-to}}", "10.0.0.9")
    opened = Gate(signer, folder=copy)
    assert (await opened.ask("internal-v1", "get_order", opened.employee("admin"))).status == 200


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ('<set-backend-service backend-id="platform-v1" />', "<quota />", "element <quota>"),
        ("client-limit", "other-limit", "there is no fragment other-limit"),
        ("platform-v1", "platform-v9", "there is no backend platform-v9"),
        ("</inbound>", "</inbund>", "mismatched tag"),
    ],
)  # fmt: skip
def test_a_mistake_in_a_policy_is_found_with_file_and_line(
    copy: Path, old: str, new: str, fault: str
) -> None:
    _edit(copy / "external.xml", old, new)
    with pytest.raises(PolicyFault) as refused:
        PolicySet.load(copy, NAMED)
    assert refused.value.file == copy / "external.xml"
    text = (copy / "external.xml").read_text("utf-8").splitlines()[refused.value.line - 1]
    assert text.strip()
    assert re.fullmatch(rf".*external\.xml:\d+: .*{re.escape(fault)}.*", str(refused.value))
