"""The documents say what the code does."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from shared.config import Settings

ROOT = Path(__file__).resolve().parents[2]
STEP = re.compile(r"\[`(?P<symbol>\w+)`\]\((?P<path>[\w./]+\.py)\)")
LINK = re.compile(r"\]\((?!https?:)(?P<path>[^)#]+)")


def setting_names() -> set[str]:
    return {
        info.validation_alias if isinstance(info.validation_alias, str) else field.upper()
        for field, info in Settings.model_fields.items()
    }


def test_every_setting_is_documented() -> None:
    page = (ROOT / "docs" / "configuration.md").read_text()

    assert set(re.findall(r"^\| `([\w]+)` \|", page, re.MULTILINE)) == setting_names()


def test_the_sample_settings_are_the_documented_ones() -> None:
    values = json.loads((ROOT / "local.settings.sample.json").read_text())["Values"]
    of_the_host = {"FUNCTIONS_WORKER_RUNTIME", "AzureWebJobsStorage"}
    elsewhere = {"KEY_VAULT_URL", "VAULT_ADDR", "VAULT_ROLE", "TRUSTED_CA_FILE"}
    instead_of_a_connection_string = {
        "ServiceBusConnection__fullyQualifiedNamespace",
        "ServiceBusConnection__clientId",
        "CommunicationConnection__endpoint",
        "AuditStorage__blobServiceUri",
    }

    assert values.keys() == (
        (setting_names() | of_the_host) - instead_of_a_connection_string - elsewhere
    )


def test_what_is_generated_is_what_the_code_says(tmp_path: Path) -> None:
    script = (
        "import sys; sys.path.insert(0, 'docs'); import json, reference, pathlib; reference.load();"
        f"pathlib.Path({str(tmp_path / 'all.json')!r})"
        ".write_text(json.dumps([reference.written(), reference.broken()]))"
    )
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=True)
    written, broken = json.loads((tmp_path / "all.json").read_text())

    assert written.keys() == {
        *("docs/api.md", "docs/problems.md", "docs/data-map.md"),
        *("apim/openapi/external.json", "apim/openapi/external-v2.json"),
        *("apim/openapi/internal.json", "apim/openapi/internal-v2.json"),
        "apim/openapi/partners.json",
    }
    stale = [name for name, text in written.items() if (ROOT / name).read_text() != text]
    assert stale == [], "run `make docs`"
    assert broken == [], "this breaks clients: make a new version of the operation"


def test_follow_one_request_leads_to_the_code_it_names() -> None:
    section = (ROOT / "README.md").read_text().split("## Follow one request")[1].split("\n## ")[0]
    steps = STEP.findall(section)

    assert len(steps) >= 12
    for symbol, path in steps:
        source = (ROOT / path).read_text()
        definition = rf"^\s*(?:async def|def|class) {symbol}\b|^{symbol} = "
        defined = re.search(definition, source, re.MULTILINE)
        assert defined, f"{path} defines no {symbol}"


@pytest.mark.parametrize(
    "page",
    [p.relative_to(ROOT).as_posix() for p in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]],
)
def test_links_lead_somewhere(page: str) -> None:
    folder = (ROOT / page).parent
    broken = [
        path for path in LINK.findall((ROOT / page).read_text()) if not (folder / path).exists()
    ]

    assert broken == []


def test_the_makefile_lists_every_target() -> None:
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z]+):", makefile, re.MULTILINE))
    listed = set(re.findall(r"^([a-z]+):.*## ", makefile, re.MULTILINE))

    assert targets == listed
    assert {"run", "test", "demo", "check", "bench", "help"} <= listed
