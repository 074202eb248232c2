"""A network stream is decoded where it can be stopped."""

import os
import signal
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial

import psutil
import pytest
from helpers.live_servers import QUICK, MJPEGServer, Seen, eventually, live_threads, socket_server

from action_gru.core.errors import VideoError
from action_gru.video import DecodeLimits, LiveSource, decoder_process
from action_gru.video.decoder_process import ProcessReader, take_process
from action_gru.video.frame import Watch
from action_gru.video.live_reader import open_live, parse_source


def suppressed(start: Callable[[], None]) -> None:
    with suppress(VideoError):
        start()


OTHERS: set[psutil.Process] = set()


def decoders() -> list[psutil.Process]:
    """The decoding processes of this one that began with the test."""
    children = psutil.Process().children()
    found = [child for child in children if decoder_process.START in child.cmdline()]
    return [child for child in found if child not in OTHERS]


@pytest.fixture(autouse=True)
def none_idle():
    decoder_process.end_idle()
    OTHERS.clear()  # what another file's tests left open stays theirs
    OTHERS.update(decoders())
    yield
    decoder_process.end_idle()


def test_a_decoder_that_crashes_is_started_anew_and_counted():
    seen = Seen()
    with MJPEGServer() as server, LiveSource(server.url, on_frame=seen, **QUICK) as source:
        assert eventually(lambda: len(seen.times_s) >= 5)
        (decoder,) = decoders()
        os.kill(decoder.pid, signal.SIGSEGV)
        assert eventually(lambda: source.status.reconnects == 1)
        before = len(seen.times_s)
        assert eventually(lambda: len(seen.times_s) >= before + 5)
        assert (source.status.state, source.status.crashes) == ("live", 1)
        assert decoders() != [decoder]
    assert len(decoders()) == 1  # the next source takes it over
    assert not live_threads()


def test_a_decoder_that_hangs_ends_itself(tmp_path, monkeypatch):
    """A PyAV that never returns, whatever timeouts it is given."""
    (tmp_path / "av.py").write_text(
        "import sys, time\n"
        f"sys.path.remove({str(tmp_path)!r})\n"
        "del sys.modules['av']\n"
        "import av\n"
        "av.open = lambda *arguments, **settings: time.sleep(3600)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    address = "rtsp://me:hush@127.0.0.1:9/1"
    source = LiveSource(address, on_frame=Seen(), open_timeout_s=0.1, read_timeout_s=0.1)
    with pytest.raises(VideoError, match="no picture within"):
        source.start()
    assert eventually(lambda: source.status.state == "failed")
    with pytest.raises(VideoError, match=r"its decoder ended after .* without a picture") as caught:
        source.check()
    assert "hush" not in str(caught.value)
    assert "silent" in str(caught.value)
    assert source.status.crashes == 1
    assert not decoders()


def test_closing_does_not_wait_for_a_server_that_says_nothing():
    with socket_server() as port:
        source = LiveSource(
            f"rtsp://127.0.0.1:{port}/1", on_frame=Seen(), open_timeout_s=600, read_timeout_s=600
        )
        starting = threading.Thread(target=lambda: suppressed(source.start))
        starting.start()
        assert eventually(lambda: bool(decoders()) and bool(live_threads()))
        source.close()
        assert not live_threads()
        assert not decoders()
        starting.join(5)
        assert not starting.is_alive()


@pytest.mark.parametrize("isolate", [True, False])
def test_a_picture_larger_than_the_limit_is_refused(isolate):
    bound = DecodeLimits(max_pixels=96 * 64 - 1, isolate=isolate)
    with (
        MJPEGServer() as server,
        pytest.raises(VideoError, match="announces frames of 96 x 64, more than 6,143 pixels"),
    ):
        LiveSource(server.url, on_frame=Seen(), limits=bound, **QUICK).start()


def test_a_stream_can_be_decoded_in_this_process():
    seen = Seen()
    bound = DecodeLimits(isolate=False)
    with (
        MJPEGServer() as server,
        LiveSource(server.url, on_frame=seen, limits=bound, **QUICK) as source,
    ):
        assert eventually(lambda: len(seen.times_s) >= 5)
        assert not decoders()
        assert source.status.crashes == 0
    assert seen.sizes_px[0] == (96, 64)


def test_both_ways_give_the_same_picture():
    pictures = []
    with MJPEGServer() as server:
        work = partial(open_live, parse_source(server.url), (5, 5), 1 << 26)
        for reader in (ProcessReader(take_process(), work, "cam", DecodeLimits()), work()):
            assert reader.info.size_px == (96, 64)
            pictures.append(reader.retrieve())
            reader.close()
    assert (pictures[0] == pictures[1]).all()


def test_the_alarm_is_set_around_every_piece_of_work(monkeypatch):
    told = []
    monkeypatch.setattr(Watch, "alarm", staticmethod(told.append))
    with MJPEGServer() as server:
        stream = open_live(parse_source(server.url), (2.0, 1.0), 1 << 26)
        stream.retrieve()
        stream.close()
    assert told == [6.0, 0, 4.0, 0, 4.0, 0]  # opened, grabbed, retrieved
