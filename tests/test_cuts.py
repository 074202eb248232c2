"""Where a stream's pictures change from one scene to another, and that its state begins anew."""

from itertools import pairwise

import numpy as np
import pytest
from helpers.streams import make_engine

from action_gru.timeline import EventTracker
from action_gru.views.cuts import CutFinder, changed_share, is_cut, tiles_of

EAGER = {"enter": 0.0, "exit": 0.0, "min_event_s": 0.0}


def room(seed, shift=0, size=60):
    """A coarse picture of its own colours, (180, 320, 3), in which a red thing moves."""
    tiles = np.random.default_rng(seed).integers(0, 255, (9, 16, 3), dtype=np.uint8)
    image = tiles.repeat(20, 0).repeat(20, 1)
    image[60 : 60 + size, 40 + shift : 40 + shift + size] = (200, 30, 30)
    return image


def found(images):
    finder = CutFinder()
    return [index for index, image in enumerate(images) if finder.begins_scene(image)]


def test_a_cut_is_found_where_it_is_and_movement_is_none():
    scenes = [room(1, shift=20 * i) for i in range(8)] + [room(2, shift=20 * i) for i in range(8)]
    assert found(scenes) == [8]


def test_every_cut_of_short_shots_is_found():
    assert found([room(index // 2) for index in range(12)]) == [2, 4, 6, 8, 10]


def test_pictures_that_change_all_the_time_are_no_cuts():
    """As where somebody fights right before the lens."""
    lively = [room(index) for index in range(20)]
    shares = [changed_share(tiles_of(a), tiles_of(b)) for a, b in pairwise(lively)]
    assert min(shares) > 0.5
    assert found(lively) == []


def test_a_fade_and_a_dimmed_light_are_no_cut():
    rooms = [(room(1) * (1 - i / 40)).astype(np.uint8) for i in range(20)]
    assert found(rooms) == []


def test_frames_of_two_sizes_are_two_scenes():
    assert is_cut(room(1), room(1)[:90])
    assert not is_cut(room(1), room(1, shift=40))


def push_scenes(at_cut):
    engine = make_engine()
    stream = engine.open(EventTracker(**EAGER), 1.6, 4, 1.0, at_cut)
    images = [room(1 + index // 20, shift=3 * (index % 20)) for index in range(40)]
    answers = [stream.push(image, index / 10) for index, image in enumerate(images)]
    return stream, answers, images


def test_with_restart_at_cut_the_state_begins_anew_and_events_end_there():
    stream, answers, images = push_scenes(at_cut=True)
    assert (stream.restarts, stream.restart_reason) == (1, "a cut")
    assert answers[20].since_s == 2.0
    assert stream.events
    assert stream.events[-1].end_s == pytest.approx(1.9)
    alone = make_engine().open(EventTracker(**EAGER), 1.6, 4, 1.0)
    for index, image in enumerate(images[20:]):
        answer = alone.push(image, 2.0 + index / 10)
    assert answers[-1].scores == pytest.approx(answer.scores, abs=1e-6)  # no motion across it


def test_without_it_a_cut_changes_nothing():
    stream, answers, _ = push_scenes(at_cut=False)
    assert stream.restarts == 0
    assert answers[20].since_s < 1.0


def test_the_samples_after_a_cut_keep_the_rate():
    stream = make_engine().open(EventTracker(**EAGER), 1.6, 4, 1.0, at_cut=True)
    taken = [
        index
        for index in range(90)  # 30 a second, read at 10; the cut is seen at the 45th
        if stream.sampler.sample(room(1 + index // 44), index / 30)
    ]
    assert np.diff(taken).tolist() == [3] * (len(taken) - 1)
