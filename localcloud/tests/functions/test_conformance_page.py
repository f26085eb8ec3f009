"""The table of what is held by tests."""

import re
import subprocess
import sys
from pathlib import Path

import azure_functions_runtime

from localcloud.tests.conformance import ROOT, Rule, page


def test_the_page_is_what_the_tests_say() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "localcloud.tests.conformance", "--check"],
        check=False,
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=120,
    )

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_rule_names_its_source_and_every_test_that_holds_it() -> None:
    one = Rule(
        "functions", "HTTP", "a | b", "rfc:9110", "localcloud/tests/functions/test_http.py", "one"
    )
    two = Rule(
        "functions", "HTTP", "a | b", "rfc:9110", "localcloud/tests/functions/test_keys.py", "two"
    )
    other = Rule(
        "durable", "Timers", "c", "worker:", "localcloud/tests/durable/test_patterns.py", "three"
    )

    assert page([one, two, other]).splitlines()[6:] == [
        "## Functions host",
        "",
        "### HTTP",
        "",
        "| rule | source | held by |",
        "|---|---|---|",
        (
            "| a \\| b | [rfc: 9110](https://www.rfc-editor.org/rfc/rfc9110) |"
            " [one](tests/functions/test_http.py) · [two](tests/functions/test_keys.py) |"
        ),
        "",
        "## Durable Functions",
        "",
        "### Timers",
        "",
        "| rule | source | held by |",
        "|---|---|---|",
        "| c | `azure_functions_runtime` | [three](tests/durable/test_patterns.py) |",
        "",
    ]


def test_the_readme_lists_settings_that_the_host_reads() -> None:
    """And the section that the page leads to is there."""
    readme = (ROOT / "localcloud" / "README.md").read_text("utf-8")
    table = readme.partition("### Settings that the host reads")[2].partition("\nPorts:")[0]
    names = re.findall(r"\b[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+\b|\bAzure[A-Za-z]+(?=[._]|__)", table)
    folders = [ROOT / "localcloud" / "functions", Path(azure_functions_runtime.__file__).parent]
    code = "".join(file.read_text("utf-8") for f in folders for file in f.rglob("*.py"))

    assert len(names) >= 9
    assert [name for name in names if name not in code] == []
    assert "\n## What differs from Azure\n" in readme
