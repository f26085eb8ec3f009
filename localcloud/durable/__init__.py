"""Durable Functions on PostgreSQL: the back end that Azure's Durable extension would be."""

from localcloud.durable.backend import DurableBackend
from localcloud.durable.binding import client_binding
from localcloud.durable.invocation import Invocation, Invoker
from localcloud.durable.management import management_app

__all__ = ["DurableBackend", "Invocation", "Invoker", "client_binding", "management_app"]
