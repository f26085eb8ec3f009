"""Every column of the migrated database stands in the data map, and nothing else does."""

import psycopg

from shared.pii.columns import TABLES

COLUMNS = """
    SELECT n.nspname || '.' || r.relname AS relation, a.attname AS name
    FROM pg_class AS r
    JOIN pg_namespace AS n ON n.oid = r.relnamespace
    JOIN pg_attribute AS a ON a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped
    WHERE r.relkind IN ('r', 'p', 'm', 'f') AND NOT r.relispartition
        AND n.nspname NOT LIKE 'pg\\_%' AND n.nspname <> 'information_schema'
    ORDER BY relation, a.attnum
    LIMIT 10000
"""


def test_every_column_is_classified_once_and_every_classified_column_is_there(
    database_url: str,
) -> None:
    with psycopg.connect(database_url) as connection:
        there = sorted(f"{relation}.{name}" for relation, name in connection.execute(COLUMNS))

    mapped = sorted(
        f"{name}.{column}" for name, table in TABLES.items() for column in table.columns()
    )

    assert len(there) > 200
    assert mapped == there


def test_no_column_is_named_under_two_categories() -> None:
    for name, table in TABLES.items():
        named = [c for names in (*table.personal.values(), table.others) for c in names.split()]
        assert len(named) == len(set(named)), name
