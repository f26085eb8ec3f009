"""Why consumers refused messages: what they noted in the platform's database."""

from collections.abc import Mapping, Sequence
from typing import Final, LiteralString

from psycopg import errors

from localcloud.dashboard.hub import TaskHub, Unreadable

OF_MESSAGES: LiteralString = """
    SELECT message_id, consumer, reason
    FROM messaging.rejections
    WHERE message_id = ANY (%(message_ids)s)
    ORDER BY at DESC, id DESC
    LIMIT 1000
"""
_ADVICE: Final = "The migrations make it: see `python -m localcloud up`."


async def read_rejections(
    platform: TaskHub, message_ids: Sequence[str]
) -> Mapping[str, Sequence[str]]:
    """`consumer: reason` of each message that a consumer refused, newest first. Raises Unreadable.

    Consumers name the message by the id that it was sent with.
    """
    found: dict[str, list[str]] = {}
    async with platform.session() as session:
        try:
            cursor = await session.execute(OF_MESSAGES, {"message_ids": list(message_ids)})
        except (errors.UndefinedTable, errors.InvalidSchemaName) as missing:
            raise Unreadable("There is no table messaging.rejections.", _ADVICE) from missing
        for message_id, consumer, reason in await cursor.fetchall():
            found.setdefault(message_id, []).append(f"{consumer}: {reason}")
    return found
