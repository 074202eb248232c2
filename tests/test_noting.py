import numpy as np
import pytest
from test_streaming import make_engine, open_stream, pictures

from action_gru.streaming import ScoreNotes
from action_gru.timeline import ScoreTrack


def test_scores_go_on_to_a_gap_and_begin_anew_after_it():
    stream = open_stream(make_engine(), window_s=1.6, states=4)
    notes = ScoreNotes(stream)
    for start_s in (0.0, 10.0):
        for index, image in enumerate(pictures(40)):
            notes.note(stream.push(image, start_s + index / 10))
    times_s, begins = notes.track.times_s, notes.track.begins
    assert stream.restarts == 1
    assert times_s[begins] == pytest.approx([10.0], abs=0.05)
    assert times_s[times_s < 10][-1] == pytest.approx((2.8 + 3.9) / 2, abs=0.05)


def test_a_jump_to_a_younger_state_is_no_gap_in_the_scores():
    stream = open_stream(make_engine(), window_s=6.0, states=2)
    notes = ScoreNotes(stream)
    for index in range(200):
        notes.note(stream.push(pictures(1)[0], index / 10))
    steps_s = np.diff(notes.track.times_s)
    assert steps_s.max() > 10 * np.median(steps_s)
    assert not notes.track.begins.any()


def test_a_gap_is_kept_when_bins_of_scores_are_merged():
    track = ScoreTrack(capacity=64)
    for time_s in (*np.arange(0, 10, 0.1), *np.arange(30, 40, 0.1)):
        track.add(time_s, np.array([0.5, 0.5]), begins=time_s == 30)
    assert track.bin_s == 0.8
    assert track.times_s[track.begins] == pytest.approx([30.0], abs=0.8)
