import time
from itertools import pairwise

import numpy as np
import pytest
from helpers.live_servers import Seen, eventually
from helpers.videos import write_square

from action_gru.core.errors import VideoError
from action_gru.video import LiveSource, VideoFile


def play(path, seen, within_s: float = 30.0, **settings) -> LiveSource:
    """Play a file to its end."""
    with LiveSource(str(path), on_frame=seen, **settings) as source:
        assert eventually(lambda: source.status.state == "ended", within_s)
    return source


def test_a_file_of_three_frames_ends_and_stays_ended(tmp_path):
    seen = Seen()
    source = play(write_square(tmp_path / "three.mp4", frames=3), seen)
    assert seen.times_s == pytest.approx([0.0, 0.1, 0.2], abs=1e-3)
    assert seen.indices == [0, 1, 2]
    assert source.status.detail == f"file {tmp_path / 'three.mp4'} has ended"
    assert (source.status.frames, source.status.reconnects) == (3, 0)


def test_a_file_plays_in_real_time_or_as_fast_as_it_decodes(square_video):
    began_s = time.monotonic()
    play(square_video, seen := Seen(), pace=False)
    assert time.monotonic() - began_s < 1.5
    assert len(seen.times_s) == 20
    began_s = time.monotonic()
    play(square_video, Seen())
    assert time.monotonic() - began_s > 1.8  # 20 frames at 10 a second: the last starts at 1.9 s


def test_a_slow_consumer_skips_frames_and_keeps_up(square_video):
    began_s = time.monotonic()
    source = play(square_video, seen := Seen(work_s=0.35))
    assert time.monotonic() - began_s < 6  # all 20 would take 7 s
    assert source.status.skipped >= 8
    assert source.status.frames + source.status.skipped == 20
    assert seen.times_s == [pytest.approx(index / 10, abs=1e-3) for index in seen.indices]
    assert all(np.diff(seen.times_s) > 0)


def test_without_pace_a_slow_consumer_gets_every_frame(square_video):
    source = play(square_video, seen := Seen(work_s=0.01), pace=False)
    assert (len(seen.times_s), source.status.skipped) == (20, 0)


def test_a_looping_file_goes_on_in_time(tmp_path):
    path = write_square(tmp_path / "three.mp4", frames=3)
    seen = Seen()
    with LiveSource(str(path), on_frame=seen, loop=True, pace=False):
        assert eventually(lambda: len(seen.times_s) >= 9)
    assert np.diff(seen.times_s[:9]) == pytest.approx([0.1] * 8, abs=1e-3)
    assert seen.indices[:9] == list(range(9))


def test_a_file_keeps_its_uneven_times(shared_data):
    path = shared_data / "edge" / "torchcodec_var_fps_video.mp4"
    with VideoFile(path) as video:
        expected = [frame.time_s for frame in video]
    play(path, seen := Seen(), pace=False)
    assert seen.times_s == expected
    assert len({round(b - a, 3) for a, b in pairwise(expected)}) > 1


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"", "empty"), (b"hello, this is a text\n" * 20, "text, not a video"), (None, "no such")],
)
def test_a_file_that_is_no_video_fails_at_the_start(tmp_path, content, said):
    path = tmp_path / "clip.mp4"
    if content is not None:
        path.write_bytes(content)
    source = LiveSource(str(path), on_frame=Seen(), loop=True)
    with pytest.raises(VideoError, match=said):
        source.start()
    assert source.status.state == "failed"


def test_closing_a_waiting_file_takes_no_time(tmp_path):
    path = write_square(tmp_path / "slow.mp4", frames=3, fps=0.2)
    source = LiveSource(str(path), on_frame=Seen())
    source.start()
    began_s = time.monotonic()
    source.close()
    assert time.monotonic() - began_s < 2
    assert source.status.frames == 1


@pytest.mark.parametrize("pace", [True, False])
def test_a_paused_file_waits_where_it_stands(tmp_path, pace):
    path = write_square(tmp_path / "long.mp4", 400, fps=100.0)
    with LiveSource(str(path), on_frame=(seen := Seen(work_s=0.002)), pace=pace) as source:
        assert eventually(lambda: len(seen.times_s) >= 5)
        source.pause(True)
        time.sleep(0.2)  # the frame that was on its way
        stands = len(seen.times_s)
        skipped = source.status.skipped
        time.sleep(1.0)
        assert len(seen.times_s) == stands
        source.pause(False)
        assert eventually(lambda: len(seen.times_s) > stands + 5)
        # It goes on with the next frame: a second would be 100 frames.
        assert seen.times_s[stands] - seen.times_s[stands - 1] < 0.5
        assert source.status.skipped - skipped < 50


def test_a_paused_file_is_closed_at_once(square_video):
    source = LiveSource(str(square_video), on_frame=Seen())
    source.start()
    source.pause(True)
    time.sleep(0.3)
    began_s = time.monotonic()
    source.close()
    assert time.monotonic() - began_s < 2
