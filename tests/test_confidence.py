from dataclasses import replace

import numpy as np
import pytest
from test_pictures import check_texts

from action_gru.errors import DataError
from action_gru.report.confidence import (
    confidence_report,
    known_unknown_auroc,
    perfect_calibration_error,
    risk_coverage,
)
from action_gru.report.confidence_picture import risk_coverage_picture
from action_gru.report.fold_confidence import (
    FoldConfidence,
    confidence_section,
    pool_confidence,
)
from action_gru.report.pictures import reliability_picture
from action_gru.report.sections import confidence_markdown
from action_gru.report.unknown import ClassLeftOut, UnknownReport, write_unknown_report


def test_risk_grows_with_the_wrong_answers_let_in():
    got = risk_coverage([0.9, 0.8, 0.7, 0.6], [True, False, True, True])
    assert got == [(0.25, 0.0), (0.5, 0.5), (0.75, pytest.approx(1 / 3)), (1.0, 0.25)]


def test_the_order_of_equal_scores_does_not_matter():
    right = [True, False, True, False]
    assert risk_coverage([0.5] * 4, right) == risk_coverage([0.5] * 4, right[::-1])
    assert [risk for _, risk in risk_coverage([0.5] * 4, right)] == [0.5] * 4


def test_the_report_says_what_the_threshold_gives():
    got = confidence_report(
        [0.6] * 4, [0.9, 0.8, 0.7, 0.6], [True, True, False, True], 1.5, "x", 0.75, 0.9
    )
    rejection = got.rejection
    assert (rejection.kept, rejection.precision, rejection.coverage) == (2, 1.0, 0.5)
    assert got.to_json()["expected_calibration_error_before"] == pytest.approx(0.15)
    assert got.area == pytest.approx((0 + 0 + 1 / 3 + 1 / 4) / 4)


def test_a_threshold_that_keeps_nothing_has_no_precision():
    got = confidence_report([0.6], [0.6], [True], 1.0, "x", 0.9)
    assert (got.rejection.kept, got.rejection.precision) == (0, None)


def test_scores_of_other_shapes_are_refused():
    with pytest.raises(DataError, match="one score before, one after and one truth a clip"):
        confidence_report([0.5], [0.5, 0.5], [True, True])


def test_perfect_scores_show_an_error_that_shrinks_with_more_clips():
    rng = np.random.default_rng(0)
    few, many = rng.uniform(0.5, 1, 40), rng.uniform(0.5, 1, 4000)
    assert 0.08 < perfect_calibration_error(few, 0) < 0.18
    assert perfect_calibration_error(many, 0) < 0.02


def test_auroc_counts_pairs_and_ties_half():
    assert known_unknown_auroc([0.9, 0.5], [0.5, 0.1]) == 0.875
    assert known_unknown_auroc([0.9], []) is None


def test_folds_are_pooled_over_their_clips():
    sure = FoldConfidence(1.2, 0.7, (0.5, 0.5), (0.9, 0.6), (True, False), (True, False))
    unsure = FoldConfidence(0.8, 0.95, (0.5, 0.5), (0.9, 0.6), (True, True), (False, True))
    got = pool_confidence([sure, unsure])
    assert got.temperatures == (1.2, 0.8)
    # One of four clips is at or above its fold's threshold, and it is right.
    assert (got.precision, got.coverage) == (1.0, 0.25)
    # Bins of 0.9 and 0.6 hold two clips each, one of which is right.
    assert got.error == pytest.approx((0.4 + 0.1) / 2)
    assert got.error_by_fold == pytest.approx(((0.1 + 0.6) / 2 + (0.9 + 0.4) / 2) / 2)
    assert got.error_before == pytest.approx(0.25)


def test_the_section_roots_the_debiased_error_after_averaging():
    fold = FoldConfidence(1.0, 0.5, (0.8,) * 4, (0.7,) * 4, (True,) * 4, (True,) * 4)
    proud = FoldConfidence(1.0, 0.5, (0.8,) * 4, (0.9,) * 4, (True,) * 4, (False,) * 4)
    text = confidence_section([pool_confidence([fold]), pool_confidence([proud])], 0.9)
    # No bin has any spread: gaps of 0.3 and 0.9, so the root of (0.09 + 0.81) / 2.
    assert "root of squared and debiased | 0.200 | 0.671 | 0 |" in text
    # One bin each, gaps of 0.3 and 0.9.
    assert "the folds', bins by sweep | 0.200 | 0.600 |" in text


def test_folds_that_do_not_prove_the_stated_precision_are_counted():
    fold = FoldConfidence(1.0, 0.95, (0.5,), (0.9,), (True,), (True,))
    got = pool_confidence([fold, replace(fold, threshold=0.8, is_proven=False)])
    assert (got.precision, got.coverage, got.unproven) == (1.0, 0.5, 1)
    text = confidence_section([got], 0.9)
    assert "stated precision 90.0%: of the 50.0% of the held-out clips that were answered" in text
    assert "In 1 of 2 folds the training clips do not prove that precision" in text


def test_a_precision_that_is_not_proven_is_said_once_and_the_supported_one_applied():
    got = confidence_report(
        [0.9, 0.6], [0.9, 0.6], [True, True], 1.0, "x", 0.7, 0.9, applied=0.71, note="not proven"
    )
    assert (got.rejection.stated_precision, got.rejection.applied_precision) == (0.9, 0.71)
    text = confidence_markdown(got)
    assert "Unsure rule: not proven." in text
    assert "Unsure below a score of 0.700, chosen for a precision of 71.0%: here 1 answers" in text
    names = [one.get_text() for one in risk_coverage_picture(got).legends[0].get_texts()]
    assert names[0] == "supported: 29% wrong"


def test_classes_left_out_are_averaged_and_written(tmp_path):
    rows = (ClassLeftOut("a", (0.9, 0.8), (0.7,)), ClassLeftOut("b|c", (0.9,), (0.95,)))
    write_unknown_report(UnknownReport("run", "data", rows), tmp_path)
    text = (tmp_path / "report.md").read_text("utf-8")
    assert "known against unknown: **0.500**" in text
    assert "| a | 1 | 2 | 1.000 |" in text
    assert "| b\\|c | 1 | 1 | 0.000 |" in text


def test_pictures_of_trust_have_room_and_show_both_sides():
    rng = np.random.default_rng(0)
    scores = rng.uniform(0.5, 1, 60)
    right = rng.random(60) < scores
    got = confidence_report(scores**2, scores, right, 1.3, "x", 0.8, 0.9)
    risk = risk_coverage_picture(got)
    check_texts(risk)
    assert [text.get_text() for text in risk.legends[0].get_texts()] == [
        "stated: 10% wrong",
        "unsure below 0.80",
    ]
    both = reliability_picture(got.after, 0.1, (got.before, 0.2))
    check_texts(both)
    titles = [axes.get_title() for axes in both.axes]
    assert titles[0].startswith("before calibration: expected calibration error 0.200")
    assert titles[1].startswith("after: expected calibration error 0.100")
