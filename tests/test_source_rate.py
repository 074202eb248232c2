"""When a source's frames come too seldom for a model."""

import numpy as np
import pytest

from action_gru.views.sampling import rate_warning, slow_clips_warning


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


def test_one_picture_is_said_to_be_one_and_nothing_is_said_of_none():
    assert rate_warning([0.0], 12.0).startswith("is one picture: ")
    assert rate_warning([], 12.0) is None


def test_the_slow_clips_of_a_data_set_are_counted():
    warning = slow_clips_warning(["b.mp4", "c.mp4"], 7, 12.0)
    assert warning.startswith(
        "2 of 7 clips are one picture or have fewer than 4.8 frames a second, where sampling.fps "
        "is 12; the first is b.mp4"
    )
    assert slow_clips_warning([], 7, 12.0) is None
