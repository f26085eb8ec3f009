"""The table of what is held by tests."""

import subprocess
import sys

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
