"""What a server counts, in the text form that Prometheus reads."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)

NAMESPACE = "action_gru"
SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
PATHS = ("/classify", "/timeline", "/stream", "/health", "/models", "/metrics", "/openapi.json")
CONTENT_TYPE = CONTENT_TYPE_LATEST


class Metrics:
    """Of one server: each has a registry of its own."""

    def __init__(self, waiting: Callable[[], float]) -> None:
        """waiting: how many clips are in the server now."""
        self.registry = CollectorRegistry()
        disable_created_metrics()  # type: ignore[no-untyped-call] # a line more for each, which hardly anybody reads
        for collector in (ProcessCollector, PlatformCollector, GCCollector):
            collector(registry=self.registry)
        self.requests = self._counter("requests", "Requests that were answered.", "path", "status")
        self.predictions = self._counter("predictions", "Answers of a model.", "model")
        self.frames = self._counter("frames", "Frames that came over a web socket.")
        self.dropped = self._counter("dropped", "Samples that a newer one replaced.")
        self.restarts = self._counter("restarts", "Streams that began afresh after a gap.")
        self.events = self._counter("events", "Finished events of streams and timelines.", "label")
        self.latency = self._histogram(
            "latency_seconds", "From a frame's arrival to its answer.", SECONDS
        )
        self.requests_s = self._histogram(
            "request_seconds", "From a clip's request to its answer.", SECONDS
        )
        self.batch = self._histogram(
            "batch_clips", "Clips that were read together.", (1, 2, 4, 8, 16, 32)
        )
        self.streams = self._gauge("streams", "Web sockets that are open.")
        self._gauge("queue_length", "Clips that are received, wait or are read.").set_function(
            waiting
        )

    def hear(self, path: str, status: int) -> None:
        """Count an answer. Paths that are none of ours are one, so that nobody can make more."""
        first = f"/{path.split('/')[1]}" if path.startswith("/") else path
        self.requests.labels(first if first in PATHS else "other", str(status)).inc()

    def text(self) -> bytes:
        return generate_latest(self.registry)

    def _counter(self, name: str, about: str, *labels: str) -> Counter:
        return Counter(name, about, labels, namespace=NAMESPACE, registry=self.registry)

    def _histogram(self, name: str, about: str, buckets: tuple[float, ...]) -> Histogram:
        return Histogram(name, about, namespace=NAMESPACE, registry=self.registry, buckets=buckets)

    def _gauge(self, name: str, about: str) -> Gauge:
        return Gauge(name, about, namespace=NAMESPACE, registry=self.registry)
