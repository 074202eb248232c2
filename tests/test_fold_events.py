"""Segments, delay and false events of a cross-validation, pooled by seed."""

import numpy as np
import pytest

from action_gru.report.documents import NONE
from action_gru.report.fold_events import events_json, events_line, events_markdown, fold_events
from action_gru.report.frames import FramesReport, ScoredVideo
from action_gru.report.segments import ScoredTimeline, detection_delays, score_segments
from action_gru.timeline import Event, Timeline

REFERENCE = (Event("b", 2, 4), Event("b", 6, 8))


def seed(*events: Event) -> FramesReport:
    """One video of a minute, of whose two segments these were found."""
    scores = score_segments(events, REFERENCE, 60.0, ("a",))
    one = ScoredTimeline("v.mp4", Timeline("v.mp4", ("a", "b"), events, 60.0), REFERENCE, scores)
    shown = np.eye(2, dtype=bool)
    delays_s, missed, false = detection_delays(events, REFERENCE)
    video = ScoredVideo("g", shown * 1.0, shown, one, 60.0, delays_s, missed, false)
    return FramesReport("seed", "", "folds", ("a", "b"), (video,), ("a",))


def test_figures_are_means_over_seeds():
    found = fold_events([seed(*REFERENCE), seed(Event("b", 2.5, 4), Event("b", 20, 21))])
    assert found["f1_50"] == (0.75, pytest.approx(0.3536, abs=1e-4))
    assert found["found"].mean == 0.75
    assert found["delay_median_s"].mean == 0.25
    assert found["false_events_an_hour"].mean == 30
    assert events_line(events_json(found)["events"]) == (
        "F1@50 0.750, edit 1.000, median delay 0.250 s, false events an hour 30.000"
    )
    assert "| F1@50 | 75.0% | 35.4% |" in events_markdown(found)


def test_one_seed_has_no_spread():
    assert fold_events([seed(*REFERENCE)])["f1_50"] == (1.0, None)


def test_where_nothing_was_found_in_a_seed_there_is_no_delay():
    found = fold_events([seed(*REFERENCE), seed()])
    assert found["delay_median_s"] is None
    assert found["found"].mean == 0.5
    assert f"| median delay, s | {NONE} | {NONE} |" in events_markdown(found)


def test_clips_have_no_events():
    assert (fold_events([]), events_json({}), events_markdown({})) == ({}, {}, "")
