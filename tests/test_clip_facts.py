"""What a few instants of a clip show: each file is decoded once, bad ones are told."""

from pathlib import Path

import numpy as np
import pytest
from helpers.drawn_clips import moving_blobs, write_clip

from action_gru.apps.clip_facts import SIDE_PX, glance, read_facts
from action_gru.dataset import Clip
from action_gru.dataset.leaks import SHOTS
from action_gru.video import DecodeLimits, VideoFile

HERE = DecodeLimits(isolate=False)
FRAME = np.full((64, 96, 3), 4, np.uint8)


def clip(path: Path, start_s: float | None = None, end_s: float | None = None) -> Clip:
    return Clip(path, path.name, "x", path.name, "", start_s, end_s)


@pytest.fixture(scope="module")
def video(tmp_path_factory) -> Path:
    return write_clip(tmp_path_factory.mktemp("video") / "a.mp4", moving_blobs(0, 48))


def test_the_facts_are_those_of_the_file(video):
    (one,) = read_facts([clip(video)], 6.0, HERE)[0].values()
    assert (one.width_px, one.height_px, one.container) == (96, 64, "mp4")
    assert one.fps == pytest.approx(12.0, rel=0.01)
    assert one.length_s == pytest.approx(4.0, abs=0.01)
    assert (one.sampled, one.is_slow, one.cut) == (24, False, "")
    assert one.outline.shape == (SHOTS, 64)
    assert np.linalg.norm(one.change.astype(float)) == pytest.approx(1.0, abs=0.01)
    assert one.thumbnail.shape == (96, 144, 3)
    assert one.motion > 50


def test_stretches_of_one_file_are_read_in_one_pass(video):
    with VideoFile(video, limits=HERE) as file:
        made = list(glance(file, [(0.0, 2.0), (1.0, 3.0), (3.5, None)]))
        assert file.frames_decoded == 48
    numbers = [name for _, pictures in made for name in pictures]
    assert [numbers.count(str(n)) for n in range(3)] == [SHOTS] * 3
    assert made[0][1]["0"].shape == (SIDE_PX, SIDE_PX, 3)


def test_a_stretch_has_its_own_length_and_frames(video):
    clips = [clip(video, 0.0, 1.0), clip(video, 1.5, None)]
    facts, problems = read_facts(clips, 12.0, HERE)
    assert problems == {}
    assert [one.sampled for one in facts.values()] == [12, 30]
    assert [one.length_s for one in facts.values()] == pytest.approx([1.0, 2.5], abs=0.01)


def test_what_cannot_be_read_is_told_and_the_others_are_read(video, tmp_path):
    (tmp_path / "broken.mp4").write_bytes(b"\x07\x91" * 400)
    clips = [clip(tmp_path / "gone.mp4"), clip(tmp_path / "broken.mp4"), clip(video)]
    clips += [clip(video, 60.0, 61.0), clip(write_clip(tmp_path / "late.mp4", [FRAME] * 12), 5400)]
    facts, problems = read_facts(clips, 12.0, HERE)
    assert list(facts) == ["a.mp4"]
    assert "no such video file" in problems["gone.mp4"]
    assert "not a video" in problems["broken.mp4"]
    assert "check its seconds or frames" in problems["a.mp4[60:61]"]
    assert "begins at 5400 s, and the file lasts 1 s" in problems["late.mp4[5400:]"]


def test_dark_and_still_clips_show_in_the_figures(tmp_path):
    one = read_facts([clip(write_clip(tmp_path / "dark.mp4", [FRAME] * 12))], 12.0, HERE)[0][
        "dark.mp4"
    ]
    assert one.light < 8
    assert one.brightest < 12
    assert one.motion == 0
    assert not one.change.any()


def test_it_runs_in_the_process_that_decodes(video):
    isolated, _ = read_facts([clip(video)], 12.0, DecodeLimits())
    here, _ = read_facts([clip(video)], 12.0, HERE)
    assert (isolated["a.mp4"].change == here["a.mp4"].change).all()
    assert isolated["a.mp4"].fps == here["a.mp4"].fps
