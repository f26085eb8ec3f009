"""Migrations use nothing that the managed database does not allow."""

import json
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CREATED = re.compile(r"^\s*CREATE EXTENSION (?:IF NOT EXISTS )?(\w+)", re.MULTILINE)


def test_only_listed_extensions_are_created() -> None:
    listed = json.loads((ROOT / "infra" / "postgres.extensions.json").read_text())["extensions"]
    created = {
        name
        for migration in (ROOT / "migrations").glob("*.sql")
        for name in CREATED.findall(migration.read_text())
    }

    assert created == set(listed)


def test_every_migration_has_a_number_of_its_own() -> None:
    numbers = sorted(path.name[:4] for path in (ROOT / "migrations").glob("*.sql"))

    assert numbers == [f"{number:04}" for number in range(1, len(numbers) + 1)]
