import numpy as np
import pytest
from test_pictures import check_texts

from action_gru.errors import DataError
from action_gru.evaluation.anytime import SHARES, anytime_report
from action_gru.evaluation.anytime_picture import anytime_picture

STEPS = len(SHARES)  # 20


def right_from(*steps: int) -> np.ndarray:
    """Clips that are right from a step on; 99: never."""
    return np.array([[step >= first for step in range(STEPS)] for first in steps])


def two_seconds(count: int) -> np.ndarray:
    """Prefixes of clips of 2 s: 0.1 s, 0.2 s, ..."""
    return np.tile(np.arange(1, STEPS + 1) / 10, (count, 1))


def report(hits, chance=0.0, labels=None):
    count = len(hits)
    names = labels or ["a"] * count
    return anytime_report(hits, two_seconds(count), names, [f"g{n}" for n in range(count)], chance)


def test_the_curves_end_in_the_final_accuracy():
    got = report(right_from(0, 9, 9, 99))
    assert [got.by_share[index].accuracy for index in (0, 8, 9, 19)] == [0.25, 0.25, 0.75, 0.75]
    assert got.by_second[0].accuracy == 0.0  # at 0 s nothing was read
    assert got.by_second[-1].accuracy == got.final == 0.75
    assert got.by_share[9].at == 0.5


def test_the_sentence_names_when_the_gain_was_there():
    got = report(right_from(0, 9, 9, 9), chance=0.25)
    # Half of the way from 0.25 to 1 is 0.625: there from step 9 on, half of the clip, at 1 s.
    assert got.sentence == (
        "Half of the gain over guessing is there after 50% of the clip (1.00 s), "
        "90% of it after 50% of the clip (1.00 s)."
    )


def test_accuracy_that_falls_again_has_not_arrived():
    hits = right_from(0, 0)
    hits[:, 10] = False
    assert report(hits).reached(0.5, report(hits).by_share) == 0.6


def test_a_model_that_only_guesses_names_no_instant():
    got = report(right_from(0, 99), chance=0.5)
    assert got.reached(0.5, got.by_share) is None
    assert got.sentence.startswith("The whole clip is no better than guessing")


def test_a_class_settles_at_the_median_of_its_right_clips():
    hits = right_from(0, 4, 9, 99, 99)
    got = report(hits, labels=["a", "a", "a", "a", "b"])
    assert got.settled_s == {"a": pytest.approx(0.5), "b": None}


def test_answers_of_another_shape_are_refused():
    with pytest.raises(DataError, match=r"needs 20 answers and times a clip; got \(2, 3\)"):
        anytime_report(np.ones((2, 3)), np.ones((2, 3)), ["a", "a"], ["g", "h"], 0.5)


def test_the_anytime_picture_has_both_clocks():
    figure = anytime_picture(report(right_from(0, 9, 9, 99)))
    check_texts(figure)
    assert [axes.get_xlabel() for axes in figure.axes] == [
        "share of the clip seen, %",
        "seconds seen",
    ]
    curve = next(line for line in figure.axes[0].lines if line.get_label() == "accuracy")
    assert curve.get_ydata()[-1] == 0.75
