import numpy as np
import pytest

from action_gru.report.calibration_error import (
    root_of_mean,
    squared_calibration_error,
    sweep_calibration_error,
)
from action_gru.report.confidence import equal_bins_error


def test_the_sweep_stops_before_accuracy_falls():
    scores = [0.5, 0.6, 0.7, 0.8, 0.9, 1.0]
    # Right of 2 bins: 2/3, 2/3; of 3: 1/2, 1/2, 1; of 4: 1/2, 1, 1/2, 1, which falls.
    right = [False, True, True, False, True, True]
    expected = (abs(1 - 1.1) + abs(1 - 1.5) + abs(2 - 1.9)) / 6
    assert sweep_calibration_error(scores, right) == pytest.approx(expected)
    # 2 bins fall, 3 would rise again: one bin, where 3 of 5 are right and 3.5 were promised.
    assert sweep_calibration_error(scores[:5], [False, True, True, False, True]) == pytest.approx(
        0.1
    )
    # Accuracy falls with the score: one bin, where 3 of 6 are right and 4.5 were promised.
    falling = [True, True, True, False, False, False]
    assert sweep_calibration_error(scores, falling) == pytest.approx(1.5 / 6)


def test_the_order_of_the_clips_does_not_matter():
    scores, right = np.array([0.9, 0.5, 0.7, 0.6]), np.array([True, False, False, True])
    turned = scores[::-1], right[::-1]
    assert sweep_calibration_error(scores, right) == sweep_calibration_error(*turned)
    assert squared_calibration_error(scores, right) == squared_calibration_error(*turned)


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


def test_a_root_is_never_below_nothing():
    assert root_of_mean([-0.02, 0.01]) == 0.0
    assert root_of_mean([0.01, 0.03]) == pytest.approx(0.02**0.5)


@pytest.mark.parametrize(("shift", "truth"), [(0.0, 0.0), (0.08, 0.08)])
def test_forty_clips_mislead_equal_bins_most_and_the_debiased_error_not(shift, truth):
    rng = np.random.default_rng(0)
    found = []
    for _ in range(400):
        scores = 0.5 + 0.5 * rng.beta(2, 1, 40)
        right = rng.random(40) < scores - shift
        squared = squared_calibration_error(scores, right)
        found.append(
            (equal_bins_error(scores, right), sweep_calibration_error(scores, right), squared)
        )
    equal, sweep, squared = np.mean(found, axis=0)
    assert equal - truth > 0.05  # by far, though the scores are perfect or nearly so
    assert abs(sweep - truth) < equal - truth
    assert squared == pytest.approx(truth**2, abs=0.002)
