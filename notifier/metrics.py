"""What the notifier counts, for Prometheus."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.process_collector import ProcessCollector

LAG_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)


class Metrics:
    """One set per process."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self.connections = Gauge(
            "notifier_connections", "Clients connected", ["transport"], registry=registry
        )
        self.closed = Counter(
            "notifier_closed", "Connections that ended", ["transport", "reason"], registry=registry
        )
        self.sent = Counter(
            "notifier_sent", "Messages put into clients' queues", ["transport"], registry=registry
        )
        self.dropped = Counter(
            "notifier_dropped", "Messages dropped with a slow client's queue", registry=registry
        )
        self.resyncs = Counter(
            "notifier_resyncs",
            "Clients told to fetch what is missing",
            ["reason"],
            registry=registry,
        )
        self.invocations = Counter(
            "notifier_invocations", "Hub methods called", ["method", "outcome"], registry=registry
        )
        self.entries = Counter(
            "notifier_feed_entries", "Entries of the feed", ["outcome"], registry=registry
        )
        self.lag = Histogram(
            "notifier_feed_lag_seconds",
            "From Redis taking an entry to its being in the clients' queues",
            buckets=LAG_BUCKETS,
            registry=registry,
        )
        self.feed_connected = Gauge(
            "notifier_feed_connected", "Whether the feed can be read", registry=registry
        )
        self._queue_bytes = Gauge(
            "notifier_queue_bytes", "Bytes that wait in clients' queues", registry=registry
        )

    def watch_queues(self, waiting: Callable[[], float]) -> None:
        """Ask `waiting` for the bytes in queues whenever the metrics are read."""
        self._queue_bytes.set_function(waiting)

    def text(self) -> bytes:
        """In Prometheus's text format."""
        return generate_latest(self.registry)
