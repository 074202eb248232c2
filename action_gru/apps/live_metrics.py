"""What a live loop counts, as text that Prometheus reads, on this machine alone.

Most figures are read from the loop when somebody asks: watching costs the loop nothing.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from action_gru.apps.live_loop import Answer, Feed, LiveLoop
from action_gru.core.errors import ConfigError, MissingExtraError

try:
    from prometheus_client import (
        CollectorRegistry,
        Counter,
        GCCollector,
        Histogram,
        PlatformCollector,
        ProcessCollector,
        start_http_server,
    )
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
    from prometheus_client.registry import Collector
except ImportError as error:
    raise MissingExtraError("prometheus_client", "serve", "--metrics") from error

if TYPE_CHECKING:
    from action_gru.apps.sinks.events import EventSinks

Figures = dict[str, tuple[Callable[[Feed], float], str]]
HOST = "127.0.0.1"
NAMESPACE = "action_gru"
SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
COUNTED: Figures = {  # of each source: how it is counted, and what it is
    "frames": (lambda feed: feed.source.status.frames, "Frames that came."),
    "dropped": (lambda feed: feed.dropped, "Samples that a newer one replaced."),
    "reconnects": (lambda feed: feed.source.status.reconnects, "How often it was lost and back."),
    "restarts": (lambda feed: feed.stream.restarts, "How often its state began afresh."),
    "decoder_crashes": (lambda feed: feed.source.status.crashes, "Decoders that ended."),
}
MEASURED: Figures = {
    "source_live": (lambda feed: feed.source.status.state == "live", "1: frames come."),
    "source_fps": (lambda feed: feed.source.status.fps, "Frames a second, lately."),
    "source_too_slow": (lambda feed: bool(feed.rate.warning), "1: too seldom for the model."),
}


class LiveMetrics:
    """Served at http://127.0.0.1:`port`/metrics until `close`.

    Raises ConfigError for a port that cannot be had, MissingExtraError without the extra.
    """

    def __init__(self, port: int, loop: LiveLoop, sinks: EventSinks | None = None) -> None:
        """port 0: any free one."""
        registry = CollectorRegistry()
        for collector in (ProcessCollector, PlatformCollector, GCCollector):
            collector(registry=registry)
        registry.register(_Sources(loop.feeds, sinks))
        words: Any = {"namespace": NAMESPACE, "registry": registry}
        self._predictions = Counter("predictions", "Answers of the model.", ["source"], **words)
        self._events = Counter("events", "Finished events.", ["label"], **words)
        about = "From a frame's arrival to its answer."
        self._latency = Histogram("latency_seconds", about, buckets=SECONDS, **words)
        try:
            self._server, self._thread = start_http_server(port, HOST, registry)
        except (OSError, OverflowError) as error:
            taken = getattr(error, "errno", None) == errno.EADDRINUSE
            why = "the port is taken" if taken else str(error)
            raise ConfigError(
                f"--metrics {port}: {why}; give another port, or 0 for any free one"
            ) from error
        self.port = int(self._server.server_port)
        self.address = f"http://{HOST}:{self.port}/metrics"

    def count(self, answer: Answer) -> None:
        """Take in what one sample gave."""
        for event in answer.ended:
            self._events.labels(event.label).inc()
        if answer.latency_s is not None:
            self._predictions.labels(answer.feed.source.name).inc()
            self._latency.observe(answer.latency_s)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Sources(Collector):
    """The state of the sources and sinks at the moment somebody asks."""

    def __init__(self, feeds: list[Feed], sinks: EventSinks | None) -> None:
        self._feeds, self._sinks = feeds, sinks

    def collect(self) -> Iterator[Metric]:
        for name, (count, about) in COUNTED.items():
            counter = CounterMetricFamily(f"{NAMESPACE}_{name}", about, labels=["source"])
            for source, feed in self._named():
                counter.add_metric([source], count(feed))
            yield counter
        for name, (measure, about) in MEASURED.items():
            gauge = GaugeMetricFamily(f"{NAMESPACE}_{name}", about, labels=["source"])
            for source, feed in self._named():
                gauge.add_metric([source], float(measure(feed)))
            yield gauge
        if self._sinks is not None:
            yield from self._of_sinks(self._sinks)

    def _named(self) -> Iterator[tuple[str, Feed]]:
        """Each source under a name of its own: one may be given twice."""
        names = [feed.source.name for feed in self._feeds]
        for number, feed in enumerate(self._feeds):
            again = names[:number].count(names[number])
            yield names[number] + (f" ({again + 1})" if again else ""), feed

    def _of_sinks(self, sinks: EventSinks) -> Iterator[Metric]:
        sent, dropped = (
            CounterMetricFamily(f"{NAMESPACE}_messages_{what}", about, labels=["sink"])
            for what, about in (("sent", "Delivered."), ("dropped", "Lost: beyond the limit."))
        )
        waiting, up = (
            GaugeMetricFamily(f"{NAMESPACE}_{what}", about, labels=["sink"])
            for what, about in (("messages_waiting", "To be sent."), ("sink_up", "1: it takes."))
        )
        for state in sinks.status():
            sent.add_metric([state.name], state.sent)
            dropped.add_metric([state.name], state.dropped)
            waiting.add_metric([state.name], state.waiting)
            up.add_metric([state.name], float(not state.down))
        yield from (sent, dropped, waiting, up)
