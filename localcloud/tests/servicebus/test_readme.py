"""The table of features in the README says what tests hold."""

import re
from pathlib import Path

FOLDER = Path(__file__).parent
README = FOLDER.parents[1] / "servicebus" / "README.md"
CELL = re.compile(r'\[yes\]\(\.\./tests/servicebus/(test_\w+\.py) "(test_\w+)"\)')
NO = "not in this SDK"


def rows() -> list[list[str]]:
    table = README.read_text(encoding="utf-8").partition("|---|---|---|\n")[2].partition("\n\n")[0]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]


def names_in(file: str) -> set[str]:
    return set(re.findall(r"^(?:async )?def (test_\w+)", (FOLDER / file).read_text(), re.MULTILINE))


def test_every_yes_of_the_table_is_a_test() -> None:
    found = rows()
    assert len(found) > 30
    for feature, *cells in found:
        assert len(cells) == 2, feature
        for cell in cells:
            match = CELL.fullmatch(cell)
            assert match or cell == NO, (feature, cell)
            assert match is None or match[2] in names_in(match[1]), (feature, cell)


def test_every_test_of_the_second_client_is_in_the_table() -> None:
    named = {match[2] for row in rows() for match in map(CELL.fullmatch, row) if match}
    for file in ("test_javascript.py", "test_javascript_entities.py"):
        assert names_in(file) - named == set(), file
