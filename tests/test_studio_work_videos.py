"""What the reader does with long videos: facts, clips cut from them, copies, proposals."""

from pathlib import Path

import numpy as np
import pytest
from helpers.studio_doubles import Recognizer
from helpers.videos import write_square

from action_gru.apps.studio import work_videos
from action_gru.apps.studio.work_videos import TASKS
from action_gru.core.errors import DataError, VideoError
from action_gru.video import VideoFile, VideoWriter


def told(value):
    raise AssertionError("nothing is told on the way")


def do(kind, *args):
    """A job, to its end; what it made, and the shares on the way."""
    name, shares = TASKS["video_begin"](told, kind, *args), []
    while "result" not in (answer := TASKS["video_go_on"](told, name)):
        shares.append(answer["share"])
    return answer["result"], shares


def times_of(path):
    with VideoFile(path) as video:
        return [frame.time_s for frame in video]


@pytest.fixture(scope="module")
def film(tmp_path_factory) -> Path:
    """40 frames, 10 a second."""
    return write_square(tmp_path_factory.mktemp("film") / "film.mp4", frames=40, fps=10.0)


def test_the_facts_of_a_video_are_its_length_rate_and_codec(film):
    assert TASKS["video_facts"](told, str(film)) == {
        "duration_s": 4.0,
        "fps": 10.0,
        "codec": "h264 yuv420p",
    }
    instants = TASKS["video_instants"](told, str(film))
    assert instants == pytest.approx([index / 10 for index in range(40)])


def test_a_clip_holds_the_pictures_of_its_stretch_and_stretches_may_overlap(film, tmp_path):
    outs = [str(tmp_path / name) for name in ("one.mp4", "two.mp4", "none.mp4")]
    cuts = [(0.5, 2.0, outs[0]), (1.0, 1.35, outs[1]), (3.91, 3.99, outs[2])]
    result, _ = do("cut", str(film), cuts)
    assert result["made"] == [outs[1], outs[0]]
    assert result["failed"] == {
        outs[2]: "the video has 0 pictures there, a clip needs 2; make it longer"
    }
    assert times_of(outs[0]) == pytest.approx([index / 10 for index in range(15)], abs=1e-4)
    assert times_of(outs[1]) == pytest.approx([0.0, 0.1, 0.2, 0.3], abs=1e-4)
    with VideoFile(film) as video, VideoFile(outs[0]) as clip:
        whole, part = [frame.image for frame in video], [frame.image for frame in clip]
    assert np.abs(part[0].astype(int) - whole[5].astype(int)).mean() < 3
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one.mp4", "two.mp4"]


def test_a_cut_that_is_given_up_leaves_nothing(film, tmp_path):
    job = work_videos.cutting(str(film), [(0.0, 4.0, str(tmp_path / "one.mp4"))])
    work_videos._jobs["job"] = job
    assert any(list(tmp_path.iterdir()) for _ in job)
    TASKS["video_drop"](told, "job")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(DataError, match="lost when the reader started anew; try again"):
        TASKS["video_go_on"](told, "job")


def test_a_copy_keeps_the_times_of_a_video_whose_pictures_come_unevenly(tmp_path):
    times_s = [0.0, 0.1, 0.5, 0.55, 1.5]
    source, copy = tmp_path / "uneven.mp4", tmp_path / "copy" / "uneven.mp4"
    with VideoWriter(source, (1600, 80), 10.0) as writer:
        for number, time_s in enumerate(times_s):
            writer.write(np.full((80, 1600, 3), 40 * number, np.uint8), time_s)
    length_s, shares = do("copy", str(source), str(copy), None)
    assert length_s == pytest.approx(1.5)
    assert set(shares) <= {None}
    assert times_of(copy) == pytest.approx(times_s, abs=1e-4)
    with VideoFile(copy) as video:
        assert next(iter(video)).image.shape == (64, 1280, 3)


def test_a_file_that_is_no_video_fails_in_words(tmp_path):
    bad = tmp_path / "bad.mp4"
    bad.write_text("no video")
    with pytest.raises(VideoError, match="this is text, not a video"):
        TASKS["video_facts"](told, str(bad))
    for kind, more in (("cut", ([(0.0, 1.0, "x.mp4")],)), ("copy", ("y.mp4", None))):
        with pytest.raises(VideoError, match="this is text, not a video"):
            do(kind, str(bad), *more)
    assert work_videos._jobs == {}


@pytest.mark.slow
def test_proposals_are_the_events_of_the_model_s_timeline(film, monkeypatch):
    monkeypatch.setattr(work_videos, "recognizer_of", lambda run: Recognizer())
    result, shares = do("propose", str(film), "runs/model-1", 4.0)
    reader = Recognizer().read_timeline(film)
    answers = list(reader)
    events = [event.to_json() for event in reader.timeline().events]
    assert len(answers) > 10
    assert events
    assert result == events
    assert shares == sorted(shares)
