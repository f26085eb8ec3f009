"""Decides what a link that a client asks for leads to, and whether it may."""

from typing import TYPE_CHECKING, Final

from localcloud.servicebus import cbs
from localcloud.servicebus.broker import disabled, entity_path
from localcloud.servicebus.consuming import ConsumeLink, SessionLink
from localcloud.servicebus.entities import GIVES_NONE, TAKES_NONE, now_ms
from localcloud.servicebus.errors import (
    NOT_ALLOWED,
    NOT_FOUND,
    NOT_IMPLEMENTED,
    UNAUTHORIZED,
    AmqpError,
)
from localcloud.servicebus.links import Link, Node, ReplyLink, RequestLink
from localcloud.servicebus.management import CbsNode, ManagementNode
from localcloud.servicebus.performatives import Attach
from localcloud.servicebus.publishing import PublishLink
from localcloud.servicebus.session_queues import SessionQueue

if TYPE_CHECKING:
    from localcloud.servicebus.session import Session

MANAGEMENT_SUFFIX: Final = "/$management"
COORDINATOR: Final = 0x30


def open_link(session: "Session", attach: Attach) -> Link:
    """The link that the peer asks for.

    Raises AmqpError when it needs a token, leads nowhere, or asks for what is not supported.
    """
    path = path_of(attach)
    if attach.target.code == COORDINATOR:
        raise AmqpError(
            NOT_IMPLEMENTED,
            f"Transactions are not offered: the link '{attach.name}' asks for their coordinator.",
        )
    if path == cbs.ADDRESS:
        return _node_link(session, attach, path, CbsNode(session.connection))
    if not session.connection.gate.allows(path):
        raise unauthorized(path)
    if path.endswith(MANAGEMENT_SUFFIX):
        return _node_link(session, attach, path, _management(session, path))
    right: cbs.Right = "Listen" if attach.peer_receives else "Send"
    if not session.connection.gate.allows(path, right):
        raise AmqpError(
            UNAUTHORIZED,
            f"Unauthorized access. '{right}' claim(s) are required to perform this operation."
            f" Resource: '{path}'.",
        )
    return (
        _receiving(session, attach, path)
        if attach.peer_receives
        else _sending(session, attach, path)
    )


def _management(session: "Session", path: str) -> ManagementNode:
    entity = path.removesuffix(MANAGEMENT_SUFFIX)
    found = session.connection.broker.entity(entity)
    if found is None:
        raise _not_found(entity)
    return ManagementNode(session.connection.namespace, found)


def _receiving(session: "Session", attach: Attach, path: str) -> Link:
    queue = session.connection.broker.queue(path)
    if queue is None:
        raise _not_found(path)
    queue.used_at_ms = now_ms()
    if queue.status in GIVES_NONE:
        raise disabled(path)
    if queue.forward_to is not None:
        raise AmqpError(
            NOT_ALLOWED, f"'{path}' forwards its messages to '{queue.forward_to.name}'."
        )
    if isinstance(queue, SessionQueue) and attach.session is not None:
        return SessionLink(session, attach, queue, attach.session)
    if isinstance(queue, SessionQueue):
        raise AmqpError(
            NOT_ALLOWED,
            "It is not possible for an entity that requires sessions to create a non-sessionful "
            "message receiver.",
        )
    if attach.session is not None:
        raise AmqpError(
            NOT_ALLOWED,
            "A sessionful message receiver cannot be created on an entity that does not require "
            "sessions.",
        )
    return ConsumeLink(session, attach, queue)


def _sending(session: "Session", attach: Attach, path: str) -> Link:
    entity = session.connection.broker.entity(path)
    if entity is None:
        raise _not_found(path)
    if not session.connection.broker.accepts(path):
        raise AmqpError(NOT_ALLOWED, "Messages are sent to queues and topics.")
    if entity.status in TAKES_NONE:
        raise disabled(path)
    return PublishLink(session, attach, entity)


def _node_link(session: "Session", attach: Attach, path: str, node: Node) -> Link:
    if attach.peer_receives:
        return ReplyLink(session, attach, path)
    return RequestLink(session, attach, path, node)


def path_of(attach: Attach) -> str:
    """The path of the entity or node at the broker's end of a link."""
    terminus = attach.source if attach.peer_receives else attach.target
    return entity_path(terminus.address or "")


def _not_found(path: str) -> AmqpError:
    return AmqpError(NOT_FOUND, f"The messaging entity '{path}' could not be found.")


def unauthorized(path: str) -> AmqpError:
    return AmqpError(
        UNAUTHORIZED, f"Unauthorized access: '{path}' needs a valid token that has not expired."
    )
