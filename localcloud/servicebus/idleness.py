"""`AutoDeleteOnIdle`: deletes entities that nobody used for as long as they allow."""

import asyncio
import logging
from typing import Final

from localcloud.servicebus.broker import path_of_spec
from localcloud.servicebus.entities import now_ms
from localcloud.servicebus.errors import AmqpError
from localcloud.servicebus.namespace import Namespace
from localcloud.servicebus.specs import Spec

log = logging.getLogger(__name__)

SWEEP_S: Final = 15.0


async def delete_idle_for_ever(namespace: Namespace) -> None:
    """Look for idle entities until cancelled."""
    while True:
        await asyncio.sleep(SWEEP_S)
        await delete_idle(namespace, now_ms())


async def delete_idle(namespace: Namespace, now: int) -> None:
    """Delete what has been idle for too long at this time.

    Sending, receiving, and changing an entity count as use; so does its start with the broker.
    """
    for path in idle(namespace, now):
        try:
            await namespace.delete(path)
            log.info("%s was idle for too long and is deleted", path)
        except AmqpError as error:
            log.warning("%s is idle, but stays: %s", path, error.description)


def idle(namespace: Namespace, now: int) -> list[str]:
    """The paths of the entities that are idle for too long, subscriptions before their topics."""
    found = []
    for described in namespace.all(Spec):
        path = path_of_spec(described.spec)
        entity, queue = namespace.broker.entity(path), namespace.broker.queue(path)
        patience = described.spec.idle_ms
        if entity is None or patience is None or (queue is not None and queue.in_use()):
            continue
        if now - max(entity.used_at_ms, described.updated_at_ms) >= patience:
            found.append(path)
    return sorted(found, reverse=True)
