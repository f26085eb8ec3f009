"""Reads what is attached to emails."""

import sqlite3

from localcloud.partners.store import Store

CONTENT = """
    SELECT name, content_type, content
    FROM attachments
    WHERE seq = :seq AND number = :number
"""
PICTURES = """
    SELECT content_id, content_type, content
    FROM attachments
    WHERE seq = :seq AND content_id IS NOT NULL AND content_type LIKE 'image/%'
    ORDER BY number
"""


def attachment(store: Store, seq: int, number: int) -> sqlite3.Row | None:
    """Name, type and content of one attachment."""
    rows = store.rows(CONTENT, {"seq": seq, "number": number})
    return rows[0] if rows else None


def pictures(store: Store, seq: int) -> list[sqlite3.Row]:
    """The pictures that the HTML of an email may show, with their content ids."""
    return store.rows(PICTURES, {"seq": seq})
