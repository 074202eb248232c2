"""Network streams of other kinds than MJPEG: HTTP recordings, HLS, MPEG-TS over UDP."""

import threading
import time
from contextlib import contextmanager, suppress
from functools import partial
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer

import av
import numpy as np
import pytest
from helpers.live_servers import QUICK, Seen, eventually, refusing_port
from helpers.videos import moving_square, write_square

from action_gru.video import Frame, LiveSource
from action_gru.video.live_reader import waits


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def address(tmp_path):
    """Of a server of the test's own folder."""
    handler = partial(Quiet, directory=str(tmp_path))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def encode(target: str, frames: int, form: str, pause_s: float = 0.0, **options: str) -> None:
    """Write frames at 10 a second as H.264, each after a pause."""
    with av.open(target, "w", format=form, options=options) as container:
        stream = container.add_stream("libx264", rate=10, options={"tune": "zerolatency", "g": "5"})
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        for image in moving_square(frames):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
            time.sleep(pause_s)
        container.mux(stream.encode())


def test_a_recording_over_http_plays_at_its_own_rate_and_ends(address, tmp_path):
    write_square(tmp_path / "clip.mkv")
    seen = Seen()
    with LiveSource(f"{address}/clip.mkv", on_frame=seen, **QUICK) as source:
        assert eventually(lambda: source.status.state == "ended")
    assert source.status.reconnects == 0
    assert source.status.frames + source.status.skipped == 20
    assert 1.7 < seen.times_s[-1] < 6  # 20 frames at 10 a second


def test_hls_plays_at_its_own_rate_and_ends(address, tmp_path):
    encode(str(tmp_path / "live.m3u8"), 20, "hls", hls_time="1", hls_list_size="0")
    assert len(list(tmp_path.glob("*.ts"))) > 1
    seen = Seen()
    with LiveSource(f"{address}/live.m3u8", on_frame=seen, **QUICK) as source:
        assert eventually(lambda: source.status.state == "ended")
    assert source.status.frames + source.status.skipped == 20
    assert 1.7 < seen.times_s[-1] < 6


@pytest.mark.slow
def test_mpeg_ts_over_udp_arrives():
    target = f"udp://127.0.0.1:{refusing_port()}"
    sending = threading.Thread(
        target=encode, args=(f"{target}?pkt_size=1316", 100, "mpegts", 0.03), daemon=True
    )
    sending.start()
    seen = Seen()
    settings = {**QUICK, "open_timeout_s": 8.0}
    with LiveSource(target, on_frame=seen, **settings) as source:
        assert eventually(lambda: len(seen.times_s) >= 10)
        assert source.status.state == "live"
    sending.join()
    assert all(np.diff(seen.times_s) > 0)
    assert set(seen.sizes_px) == {(96, 64)}


def transport_stream(path, size_px, codec, pixels="yuv420p"):
    """20 pictures as MPEG-TS; the bytes of such files may follow each other."""
    with av.open(str(path), "w", format="mpegts") as container:
        stream = container.add_stream(codec, rate=10)
        (stream.width, stream.height), stream.pix_fmt = size_px, pixels
        for image in moving_square(20):
            shown = av.VideoFrame.from_ndarray(image, format="rgb24")
            container.mux(stream.encode(shown.reformat(*size_px)))
        container.mux(stream.encode())
    return path.read_bytes()


@pytest.mark.slow
def test_a_broadcast_may_change_its_size_and_pixels_within_a_connection(address, tmp_path):
    forms = (((96, 64), "yuv420p"), ((160, 120), "yuv420p"), ((64, 64), "yuv422p"))
    parts = [
        transport_stream(tmp_path / "part.ts", size_px, "libx264", pixels)
        for size_px, pixels in forms
    ]
    (tmp_path / "joined.ts").write_bytes(b"".join(parts))
    seen = Seen(work_s=0.005)
    with LiveSource(f"{address}/joined.ts", on_frame=seen, **QUICK) as source:
        assert eventually(lambda: source.status.state == "ended" or len(seen.times_s) > 55)
    assert list(dict.fromkeys(seen.sizes_px)) == [size_px for size_px, _ in forms]


@contextmanager
def sending_in_turn(sent):
    """A server that sends one of some files to each connection, and the last one from then on."""
    left = list(sent)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()
            with suppress(OSError):
                self.wfile.write(left.pop(0) if len(left) > 1 else left[0])

        def log_message(self, *args):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/live.ts"
        server.shutdown()
        thread.join()


@pytest.mark.slow
def test_a_stream_that_comes_back_with_another_codec_goes_on_and_says_so(tmp_path):
    seen, path = Seen(), tmp_path / "a.ts"
    sent = [
        transport_stream(path, (96, 64), "libx264"),
        transport_stream(path, (160, 128), "mpeg2video"),
    ]
    forms: list[str] = []

    def look(frame: Frame) -> None:
        forms.append(source.form)
        seen(frame)

    with sending_in_turn(sent) as url:
        source = LiveSource(url, on_frame=look, **QUICK)
        with source:
            assert eventually(lambda: (160, 128) in seen.sizes_px)
    sizes = list(dict.fromkeys(seen.sizes_px))
    assert sizes == [(96, 64), (160, 128)]
    assert {form.split(", ")[-1] for form in forms} == {"h264 yuv420p", "mpeg2video yuv420p"}


@pytest.mark.parametrize(
    ("address", "length_s", "expected"),
    [
        ("http://host/cam", None, False),
        ("http://host/live.M3U8?token=1", None, True),
        ("https://host/clip.mp4", 12.0, True),
        ("rtsp://host/recording", 12.0, False),  # an RTSP server keeps the time itself
    ],
)
def test_only_servers_that_send_ahead_are_held_back(address, length_s, expected):
    assert waits(address, length_s) is expected


def test_a_slow_owner_of_a_recording_skips_and_keeps_up(address, tmp_path):
    write_square(tmp_path / "clip.mkv")
    seen = Seen(work_s=0.35)
    with LiveSource(f"{address}/clip.mkv", on_frame=seen, **QUICK) as source:
        assert eventually(lambda: source.status.state == "ended")
    assert source.status.skipped >= 8
