import numpy as np
import pytest
from helpers.figures import check_texts

from action_gru.report.anytime import SHARES, anytime_report

STEPS = len(SHARES)  # 20


def right_from(*steps: int) -> np.ndarray:
    """Clips that are right from a step on; 99: never. After the first frame as after step 0."""
    return np.array([[max(step, 0) >= first for step in range(-1, STEPS)] for first in steps])


def two_seconds(count: int) -> np.ndarray:
    """Prefixes of clips of 2 s: 0 s, 0.1 s, 0.2 s, ..."""
    return np.tile(np.arange(STEPS + 1) / 10, (count, 1))


def report(hits, chance=0.0, labels=None):
    count = len(hits)
    names = labels or ["a"] * count
    return anytime_report(hits, two_seconds(count), names, [f"g{n}" for n in range(count)], chance)


def test_the_curves_end_in_the_final_accuracy():
    got = report(right_from(0, 9, 9, 99))
    assert [got.by_share[index].accuracy for index in (0, 8, 9, 19)] == [0.25, 0.25, 0.75, 0.75]
    assert (got.by_second[0].at, got.by_second[0].accuracy) == (0.0, 0.25)  # the first frame
    assert got.by_second[-1].accuracy == got.final == 0.75
    assert got.by_share[9].at == 0.5


def test_the_sentence_names_when_the_gain_was_there():
    got = report(right_from(0, 9, 9, 9), chance=0.25)
    # Half of the way from 0.25 to 1 is 0.625: there from step 9 on, half of the clip, at 1 s.
    assert got.sentence == (
        "Half of the gain over guessing is there after 50% of the clip, 90% of it after 50%. "
        "By time from each clip's start: half after 1.00 s, 90% after 1.00 s."
    )


def test_accuracy_that_falls_again_has_not_arrived():
    hits = right_from(0, 0)
    hits[:, 11] = False
    assert report(hits).reached(0.5, report(hits).by_share) == 0.6


def test_a_model_that_only_guesses_names_no_instant():
    for hits in (right_from(0, 99), right_from(0, 0)):  # two of two may be luck
        got = report(hits, chance=0.5)
        assert got.reached(0.5, got.by_share) is None
        assert got.sentence.startswith("Even the whole clip is not shown to be better than guess")


def test_shares_and_times_are_told_each_from_its_own_curve():
    """A long clip needs little of itself and much time, short ones much of themselves."""
    seen = np.vstack([two_seconds(3), 10 * two_seconds(1)])
    got = anytime_report(right_from(9, 9, 9, 1), seen, ["a"] * 4, list("abcd"), 0.0)
    assert got.sentence == (
        "Half of the gain over guessing is there after 50% of the clip, 90% of it after 50%. "
        "By time from each clip's start: half after 1.73 s, 90% after 2.59 s."
    )


def test_what_the_first_frame_says_is_there_at_once():
    got = report(right_from(0, 0))
    assert got.sentence.endswith("By time from each clip's start: half at once, 90% at once.")


@pytest.mark.parametrize(
    ("unit", "sentence", "settled", "label"),
    [
        ("s", "By time from each clip's start: half after 10.00 s", "10.00 s", "seconds seen"),
        ("rows", "By rows from each clip's start: half after 10 rows", "10 rows", "rows seen"),
        ("$cyc_le$", r"By \$cyc\_le\$ from each clip's start: half after 10,", "10",
         "$cyc_le$ since the first row"),
    ],
)  # fmt: skip
def test_times_are_told_in_the_unit_of_the_data(unit, sentence, settled, label):
    seen = np.tile(np.arange(STEPS + 1.0), (4, 1))
    got = anytime_report(right_from(9, 9, 9, 9), seen, ["a"] * 4, list("abcd"), 0.0, unit=unit)
    text = got.markdown()
    assert sentence in text
    assert f"| a | {settled} |" in text
    assert got.to_json()["unit"] == unit
    figure = got.plot()
    check_texts(figure)
    assert figure.axes[1].get_xlabel() == label


def test_a_share_of_a_row_is_no_instant():
    seen = np.tile(np.clip(np.round(np.arange(STEPS + 1) * 0.4), 1, 8), (2, 1))  # 8 rows
    got = anytime_report(right_from(0, 9), seen, ["a"] * 2, ["g", "h"], 0.0, unit="rows")
    assert [point.at for point in got.by_second] == [1, 2, 3, 4, 5, 6, 7, 8]


def test_the_curve_over_time_starts_with_an_answer_of_every_clip():
    """A clip's first part may be long: until then the first frame answers, not nobody."""
    seen = two_seconds(2)
    seen[1] *= 30
    curve = anytime_report(right_from(0, 0), seen, ["a"] * 2, ["g", "h"], 0.5).plot()
    line = next(line for line in curve.axes[1].lines if line.get_label() == "accuracy")
    assert (line.get_xdata()[0], line.get_ydata().min()) == (0.0, 1.0)


def test_a_class_settles_at_the_median_of_its_right_clips():
    hits = right_from(0, 4, 9, 99, 99)
    got = report(hits, labels=["a", "a", "a", "a", "b"])
    assert got.settled_s == {"a": pytest.approx(0.5), "b": None}


def test_the_anytime_picture_has_both_clocks():
    figure = report(right_from(0, 9, 9, 99)).plot()
    check_texts(figure)
    assert [axes.get_xlabel() for axes in figure.axes] == [
        "share of the clip seen, %",
        "seconds seen",
    ]
    curve = next(line for line in figure.axes[0].lines if line.get_label() == "accuracy")
    assert curve.get_ydata()[-1] == 0.75
