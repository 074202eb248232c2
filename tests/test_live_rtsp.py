"""Live sources against a real RTSP server (GStreamer's), on loopback."""

import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from helpers.live_servers import Seen, eventually, refusing_port

from action_gru.core.errors import VideoError
from action_gru.video import Frame, LiveSource, VideoWriter

pytestmark = pytest.mark.slow

PYTHON = "/usr/bin/python3"  # the one that has the system's GStreamer
SCRIPT = Path(__file__).parent / "helpers" / "rtsp_server.py"
PACKAGES = "gir1.2-gst-rtsp-server-1.0 python3-gi gstreamer1.0-plugins-good"
LISTS = "import gi; gi.require_version('GstRtspServer', '1.0'); import gi.repository.GstRtspServer"
SETTINGS = {"open_timeout_s": 6.0, "read_timeout_s": 2.0, "backoff_s": (0.2, 1.0)}
STRIPES = 10
Serve = Callable[..., subprocess.Popen[str]]


@pytest.fixture(scope="session")
def numbered_video(tmp_path_factory) -> Path:
    """40 s of H.264 at 25 frames a second; ten stripes spell each frame's number in binary."""
    path = tmp_path_factory.mktemp("rtsp") / "numbered.mp4"
    with VideoWriter(path, (320, 240), 25.0) as writer:
        for index in range(1000):
            bits = [index >> bit & 1 for bit in range(STRIPES)]
            row = np.repeat(np.where(bits, 220, 40).astype(np.uint8), 32)
            writer.write(np.broadcast_to(row[None, :, None], (240, 320, 3)))
    return path


class Numbers(Seen):
    """Also reads each picture's number."""

    def __init__(self) -> None:
        super().__init__()
        self.numbers: list[int] = []

    def __call__(self, frame: Frame) -> None:
        bits = frame.image[120, 16::32, 0] > 130
        self.numbers.append(sum(1 << bit for bit in range(STRIPES) if bits[bit]))
        super().__call__(frame)


@pytest.fixture
def port() -> int:
    return refusing_port()


@pytest.fixture
def serve(port, numbered_video) -> Iterator[Serve]:
    """Starts the server, any number of times."""
    if not Path(PYTHON).exists() or subprocess.run([PYTHON, "-c", LISTS], stderr=-3).returncode:
        pytest.skip(f"no RTSP server here; apt-get install {PACKAGES}")
    running: list[subprocess.Popen[str]] = []

    def start(*users: str) -> subprocess.Popen[str]:
        command = [PYTHON, str(SCRIPT), str(port), str(numbered_video), *users]
        running.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
        assert running[-1].stdout.readline() == "ready\n"
        return running[-1]

    yield start
    for server in running:
        server.kill()
        server.communicate()


def test_an_rtsp_stream_survives_the_end_and_return_of_its_server(serve, port):
    seen = Numbers()
    server = serve()
    with LiveSource(f"rtsp://127.0.0.1:{port}/cam", on_frame=seen, **SETTINGS) as source:
        assert eventually(lambda: len(seen.times_s) >= 50)
        assert source.status.state == "live"
        server.kill()
        server.wait()
        assert eventually(lambda: source.status.attempts >= 2)
        assert source.status.detail.startswith("stream lost, trying again ")
        before = len(seen.times_s)
        serve()
        assert eventually(lambda: len(seen.times_s) >= before + 50)
        assert (source.status.state, source.status.reconnects) == ("live", 1)
        assert eventually(lambda: 15 < source.status.fps < 35)
    assert all(np.diff(seen.times_s) > 0)
    assert seen.times_s[before] - seen.times_s[before - 1] > 0.5
    assert set(seen.sizes_px) == {(320, 240)}
    # The server begins anew; a first picture may come twice, none is wrong or left out. The last
    # one before the cut may lack its lower half.
    for run in (seen.numbers[: before - 2], seen.numbers[before : before + 50]):
        assert list(dict.fromkeys(run)) == list(range(run[-1] + 1))


def test_an_rtsp_server_that_hangs_is_noticed_and_comes_back(serve, port):
    seen = Seen()
    server = serve()
    with LiveSource(f"rtsp://127.0.0.1:{port}/cam", on_frame=seen, **SETTINGS) as source:
        assert eventually(lambda: len(seen.times_s) >= 25)
        server.send_signal(signal.SIGSTOP)
        assert eventually(lambda: source.status.state == "lost")
        before = len(seen.times_s)
        server.send_signal(signal.SIGCONT)
        # A connection counts before its first picture: wait for that one.
        assert eventually(lambda: len(seen.times_s) > before)
        assert (source.status.state, source.status.reconnects) == ("live", 1)
    silence_s = seen.times_s[before] - seen.times_s[before - 1]
    assert silence_s > 1.5  # what read_timeout_s allows


def test_an_rtsp_stream_arrives_at_its_own_rate(serve, port):
    """What FFmpeg read to know the stream comes at once; after it nothing waits in a queue."""
    serve()
    seen = Numbers()
    with LiveSource(f"rtsp://127.0.0.1:{port}/cam", on_frame=seen, **SETTINGS):
        assert eventually(lambda: len(seen.times_s) >= 150)
    times_s, numbers = np.array(seen.times_s), np.array(seen.numbers)
    rate = (numbers[149] - numbers[74]) / (times_s[149] - times_s[74])
    assert 18 < rate < 32


def test_an_rtsp_password_is_used_and_never_shown(serve, port):
    serve("me:hush")
    seen = Seen()
    with LiveSource(f"rtsp://me:hush@127.0.0.1:{port}/cam", on_frame=seen, **SETTINGS) as source:
        assert source.name == f"rtsp://127.0.0.1:{port}/cam"
        assert eventually(lambda: len(seen.times_s) >= 10)
    for wrong in ("me:wrong@", ""):
        address = f"rtsp://{wrong}127.0.0.1:{port}/cam"
        with pytest.raises(VideoError, match=r"'401 Unauthorized'; check user name") as caught:
            LiveSource(address, on_frame=seen, **SETTINGS).start()
        assert "wrong" not in str(caught.value)
    with pytest.raises(VideoError, match=r"'404 Not Found'; check the address's path"):
        LiveSource(f"rtsp://me:hush@127.0.0.1:{port}/typo", on_frame=seen, **SETTINGS).start()


def test_closing_an_rtsp_stream_takes_no_time(serve, port):
    serve()
    source = LiveSource(f"rtsp://127.0.0.1:{port}/cam", on_frame=Seen(), **SETTINGS)
    source.start()
    began_s = time.monotonic()
    source.close()
    assert time.monotonic() - began_s < 3
