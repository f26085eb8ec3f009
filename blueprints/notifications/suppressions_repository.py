"""The table notifications.suppressions: addresses, as digests, that nothing more is sent to."""

from collections.abc import Collection

from blueprints.notifications.models import Channel
from shared.db import Transaction

SUPPRESSED_AMONG = """
    SELECT address_digest
    FROM notifications.suppressions
    WHERE channel = %(channel)s AND address_digest = ANY(%(digests)s)
"""
SUPPRESS = """
    INSERT INTO notifications.suppressions (channel, address_digest, reason)
    VALUES (%(channel)s, %(digest)s, %(reason)s)
    ON CONFLICT (channel, address_digest) DO NOTHING
"""


async def suppressed_among(
    tx: Transaction, channel: Channel, digests: Collection[str]
) -> frozenset[str]:
    """Those of `digests` whose address is dead."""
    asked = {"channel": channel, "digests": list(digests)}
    rows = await (await tx.execute(SUPPRESSED_AMONG, asked)).fetchall()
    return frozenset(row[0] for row in rows)


async def suppress(tx: Transaction, channel: Channel, digest: str, reason: str) -> None:
    """Note that the address is dead; the first reason stays. `reason` holds no personal data."""
    await tx.execute(SUPPRESS, {"channel": channel, "digest": digest, "reason": reason})
