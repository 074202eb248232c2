import numpy as np
import pytest
import torch

from action_gru.core.errors import DataError
from action_gru.report.metrics import (
    FoldSummary,
    best_guess,
    compute_metrics,
    fold_summary,
    group_bootstrap_interval,
    lies_above,
    majority_baseline,
)

ABC = ["a", "b", "c"]


def sure(predicted, num_classes=3, score=0.8):
    """Probabilities (N, C): `score` for the predicted class, the rest shared out."""
    values = np.full((len(predicted), num_classes), (1 - score) / (num_classes - 1))
    values[np.arange(len(predicted)), predicted] = score
    return values


def test_metrics_of_six_clips_are_those_worked_out_by_hand():
    got = compute_metrics([0, 0, 0, 1, 1, 2], sure([0, 0, 1, 1, 2, 0]), ABC)
    assert got.confusion_matrix.tolist() == [[2, 1, 0], [0, 1, 1], [1, 0, 0]]
    assert (got.clips, got.top1, got.top5) == (6, 0.5, 1.0)
    assert got.mean_class_accuracy == pytest.approx((2 / 3 + 1 / 2 + 0) / 3)
    assert got.macro_f1 == pytest.approx((2 / 3 + 1 / 2 + 0) / 3)
    assert got.expected_calibration_error == pytest.approx(0.3)  # always 0.8, right half the time
    assert [row.support for row in got.per_class] == [3, 2, 1]
    assert [row.precision for row in got.per_class] == pytest.approx([2 / 3, 1 / 2, 0])
    assert [row.recall for row in got.per_class] == pytest.approx([2 / 3, 1 / 2, 0])


def test_a_class_without_a_clip_is_left_out_of_the_averages():
    # c is predicted once and never true: torchmetrics' own macro average would give 0.5.
    got = compute_metrics([0, 0, 1], sure([0, 2, 1]), ABC)
    assert got.mean_class_accuracy == 0.75
    assert got.macro_f1 == pytest.approx((2 / 3 + 1) / 2)
    empty = got.per_class[2]
    assert (empty.support, empty.precision, empty.recall, empty.f1) == (0, 0.0, None, None)


def test_a_class_that_is_never_predicted_has_no_precision():
    got = compute_metrics([0, 1], sure([0, 0], 2), ["a", "b"]).per_class[1]
    assert (got.support, got.precision, got.recall, got.f1) == (1, None, 0.0, 0.0)


def test_one_clip_and_two_classes_are_enough():
    got = compute_metrics([1], [[0.25, 0.75]], ["a", "b"])
    assert (got.top1, got.top5, got.mean_class_accuracy, got.macro_f1) == (1.0, 1.0, 1.0, 1.0)
    assert got.expected_calibration_error == 0.25


def test_top5_takes_the_fifth_rank_and_not_the_sixth():
    ranked = [[0.3, 0.25, 0.2, 0.15, 0.06, 0.04]] * 2
    assert compute_metrics([4, 5], ranked, list("abcdef")).top5 == 0.5


def test_of_equal_probabilities_the_class_listed_first_wins():
    got = compute_metrics([0, 1], [[0.5, 0.5], [0.5, 0.5]], ["a", "b"])
    assert got.confusion_matrix.tolist() == [[1, 0], [1, 0]]


def test_calibration_bins_are_closed_on_the_right():
    # 1.0 (wrong) and 0.95 (right) share the last bin: |0.5 - 0.975|. Closed on the left it
    # would be 0.525. 0.6 is the right edge of the ninth bin.
    got = compute_metrics([1, 0], [[1.0, 0.0], [0.95, 0.05]], ["a", "b"])
    assert got.expected_calibration_error == pytest.approx(0.475)
    assert [one.clips for one in got.calibration] == [0] * 14 + [2]
    edge = compute_metrics([0], [[0.6, 0.4]], ["a", "b"]).calibration
    assert [one.clips for one in edge].index(1) == 8


def test_metrics_agree_with_torchmetrics_where_every_class_has_clips():
    from torchmetrics.functional import classification as reference  # imports scipy, for seconds

    rng = np.random.default_rng(0)
    labels, logits = rng.integers(7, size=300), torch.from_numpy(rng.normal(size=(300, 7)))
    probabilities, truth = logits.softmax(dim=1), torch.from_numpy(labels)
    got = compute_metrics(labels, probabilities.numpy(), list("abcdefg"))
    given = (probabilities, truth, 7)
    assert got.top1 == pytest.approx(reference.multiclass_accuracy(*given, "micro").item())
    top5 = reference.multiclass_accuracy(*given, average="micro", top_k=5)
    assert got.top5 == pytest.approx(top5.item())
    assert got.macro_f1 == pytest.approx(reference.multiclass_f1_score(*given).item())
    assert got.mean_class_accuracy == pytest.approx(reference.multiclass_recall(*given).item())
    error = reference.multiclass_calibration_error(*given, n_bins=15)
    assert got.expected_calibration_error == pytest.approx(error.item(), abs=1e-6)
    precision = reference.multiclass_precision(*given, average=None).tolist()
    assert [row.precision for row in got.per_class] == pytest.approx(precision)


@pytest.mark.parametrize(
    ("labels", "probabilities", "text"),
    [
        ([0, 1], [[0.5, 0.5], [float("nan"), 0.5]], "clip 1 has [nan"),
        ([0], [[4.0, -2.0]], "clip 0 has [4, -2]: apply softmax first"),
        ([0], [[0.2, 0.2]], "sum to 1 per clip"),
    ],
)
def test_what_is_no_distribution_is_refused(labels, probabilities, text):
    with pytest.raises(DataError) as error:
        compute_metrics(labels, probabilities, ["a", "b"])
    assert text in str(error.value)


def test_majority_baseline_answers_the_most_frequent_training_class():
    assert majority_baseline([0, 1, 1, 2], [1, 1, 0, 2]) == 0.5
    assert majority_baseline([1, 0, 1, 0], [0, 0, 1, 1, 1]) == 0.4  # a tie: the lower index
    assert majority_baseline([2, 2], [0, 1]) == 0.0


def test_fold_summary_uses_the_sample_deviation():
    assert fold_summary([0.5, 0.75, 1.0]) == FoldSummary(0.75, 0.25)
    assert fold_summary([0.5]) == FoldSummary(0.5, None)


def test_an_interval_counts_groups_not_clips():
    correct = [True] * 20 + [False] * 20
    low, high = group_bootstrap_interval(correct, ["x"] * 20 + ["y"] * 20, seed=0)
    assert low < 0.1
    assert high > 0.9
    low, high = group_bootstrap_interval(correct, [str(i) for i in range(40)], seed=0)
    assert low == pytest.approx(0.350, abs=0.01)  # of Jeffreys
    assert high == pytest.approx(0.650, abs=0.01)


# The interval of Jeffreys for k right of n, to the observed share at an end.
@pytest.mark.parametrize(
    ("right", "count", "low", "high"),
    [(5, 5, 0.621, 1.0), (0, 4, 0.0, 0.444), (5, 7, 0.352, 0.936), (100, 100, 0.975, 1.0)],
)
def test_an_interval_of_single_clips_is_that_of_jeffreys(right, count, low, high):
    correct = [True] * right + [False] * (count - right)
    got = group_bootstrap_interval(correct, [str(i) for i in range(count)], seed=1)
    assert got == (pytest.approx(low, abs=0.015), pytest.approx(high, abs=0.015))


@pytest.mark.parametrize("span", [(0.0, 1.0), (-1.0, 0.0), (-0.5, 0.5)])
@pytest.mark.parametrize("groups", [2, 5, 40])
@pytest.mark.parametrize("end", [0, 1])
def test_an_interval_has_a_width_where_all_groups_agree(span, groups, end):
    values = [span[end]] * (3 * groups)
    low, high = group_bootstrap_interval(
        values, [f"g{i // 3}" for i in range(len(values))], 0, span
    )
    assert (low, high)[end] == span[end]
    assert high - low > 0.5 / groups


def test_an_interval_repeats_itself_and_needs_two_groups():
    correct, groups = [True, False, True, True], ["a", "a", "b", "c"]
    first = group_bootstrap_interval(correct, groups, seed=3)
    assert first == group_bootstrap_interval(correct, groups, seed=3)
    assert group_bootstrap_interval(correct, ["a"] * 4, seed=3) is None


def test_the_best_guess_is_the_most_frequent_class_of_these_clips():
    assert best_guess(["a", "b", "b", "c"]) == 0.5
    assert not lies_above(None, 0.5)
    assert not lies_above((0.5, 1.0), 0.5)
    assert lies_above((0.51, 1.0), 0.5)
