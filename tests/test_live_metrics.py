"""What `webcam --metrics` serves: the loop's own counts, on this machine alone."""

import socket
import urllib.request
from types import SimpleNamespace

import pytest
from helpers.live_servers import MJPEGServer, eventually

from action_gru import ActionRecognizer
from action_gru.apps.live_loop import Answer, LiveLoop
from action_gru.core.errors import ConfigError
from action_gru.timeline import Event

prometheus = pytest.importorskip("prometheus_client.parser")
from action_gru.apps.live_metrics import LiveMetrics  # noqa: E402


def read(metrics):
    """The samples of a page: (name, labels as sorted pairs) -> value."""
    with urllib.request.urlopen(metrics.address) as answer:
        text = answer.read().decode()
    families = prometheus.text_string_to_metric_families(text)
    found = [sample for family in families for sample in family.samples]
    return {(one.name, tuple(sorted(one.labels.items()))): one.value for one in found}


def still(name, **changes):
    """A feed whose figures are written down."""
    status = {"state": "live", "frames": 7, "reconnects": 2, "crashes": 1, "fps": 9.5} | changes
    return SimpleNamespace(
        source=SimpleNamespace(name=name, status=SimpleNamespace(**status)),
        stream=SimpleNamespace(restarts=3), rate=SimpleNamespace(warning="slow"), dropped=4,
    )  # fmt: skip


@pytest.fixture
def served():
    """Metrics of two feeds of one name and of a sink; closed at the end."""
    state = SimpleNamespace(name="mqtt", sent=5, waiting=1, dropped=2, down="no route")
    sinks = SimpleNamespace(status=lambda: [state])
    loop = SimpleNamespace(feeds=[still("cam"), still("cam", state="lost")])
    metrics = LiveMetrics(0, loop, sinks)
    yield metrics
    metrics.close()


def test_each_source_and_sink_has_its_figures(served):
    found = read(served)
    one, other = (("source", "cam"),), (("source", "cam (2)"),)
    expected = {"frames": 7, "dropped": 4, "reconnects": 2, "restarts": 3, "decoder_crashes": 1}
    for name, value in expected.items():
        assert found[f"action_gru_{name}_total", one] == value
    assert found["action_gru_source_live", one] == 1
    assert found["action_gru_source_live", other] == 0
    assert found["action_gru_source_fps", one] == 9.5
    assert found["action_gru_source_too_slow", one] == 1
    sink = (("sink", "mqtt"),)
    assert found["action_gru_messages_sent_total", sink] == 5
    assert found["action_gru_messages_dropped_total", sink] == 2
    assert found["action_gru_messages_waiting", sink] == 1
    assert found["action_gru_sink_up", sink] == 0
    assert found["process_resident_memory_bytes", ()] > 1e6
    assert found["process_open_fds", ()] > 3


def test_answers_are_counted_with_their_latency_and_events_by_label(served):
    feed = still("cam")
    served.count(Answer(feed, (Event("wave", 1.0, 2.0, 0.9),), 0.03))
    served.count(Answer(feed, ()))  # a source that is over has no answer
    found = read(served)
    assert found["action_gru_predictions_total", (("source", "cam"),)] == 1
    assert found["action_gru_events_total", (("label", "wave"),)] == 1
    assert found["action_gru_latency_seconds_count", ()] == 1
    assert found["action_gru_latency_seconds_bucket", (("le", "0.025"),)] == 0
    assert found["action_gru_latency_seconds_bucket", (("le", "0.05"),)] == 1


def test_only_this_machine_can_ask_and_a_port_that_is_taken_is_named(served):
    assert served._server.server_address[0] == "127.0.0.1"
    with pytest.raises(ConfigError, match=rf"--metrics {served.port}: the port is taken; give"):
        LiveMetrics(served.port, SimpleNamespace(feeds=[]))


def test_after_close_nobody_answers():
    metrics = LiveMetrics(0, SimpleNamespace(feeds=[]))
    metrics.close()
    with (
        pytest.raises(ConnectionRefusedError),
        socket.create_connection(("127.0.0.1", metrics.port), 2),
    ):
        pass


@pytest.mark.slow
def test_the_page_says_what_the_loop_says_at_its_end(small_run):
    recognizer = ActionRecognizer.load(small_run.path, device="cpu")
    with MJPEGServer() as server, LiveLoop(recognizer, [server.url]) as loop:
        metrics = LiveMetrics(0, loop)
        turns = loop.turns()

        def step():
            for answer in next(turns):
                metrics.count(answer)
            return loop.predictions

        assert eventually(lambda: step() >= 10)
        found, said = read(metrics), loop.summary()
        source = (("source", server.url),)
        assert found["action_gru_predictions_total", source] == said["predictions"]
        assert found["action_gru_latency_seconds_count", ()] == said["predictions"]
        assert found["action_gru_frames_total", source] >= 10
        metrics.close()
