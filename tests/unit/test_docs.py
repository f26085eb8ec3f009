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


def test_the_reference_pages_are_what_the_code_says(tmp_path: Path) -> None:
    script = (
        "import sys; sys.path.insert(0, 'docs'); import reference, pathlib; reference.load();"
        f"[pathlib.Path({str(tmp_path)!r}, n).write_text(p()) for n, p in reference.PAGES.items()]"
    )
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=True)

    for page in ("api.md", "problems.md"):
        assert (ROOT / "docs" / page).read_text() == (tmp_path / page).read_text(), (
            f"docs/{page} is stale: run `make docs`"
        )


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
