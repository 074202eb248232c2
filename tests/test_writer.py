import numpy as np
import pytest

from action_gru.core.errors import VideoError
from action_gru.video import VideoFile, VideoWriter

SIZE_PX = (64, 48)
TIMES_S = [0.0, 0.10, 0.35]


def picture(level):
    return np.full((48, 64, 3), level, np.uint8)


def write(path, times_s, fps=25.0):
    with VideoWriter(path, SIZE_PX, fps) as writer:
        for index, time_s in enumerate(times_s):
            writer.write(picture(6 * index), time_s)


def times_of(path):
    with VideoFile(path) as video:
        return [frame.time_s for frame in video]


@pytest.mark.parametrize("first_s", [0.0, 1234.567])
def test_frames_read_back_at_the_times_they_were_written_with(tmp_path, first_s):
    path = tmp_path / "clip.mp4"
    write(path, [first_s + time_s for time_s in TIMES_S])
    assert times_of(path) == pytest.approx(TIMES_S, abs=1e-3)


def test_forty_frames_of_a_stuttering_camera_keep_their_times(tmp_path):
    gaps_s = np.random.default_rng(0).uniform(0.01, 0.2, 40)
    times_s = np.cumsum(gaps_s) - gaps_s[0]
    write(tmp_path / "clip.mp4", times_s.tolist(), fps=12.0)
    assert times_of(tmp_path / "clip.mp4") == pytest.approx(times_s, abs=1e-3)


def test_frames_without_times_come_at_the_rate(tmp_path):
    write(tmp_path / "clip.mp4", [None] * 4, fps=8.0)
    assert times_of(tmp_path / "clip.mp4") == pytest.approx([0, 0.125, 0.25, 0.375], abs=1e-3)


@pytest.mark.parametrize("second_s", [0.2, 0.2 - 1e-6, 0.1, float("nan"), float("inf")])
def test_a_time_that_is_not_after_the_one_before_is_refused(tmp_path, second_s):
    said = "frame 1 at .* s is not after the one before, at 0.2 s; write them in order"
    with pytest.raises(VideoError, match=said):
        write(tmp_path / "clip.mp4", [0.2, second_s])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("times_s", "said"),
    [
        ([0.0, None], "frame 1 has no time, the first had one; give all or none"),
        ([None, 0.5], "frame 1 has a time, the first had none; give all or none"),
    ],
)
def test_frames_with_and_without_times_do_not_mix(tmp_path, times_s, said):
    with pytest.raises(VideoError, match=said):
        write(tmp_path / "clip.mp4", times_s)
    assert list(tmp_path.iterdir()) == []
