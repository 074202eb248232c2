from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from helpers.figures import check_texts
from helpers.videos import clip_of

from action_gru.evaluation.cross_validation import left_out_row, unknown_markdown
from action_gru.model.calibration import Calibration
from action_gru.report.confidence import (
    Answers,
    CalibratedAnswers,
    ConfidenceReport,
    perfect_calibration_error,
    pool_confidence,
    pooled_markdown,
    risk_coverage,
    squared_calibration_error,
)
from action_gru.report.metrics import calibration_bins
from action_gru.report.plots import plot_reliability


def test_risk_grows_with_the_wrong_answers_let_in():
    got = risk_coverage([0.9, 0.8, 0.7, 0.6], [True, False, True, True])
    assert got == [(0.25, 0.0), (0.5, 0.5), (0.75, pytest.approx(1 / 3)), (1.0, 0.25)]


def test_the_order_of_equal_scores_does_not_matter():
    right = [True, False, True, False]
    assert risk_coverage([0.5] * 4, right) == risk_coverage([0.5] * 4, right[::-1])
    assert [risk for _, risk in risk_coverage([0.5] * 4, right)] == [0.5] * 4


def answers(scores, right):
    return Answers(np.asarray(scores, dtype=float), np.asarray(right, dtype=bool))


# Thresholds by Laplace's rule of succession: k right of n count as (k + 1) / (n + 2).
NINE_RIGHT = Calibration(1.5, "9 clips", (0.9,) * 8 + (0.75,), (True,) * 9)
ONE_WRONG = Calibration(1.0, "6 clips", (0.9, 0.8, 0.8, 0.7, 0.7, 0.5), (True,) * 5 + (False,))


def report(before, after, calibration=NINE_RIGHT, **more):
    return ConfidenceReport.of(CalibratedAnswers(before, after, calibration), 0.9, **more)


def test_the_report_says_what_the_threshold_gives():
    right = [1, 1, 0, 1]
    got = report(answers([0.6] * 4, right), answers([0.9, 0.8, 0.7, 0.6], right))
    rejection = got.rejection
    assert (rejection.threshold, rejection.kept, rejection.precision) == (0.75, 2, 1.0)
    assert rejection.coverage == 0.5
    assert got.to_json()["expected_calibration_error_before"] == pytest.approx(0.15)
    assert got.area_under_risk_coverage == pytest.approx((0 + 0 + 1 / 3 + 1 / 4) / 4)


def test_a_threshold_that_keeps_nothing_has_no_precision():
    got = report(answers([0.6], [1]), answers([0.6], [1]))
    assert (got.rejection.kept, got.rejection.precision) == (0, None)


def test_answers_are_the_top_scores_and_never_above_one():
    got = Answers.of(np.array([[0.2, 0.8], [1 + 1e-6, 0.0]]), [1, 1])
    assert got.scores.tolist() == [0.8, 1.0]
    assert got.right.tolist() == [True, False]


def test_perfect_scores_show_an_error_that_shrinks_with_more_clips():
    rng = np.random.default_rng(0)
    few, many = rng.uniform(0.5, 1, 40), rng.uniform(0.5, 1, 4000)
    assert 0.08 < perfect_calibration_error(few, 0) < 0.18
    assert perfect_calibration_error(many, 0) < 0.02


def test_folds_are_pooled_over_their_clips():
    sure = CalibratedAnswers(answers([0.5] * 2, [1, 0]), answers([0.9, 0.6], [1, 0]), NINE_RIGHT)
    strict = replace(NINE_RIGHT, temperature=0.8, scores=(0.95,) * 9)
    unsure = CalibratedAnswers(answers([0.5] * 2, [1, 1]), answers([0.9, 0.6], [0, 1]), strict)
    got = pool_confidence([sure, unsure], 0.9)
    assert got["temperatures"] == [1.5, 0.8]
    # One of four clips is at or above its fold's threshold, and it is right.
    assert (got["precision"], got["coverage"]) == (1.0, 0.25)
    # Bins of 0.9 and 0.6 hold two clips each, one of which is right.
    assert got["error"] == pytest.approx((0.4 + 0.1) / 2)
    assert got["error_by_fold"] == pytest.approx(((0.1 + 0.6) / 2 + (0.9 + 0.4) / 2) / 2)
    assert got["error_before"] == pytest.approx(0.25)


def test_the_section_roots_the_debiased_error_after_averaging():
    before = answers([0.8] * 4, [1] * 4)
    fold = CalibratedAnswers(before, answers([0.7] * 4, [1] * 4), NINE_RIGHT)
    proud = CalibratedAnswers(before, answers([0.9] * 4, [0] * 4), NINE_RIGHT)
    text = pooled_markdown([pool_confidence([one], 0.9) for one in (fold, proud)], 0.9)
    # No bin has any spread: gaps of 0.3 and 0.9, so the root of (0.09 + 0.81) / 2.
    assert "root of squared and debiased | 0.200 | 0.671 | 0 |" in text


def test_folds_that_do_not_prove_the_stated_precision_are_counted():
    fold = CalibratedAnswers(answers([0.5], [1]), answers([0.72], [1]), NINE_RIGHT)
    got = pool_confidence([fold, fold._replace(calibration=ONE_WRONG)], 0.9)
    assert [got[key] for key in ("precision", "coverage", "unproven")] == [1.0, 0.5, 1]
    text = pooled_markdown([got], 0.9)
    assert "stated precision 90.0%: of the 50.0% of the held-out clips that were answered" in text
    assert "In 1 of 2 folds the training clips do not prove that precision" in text


def test_a_precision_that_is_not_proven_is_said_once_and_the_supported_one_applied():
    both = answers([0.9, 0.6], [1, 1])
    got = report(both, both, ONE_WRONG, note="not proven")
    assert (got.rejection.stated_precision, got.rejection.applied_precision) == (0.9, 0.85)
    text = got.markdown()
    assert "Unsure rule: not proven." in text
    assert "Unsure below a score of 0.700, chosen for a precision of 85.0%: here 1 answers" in text
    names = [one.get_text() for one in got.plot().legends[0].get_texts()]
    assert names[0] == "supported: 15% wrong"


CLIP = clip_of(Path("v.mp4"))


def test_clips_of_a_class_left_out_are_told_from_the_known_ones():
    def row(*scored):
        return left_out_row("b|c", [(replace(CLIP, label=label), score) for label, score in scored])

    got = row(("a", 0.9), ("a", 0.5), ("b|c", 0.5), ("b|c", 0.1))  # of equal scores half
    assert got == {"label": "b|c", "auroc": 0.875, "known_clips": 2, "unknown_clips": 2}
    assert row(("a", 0.9))["auroc"] is None
    report = {"run": "run", "data": "data", "mean_auroc": 0.5, "classes": [got]}
    assert "known against unknown: **0.500**" in unknown_markdown(report)
    assert "| b\\|c | 2 | 2 | 0.875 |" in unknown_markdown(report)


def test_pictures_of_trust_have_room_and_show_both_sides():
    rng = np.random.default_rng(0)
    scores = rng.uniform(0.5, 1, 60)
    right = rng.random(60) < scores
    eighty = replace(NINE_RIGHT, scores=(0.8,) * 9)
    got = report(answers(scores**2, right), answers(scores, right), eighty)
    risk = got.plot()
    check_texts(risk)
    assert [text.get_text() for text in risk.legends[0].get_texts()] == [
        "stated: 10% wrong",
        "unsure below 0.80",
    ]
    both = plot_reliability(calibration_bins(scores, right), got.bins_before)
    check_texts(both)
    titles = [axes.get_title() for axes in both.axes]
    assert titles[0].startswith("before calibration: expected calibration error 0.")
    assert titles[1].startswith("after: expected calibration error 0.")


def test_the_order_of_the_clips_does_not_matter():
    scores, right = np.array([0.9, 0.5, 0.7, 0.6]), np.array([True, False, False, True])
    turned = squared_calibration_error(scores[::-1], right[::-1])
    assert squared_calibration_error(scores, right) == turned


def test_chance_is_taken_off_the_squared_error():
    # One bin of 4: accuracy 0.5 against 0.8, less 0.5 * 0.5 / 3.
    got = squared_calibration_error([0.8] * 4, [True, False, True, False], most_bins=1)
    assert got == pytest.approx(0.3**2 - 0.25 / 3)
    # 5 clips in two bins: 3 with accuracy 2/3, 2 that are all right.
    got = squared_calibration_error([0.8] * 5, [False, True, True, True, True], most_bins=2)
    assert got == pytest.approx((3 * ((0.8 - 2 / 3) ** 2 - (2 / 9) / 2) + 2 * 0.2**2) / 5)
    # 3 clips cannot fill two bins of two: one bin, whose clips are all right.
    assert squared_calibration_error([0.9, 0.8, 0.7], [True] * 3) == pytest.approx(0.2**2)
    assert squared_calibration_error([0.9], [False]) == 0.0


@pytest.mark.parametrize(("shift", "truth"), [(0.0, 0.0), (0.08, 0.08)])
def test_forty_clips_mislead_equal_bins_most_and_the_debiased_error_not(shift, truth):
    rng = np.random.default_rng(0)
    found = []
    for _ in range(400):
        scores = 0.5 + 0.5 * rng.beta(2, 1, 40)
        right = rng.random(40) < scores - shift
        squared = squared_calibration_error(scores, right)
        found.append((answers(scores, right).error, squared))
    equal, squared = np.mean(found, axis=0)
    assert equal - truth > 0.05  # by far, though the scores are perfect or nearly so
    assert squared == pytest.approx(truth**2, abs=0.002)
