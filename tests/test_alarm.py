"""Early warnings: the alarm's rule, and their scores on literal cases."""

from typing import Any

import numpy as np
import pytest

from action_gru.report.early_warning import (
    WarnedSequence,
    WarningReport,
    best_threshold,
)
from action_gru.report.metrics import area_under_roc, average_precision
from action_gru.timeline import Alarm


def sequence(name: str, scores: list[float], end: int) -> WarnedSequence:
    """Remaining counts down to `end` at the last row."""
    remaining = np.arange(end + len(scores) - 1, end - 1, -1, dtype=np.float64)
    return WarnedSequence(name, np.array(scores), remaining)


def scores(*sequences: WarnedSequence) -> dict[str, Any]:
    return WarningReport(sequences, horizon=2, threshold=0.5).scores


def test_a_score_that_trembles_raises_one_alarm():
    alarm = Alarm(0.6)
    scores = [0.1, 0.6, 0.5, 0.7, 0.31, 0.29, 0.4, 0.8]
    changes = [alarm.push(score) for score in scores]
    assert changes == [None, "raised", None, None, None, "cleared", None, "raised"]


def test_ties_count_half_in_the_area_under_the_curve():
    truth = np.array([True, True, False, False])
    assert area_under_roc(np.array([0.9, 0.5, 0.5, 0.1]), truth) == 0.875
    assert area_under_roc(np.array([0.1, 0.1, 0.9, 0.9]), truth) == 0.0
    assert area_under_roc(np.zeros(2), np.array([True, True])) is None


def test_average_precision_and_best_threshold_by_hand():
    scores, truth = np.array([0.9, 0.8, 0.7, 0.1]), np.array([True, False, True, False])
    assert average_precision(scores, truth) == pytest.approx(0.5 * 1 + 0.5 * 2 / 3)
    threshold, f1 = best_threshold(scores, truth)
    assert (threshold, f1) == (0.7, pytest.approx(0.8))


def test_warnings_are_scored_at_the_end_row_by_row_and_by_lead():
    found = scores(
        sequence("warned in time", [0.1, 0.1, 0.9, 0.9], end=0),  # raised with 1 left
        sequence("missed", [0.1, 0.1, 0.1, 0.1], end=1),
        sequence("false alarm, then cleared", [0.9, 0.1, 0.1, 0.1], end=50),
        sequence("false at the end", [0.1, 0.1, 0.1, 0.9], end=50),
    )
    assert (found["sequences"], found["positives"], found["rows"]) == (4, 2, 16)
    assert (found["precision"], found["recall"], found["f1"]) == (0.5, 0.5, 0.5)
    assert (found["warned"], found["lead_median"]) == (1, 1.0)
    outside = 1 + 2 + 4 + 4  # rows with more than 2 left
    assert found["false_alarms_per_1000"] == pytest.approx(1000 * 2 / outside)
    low, high = found["f1_interval"]
    assert low < 0.5 < high


def test_a_faultless_run_is_no_certainty():
    soon = [sequence(f"s{n}", [0.1, 0.9], end=0) for n in range(25)]
    late = [sequence(f"l{n}", [0.1, 0.1], end=90) for n in range(75)]
    low, high = scores(*soon, *late)["f1_interval"]
    assert 0.93 < low < 0.97
    assert high == 1.0
    assert scores(*late)["f1_interval"] is None


@pytest.mark.parametrize(
    ("end", "said"),
    [
        # On at its end, though its last score alone would not have raised it.
        (0, "Warned before 1 of 1 end, half of them with 1 or more left; 0 false alarms in 1000"),
        (90, "No end to warn of; 250 false alarms in 1000 rows before."),
    ],
)
def test_a_sentence_says_how_many_ends_were_warned_of(end, said):
    one = sequence("a", [0.1, 0.1, 0.9, 0.4], end=end)
    assert WarningReport((one,), 2, 0.5).sentence.startswith(said)


def test_the_picture_is_drawn_without_a_positive_too():
    figure = WarningReport((sequence("a", [0.1, 0.2], end=90),), 30, 0.5).plot()
    assert figure.axes[0].get_xlabel() == "recall"
