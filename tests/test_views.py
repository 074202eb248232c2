import itertools

import numpy as np
import pytest
from helpers.sampling import sample
from hypothesis import given
from hypothesis import strategies as st

from action_gru.views import VIEWS, View, ViewMaker
from action_gru.views.pictures import Moment
from action_gru.views.sampling import (
    RateWatch,
    Sampler,
    cut_clips_warning,
    cut_warning,
    rate_warning,
    slow_clips_warning,
    windows,
)


@pytest.mark.parametrize(
    ("source_fps", "frames", "fps", "taken"),
    [
        (4.0, 5, 2.0, [0, 2, 4]),
        (4.0, 5, 4.0, [0, 1, 2, 3, 4]),
        (4.0, 5, 60.0, [0, 1, 2, 3, 4]),
        (25.0, 12, 10.0, [0, 3, 5, 8, 10]),
        (30.0, 10, 10.0, [0, 3, 6, 9]),
        (29.97, 10, 10.0, [0, 3, 6, 9]),
        (30.0, 1, 10.0, [0]),
        (30.0, 0, 10.0, []),
    ],
)
def test_first_frame_at_or_after_each_instant_is_taken(source_fps, frames, fps, taken):
    assert sample([i / source_fps for i in range(frames)], fps) == taken


def test_variable_rate_is_sampled_by_time_not_by_index():
    assert sample([0.0, 0.04, 0.08, 0.5, 0.54, 1.0], fps=2.0) == [0, 3, 5]


def test_a_gap_is_never_filled():
    assert sample([0.0, 0.5, 3.0, 3.5], fps=2.0) == [0, 1, 2, 3]


def test_the_first_frame_starts_the_clock_wherever_it_stands():
    times_s = [i / 25 for i in range(13)]
    shifted_s = [time_s + 0.04 for time_s in times_s]
    assert sample(shifted_s, fps=10.0) == sample(times_s, fps=10.0) == [0, 3, 5, 8, 10]
    assert sample(times_s, fps=10.0, start_s=0.05) == [2, 5, 7, 10, 12]  # from 0.08 s on


def test_window_bounds_are_half_open_and_restart_the_clock():
    times_s = [i / 4 for i in range(13)]
    assert sample(times_s, fps=2.0, start_s=0.75, end_s=2.25) == [3, 5, 7]


def test_timestamps_rounded_to_milliseconds_sample_like_exact_ones():
    exact = [i / 30 for i in range(60)]
    assert sample([round(t, 3) for t in exact], 10.0) == sample(exact, 10.0)


def test_sixty_and_thirty_fps_files_are_looked_at_in_the_same_instants():
    thirty = [i / 30 for i in range(90)]
    sixty = [i / 60 for i in range(180)]
    taken_thirty = [thirty[i] for i in sample(thirty, 10.0)]
    taken_sixty = [sixty[i] for i in sample(sixty, 10.0)]
    assert taken_thirty == pytest.approx(taken_sixty)


def test_rate_must_be_positive():
    with pytest.raises(ValueError, match="above 0, got 0"):
        Sampler(0.0)


@given(st.floats(5, 120), st.floats(0.5, 60), st.integers(1, 400))
def test_never_denser_than_asked_nor_than_the_source(source_fps, fps, frames):
    times_s = [i / source_fps for i in range(frames)]
    taken = sample(times_s, fps)
    assert taken[0] == 0
    assert len(taken) <= int((times_s[-1] + 0.0015) * fps) + 1
    assert taken == sorted(set(taken))


def test_windows_are_fewest_and_equal():
    assert windows(10, 4) == [(0, 4), (4, 7), (7, 10)]
    assert windows(4, 4) == [(0, 4)]
    assert windows(1, 4) == [(0, 1)]
    assert windows(9, 4) == [(0, 3), (3, 6), (6, 9)]


@pytest.mark.parametrize("fps", [24, 12, 8, 5])
def test_a_source_that_is_fast_enough_is_not_warned_of(fps):
    assert rate_warning(np.arange(20) / fps, 12.0) is None


@pytest.mark.parametrize(
    ("fps", "said"),
    [
        (4, "has 4 frames a second, the model reads 12: "),
        (2, "has 2 frames a second, the model reads 12: "),
        (1, "has 1 frame a second, the model reads 12: "),
        (0.2, "has 0.2 frames a second, the model reads 12: "),
    ],
)
def test_a_source_far_slower_than_the_model_is_warned_of(fps, said):
    warning = rate_warning(np.arange(20) / fps, 12.0)
    assert warning.startswith(said)
    assert "the answer means little; at least 4.8 a second are needed" in warning


def test_one_gap_does_not_make_a_slow_source():
    times_s = np.concatenate([np.arange(30) / 12, 60 + np.arange(30) / 12])
    assert rate_warning(times_s, 12.0) is None


def watched(times_s, fps=12.0):
    """What a watch says after each instant that is sampled of a source: its warnings."""
    watch = RateWatch(fps)
    said = []
    for index in sample(list(times_s), fps):
        watch.add(float(times_s[index]))
        said.append(watch.warning)
    return said


@pytest.mark.parametrize("manner", ["steady", "late", "in pairs"])
@pytest.mark.parametrize(("rate", "enough"), [(1, False), (2, False), (5, True), (10, True)])
def test_a_camera_too_slow_for_the_model_is_told_however_its_frames_arrive(rate, enough, manner):
    for seed in range(5):
        times_s = np.arange(40 * rate) / rate
        if manner == "late":
            times_s = times_s + np.random.default_rng(seed).uniform(0, 0.4 / rate, len(times_s))
        if manner == "in pairs":
            times_s[::2] += 0.4 / rate
        said = watched(times_s)
        assert not any(said[:11])  # nothing is known yet
        assert all(said[2 * 12 :]) is not enough
        assert any(said) is not enough


def test_frames_that_arrive_all_at_once_are_one_moment_to_the_model():
    """Ten a second, sent once a second."""
    times_s = (np.arange(400) // 10) + (np.arange(400) % 10) * 0.002
    assert watched(times_s)[-1].startswith("has 1 frame a second, ")


def test_a_camera_that_slows_down_in_the_dark_is_told_and_so_is_its_recovery():
    times_s = np.cumsum([1 / 25] * 1000 + [1 / 2] * 60 + [1 / 25] * 1000)
    said = [bool(warning) for warning in watched(times_s)]
    changes = [index for index in range(1, len(said)) if said[index] != said[index - 1]]
    assert len(changes) == 2
    assert not said[-1]


def test_a_rate_near_the_limit_does_not_come_and_go():
    rng = np.random.default_rng(0)
    said = [bool(warning) for warning in watched(np.cumsum(rng.normal(1 / 4.8, 0.03, 3000)))]
    assert sum(one != other for one, other in itertools.pairwise(said)) <= 2


def test_an_outage_does_not_make_a_slow_camera():
    times_s = np.concatenate([np.arange(80) / 10, 60 + np.arange(80) / 10])
    assert not any(watched(times_s))


def test_a_short_source_is_judged_at_its_end():
    watch = RateWatch(12.0)
    for time_s in (0.0, 1.0, 2.0):
        watch.add(time_s)
    assert not watch.warning
    watch.end()
    assert watch.warning.startswith("has 1 frame a second")


def test_one_picture_is_said_to_be_one_and_nothing_is_said_of_none():
    assert rate_warning([0.0], 12.0).startswith("only one frame of it is read: ")
    assert rate_warning([], 12.0) is None


def test_the_slow_clips_of_a_data_set_are_counted():
    warning = slow_clips_warning(["b.mp4", "c.mp4"], 7, 12.0)
    assert warning.startswith(
        "2 of 7 clips are one picture or have fewer than 4.8 frames a second, where sampling.fps "
        "is 12; the first is b.mp4"
    )
    assert slow_clips_warning([], 7, 12.0) is None


def test_clips_that_were_not_read_whole_are_counted_and_the_first_is_named():
    cut = {"b.mp4": cut_warning(1.0, 4.0, 2), "c.mp4": cut_warning(1.0, 4.0, 0)}
    assert cut_clips_warning(cut, 7) == (
        "2 of 7 clips not read whole, and used as far as read; the first is b.mp4, cut short or "
        "damaged: 2 places in it cannot be read"
    )
    assert cut_clips_warning({}, 7) is None


def test_a_view_that_returns_another_picture_is_named(monkeypatch):
    wrong = View("wrong", 3, False, lambda moment: moment.square / 255, lambda image: np.zeros(3))
    monkeypatch.setitem(VIEWS, "wrong", wrong)
    with pytest.raises(TypeError, match=r"'wrong' returned float64 .*returns uint8 \(16, 16, 3"):
        ViewMaker(["wrong"], 16, "squash").observe(np.zeros((20, 24, 3), np.uint8), 0.0)


@pytest.mark.parametrize("view", VIEWS.values(), ids=list(VIEWS))
def test_a_view_keeps_what_its_entry_says(view):
    rng, maker = np.random.default_rng(0), ViewMaker([view.name], 16, "squash")
    frames = [rng.integers(0, 256, (20, 24, 3), dtype=np.uint8) for _ in range(3)]
    assert VIEWS[view.name] is view
    made = [maker.observe(frame, index / 25)[view.name] for index, frame in enumerate(frames)]
    assert made[2].shape == (16, 16, view.channels)
    assert view.hidden_fill(made[2]).shape == (view.channels,)
    alone = ViewMaker([view.name], 16, "squash").observe(frames[2], 2 / 25)[view.name]
    assert (made[2] != alone).any() == view.needs_history == maker.needs_history


def test_focus_weighs_by_two_thirds_of_all_changes():
    def plain(value):
        return np.full((1, 2), value, np.uint8)

    square = np.arange(6, dtype=np.uint8).reshape(1, 2, 3)
    moment = Moment(square, plain(100), [plain(90), plain(105), plain(0)])
    # Changes of 143, 120 and 255 against 128: (15 + 8 + 127) * 2 / 3.
    assert VIEWS["focus"].make(moment).tolist() == [[[0, 1, 2, 100], [3, 4, 5, 100]]]
    assert VIEWS["motion"].make(moment).tolist() == [[[143, 120, 255]] * 2]
