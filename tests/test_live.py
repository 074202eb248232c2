import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from helpers.live_servers import (
    PIXELS,
    QUICK,
    MJPEGServer,
    Seen,
    eventually,
    live_threads,
    open_handles,
)
from helpers.processes import alone, resident_bytes, steady_growth

from action_gru.core.errors import VideoError
from action_gru.core.machine import use_one_arena
from action_gru.video import LiveSource, live_reader
from action_gru.video.clock import Pacer


def test_a_stream_gives_rgb_frames_at_the_time_of_their_arrival():
    seen = Seen()
    with MJPEGServer() as server, LiveSource(server.url, on_frame=seen, **QUICK) as source:
        assert eventually(lambda: len(seen.times_s) >= 60)
        status = source.status
        closing_s = time.monotonic()
    assert time.monotonic() - closing_s < 3
    assert seen.times_s[0] == 0.0
    assert all(np.diff(seen.times_s) > 0)
    assert 0.5 < seen.times_s[59] < 12  # 60 pictures leave the server in 1.2 s
    assert seen.sizes_px[0] == (96, 64)
    red, green, blue = seen.colours[0]
    assert red > 200 > 120 > green > 70 > blue
    assert (status.state, status.detail, status.reconnects, status.attempts) == ("live", "", 0, 0)
    assert 5 < status.fps < 70
    assert source.status.state == "ended"
    assert source.status.frames == len(seen.times_s)
    assert seen.indices == list(range(len(seen.times_s)))


def test_a_cut_stream_comes_back_and_the_outage_is_a_gap_in_time():
    seen = Seen()
    server = MJPEGServer()
    with LiveSource(server.url, on_frame=seen, **QUICK) as source:
        assert eventually(lambda: len(seen.times_s) >= 10)
        server.cut()
        assert eventually(lambda: source.status.state == "lost")
        before = len(seen.times_s)
        assert eventually(lambda: source.status.attempts >= 3)
        detail = source.status.detail
        assert detail.startswith("stream lost, trying again ")
        assert "(attempt " in detail
        assert source.status.frames == before
        with MJPEGServer(server.port):
            assert eventually(lambda: len(seen.times_s) >= before + 10)
            status = source.status
            assert (status.state, status.detail, status.attempts) == ("live", "", 0)
            assert status.reconnects == 1
            source.close()
    assert all(np.diff(seen.times_s) > 0)
    assert seen.times_s[before] - seen.times_s[before - 1] > 0.15  # two waits: 0.05 s and 0.1 s


def test_a_stream_that_falls_silent_is_noticed():
    with (
        MJPEGServer(silent_after=10) as server,
        LiveSource(server.url, on_frame=Seen(), **QUICK) as source,
    ):
        assert eventually(lambda: source.status.reconnects >= 1)
        assert source.status.frames >= 10


def test_retries_end_with_an_error_that_names_the_last_reason():
    with MJPEGServer(frames=5) as server:
        source = LiveSource(server.url, on_frame=Seen(), max_retries=2, **QUICK)
        source.start()
        server.cut()
        assert eventually(lambda: source.status.state == "failed")
    with pytest.raises(VideoError, match=r"did not come back in 2 tries; the last: .*refused"):
        source.check()
    source.close()


def test_a_stream_that_changes_its_size_goes_on():
    seen = Seen()
    with MJPEGServer() as server, LiveSource(server.url, on_frame=seen, **QUICK) as source:
        assert eventually(lambda: len(seen.times_s) >= 5)
        server.size_px = (160, 128)
        seen_before = len(seen.times_s)
        assert eventually(lambda: len(seen.times_s) >= seen_before + 20)
        assert source.status.reconnects == 0
    # OpenCV alone scales to the first size.
    assert seen.sizes_px[-1] == (160, 128)


class FakeCamera:
    """A camera that gives 5 pictures and is then unplugged."""

    opened = 0

    def __init__(self) -> None:
        FakeCamera.opened += 1
        self.left = 5

    def open(self, address, api) -> bool:
        assert address == 0
        return True

    def grab(self) -> bool:
        time.sleep(0.01)
        self.left -= 1
        return self.left >= 0

    def retrieve(self):
        return True, np.full((48, 64, 3), (10, 20, 200), np.uint8)

    def get(self, prop) -> float:
        return -1.0

    def release(self) -> None: ...


def test_a_camera_that_was_unplugged_is_tried_again(monkeypatch):
    monkeypatch.setattr(live_reader.cv2, "VideoCapture", FakeCamera)
    seen = Seen()
    with LiveSource("0", on_frame=seen, backoff_s=(0.05, 0.1)) as source:
        assert source.name == "0"
        assert eventually(lambda: source.status.reconnects >= 2)
    assert seen.colours[0] == (200, 20, 10)
    assert all(np.diff(seen.times_s) > 0)
    assert FakeCamera.opened >= 3


def test_an_error_of_on_frame_reaches_the_owner(square_video):
    def fail(frame) -> None:
        raise ZeroDivisionError("of the owner's making")

    source = LiveSource(str(square_video), on_frame=fail)
    source.start()
    assert eventually(lambda: source.status.state == "failed")
    assert "owner's making" in source.status.detail
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            source.check()
    source.close()
    with (
        pytest.raises(ZeroDivisionError),
        LiveSource(str(square_video), on_frame=fail) as source,
    ):
        assert eventually(lambda: not live_threads())


def test_a_source_can_be_closed_from_its_own_thread(square_video):
    seen = []
    source = LiveSource(str(square_video), on_frame=lambda frame: (seen.append(1), source.close()))
    source.start()
    assert eventually(lambda: not live_threads())
    assert seen == [1]
    source.check()
    with pytest.raises(RuntimeError, match="starts once"):
        source.start()


def test_a_source_that_was_closed_does_not_start(square_video):
    seen = Seen()
    source = LiveSource(str(square_video), on_frame=seen)
    source.close()
    with pytest.raises(RuntimeError, match=r"not after close; make a new one"):
        source.start()
    assert not seen.times_s
    assert not live_threads()


def test_a_source_can_be_closed_while_it_starts(square_video, monkeypatch):
    start, closings = threading.Thread.start, []
    source = LiveSource(str(square_video), on_frame=Seen())

    def closing_first(thread: threading.Thread) -> None:
        if thread.name.startswith("live "):
            closings.append(pool.submit(source.close))
            assert eventually(source._stop.is_set)
        start(thread)

    with ThreadPoolExecutor(1) as pool:
        pool.submit(int).result()  # its own thread stands before starting is changed
        monkeypatch.setattr(threading.Thread, "start", closing_first)
        source.start()
        (closing,) = closings
        assert closing.result(5) is None
    assert not live_threads()


def test_nothing_leaks_over_fifty_connections():
    with MJPEGServer(frames=10, interval_s=0.002) as server:
        for cycle in range(51):
            source = LiveSource(server.url, on_frame=Seen(), **QUICK)
            source.start()
            source.close()
            if cycle == 10:
                eventually(lambda: not live_threads())
                handles = open_handles()
        assert eventually(lambda: open_handles() <= handles)
        with LiveSource(server.url, on_frame=Seen(), **{**QUICK, "backoff_s": (0, 0)}) as source:
            assert eventually(lambda: source.status.reconnects >= 50, 60)
    assert eventually(lambda: not live_threads() and open_handles() <= handles)


def sizes_over_connections() -> list[int]:
    """Bytes of a process after every twenty reconnects, from the twentieth."""
    use_one_arena()  # as the command does
    sizes, always = list[int](), {**QUICK, "backoff_s": (0, 0)}
    with (
        MJPEGServer(frames=10, interval_s=0.002) as server,
        LiveSource(server.url, on_frame=lambda frame: None, **always) as source,
    ):
        for count in range(20, 121, 20):
            assert eventually(lambda count=count: source.status.reconnects >= count, 60)
            sizes.append(resident_bytes())
    return sizes


@pytest.mark.slow
def test_memory_of_a_source_does_not_grow_over_a_hundred_connections():
    sizes = alone(sizes_over_connections)
    assert steady_growth(sizes) < 5e6, sizes


def test_pictures_of_a_stream_may_change_their_size_and_their_pixels():
    """Grey JPEG, full and halved colour: one connection, each picture as it was sent."""
    seen = Seen()

    def arrives_as_sent() -> bool:
        red, green, blue = seen.colours[-1]
        is_grey = red == green == blue
        right = is_grey if server.pixels == "grey" else red > 200 > green > 70
        return right and seen.sizes_px[-1] == server.size_px

    server = MJPEGServer(interval_s=0.004)
    with server, LiveSource(server.url, on_frame=seen, **QUICK) as source:
        for size_px in ((160, 120), (64, 48), (320, 64)):
            for pixels in PIXELS:
                server.size_px, server.pixels = size_px, pixels
                assert eventually(arrives_as_sent)  # many older pictures may be on their way
        assert source.status.reconnects == 0
        assert source.form.startswith("96 x 64, ")


def test_a_stream_that_comes_back_otherwise_says_how():
    seen = Seen()
    server = MJPEGServer()
    with LiveSource(server.url, on_frame=seen, **QUICK) as source:
        assert source.status.form == "96 x 64, 25 fps, mjpeg yuvj420p"
        server.cut()
        with MJPEGServer(server.port) as other:
            other.size_px, other.pixels = (160, 120), "full"
            assert eventually(lambda: seen.sizes_px[-1] == (160, 120))
            assert source.form == "160 x 120, 25 fps, mjpeg yuvj444p"
    assert source.status.reconnects >= 1


def test_the_pacer_gives_each_frame_its_instant_and_refuses_late_ones(monkeypatch):
    clock = [100.0]
    stop = threading.Event()
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    waits: list[float] = []
    monkeypatch.setattr(stop, "wait", lambda wait_s: waits.append(round(wait_s, 3)))
    pacer = Pacer(stop, longest_gap_s=5.0)
    assert pacer.admit(0.0, 0.1)
    assert pacer.admit(0.1, 0.1)
    assert waits == [0.0, 0.1]
    clock[0] = 100.45  # busy: 0.2 and 0.3 are late by more than a frame, 0.4 is not
    assert [pacer.admit(t, 0.1) for t in (0.2, 0.3, 0.4)] == [False, False, True]
    clock[0] = 101.0
    assert not pacer.admit(0.5, 0.1)
    clock[0] = 101.2  # as late as before: decoding takes longer than a frame lasts
    assert pacer.admit(0.6, 0.1)
    assert pacer.admit(0.7, 0.1)
    assert waits[-1] == 0.1
    assert pacer.admit(90.0, 0.1)  # a jump of the stream's own clock is no wait
    assert waits[-1] == 0.0


def test_after_a_rest_frames_come_as_much_later(monkeypatch):
    clock = [100.0]
    stop = threading.Event()
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    waits: list[float] = []
    monkeypatch.setattr(stop, "wait", lambda wait_s: waits.append(round(wait_s, 3)))
    pacer = Pacer(stop)
    pacer.rest(5.0)  # before the first frame: nothing to move
    assert pacer.admit(0.0, 0.1)
    clock[0] = 160.0
    pacer.rest(60.0)
    assert pacer.admit(0.1, 0.1)
    assert waits == [0.0, 0.1]
