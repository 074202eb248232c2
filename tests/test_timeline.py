import json
from dataclasses import FrozenInstanceError

import numpy as np
import pytest

from action_gru.core.errors import ConfigError, DataError
from action_gru.timeline import Prediction


def test_probabilities_are_ranked_best_first():
    got = Prediction.from_probabilities(["run", "jump", "fall"], np.float32([0.25, 0.5, 0.25]), 3)
    assert got == Prediction(("jump", "run", "fall"), (0.5, 0.25, 0.25), 3.0)
    assert (got.label, got.score, got.time_s) == ("jump", 0.5, 3.0)


def test_of_equal_scores_the_class_listed_first_wins():
    names = tuple(f"class {number}" for number in range(40, 0, -1))
    got = Prediction.from_probabilities(names, [0.01, 0.04] * 20)
    assert got.labels == names[1::2] + names[::2]


def test_top_gives_at_most_all_classes():
    got = Prediction(("a", "b"), (0.75, 0.25))
    assert got.top(1) == [("a", 0.75)]
    assert got.top(5) == [("a", 0.75), ("b", 0.25)]
    with pytest.raises(ConfigError, match="k: how many classes, from 0 on; got str 'two'"):
        got.top("two")


def test_json_keeps_the_order_and_plain_numbers():
    got = Prediction.from_probabilities(["a", "ж"], np.float32([0.25, 0.75]), 1.5).to_json()
    assert json.dumps(got, ensure_ascii=False) == (
        '{"label": "ж", "score": 0.75, "unsure": false, "time_s": 1.5, '
        '"scores": {"ж": 0.75, "a": 0.25}}'
    )


def test_an_unsure_answer_is_told_in_the_same_words_everywhere():
    assert Prediction(("kick", "punch"), (0.6, 0.4)).display_label == "kick"
    assert (
        Prediction(("kick", "punch"), (0.6, 0.4), unsure=True).display_label
        == "unsure, perhaps kick"
    )


def test_half_precision_softmax_of_many_classes_is_accepted():
    logits = np.random.default_rng(0).normal(size=101)
    halves = (np.exp(logits) / np.exp(logits).sum()).astype(np.float16)
    assert len(Prediction.from_probabilities([str(i) for i in range(101)], halves).labels) == 101


def test_a_prediction_cannot_be_changed():
    with pytest.raises(FrozenInstanceError):
        Prediction(("a",), (1.0,)).time_s = 2.0  # type: ignore[misc]


@pytest.mark.parametrize(
    ("labels", "scores", "time_s", "text"),
    [
        ((), (), 0.0, "got 0 labels and 0 scores"),
        (("a", "b"), (1.0,), 0.0, "got 2 labels and 1 scores"),
        (("a", "a"), (0.5, 0.5), 0.0, "names each class once"),
        (("a", "b"), (0.25, 0.75), 0.0, "best first; got [0.25, 0.75]"),
        (("a", "b"), (1.5, -0.5), 0.0, "from 0 to 1; got [1.5, -0.5]"),
        (("a", "b"), (float("nan"), 0.5), 0.0, "from 0 to 1; got [nan, 0.5]"),
        (("a", "b"), (0.5, 0.25), 0.0, "which sum to 0.750: apply softmax first"),
        (("a",), (1.0,), float("inf"), "finite time_s; got inf"),
    ],
)
def test_what_is_no_prediction_is_refused(labels, scores, time_s, text):
    with pytest.raises(DataError) as error:
        Prediction(labels, scores, time_s)
    assert text in str(error.value)


def test_probabilities_of_another_length_are_refused():
    with pytest.raises(DataError, match=r"2 classes need .* \(2,\); got \(3,\)"):
        Prediction.from_probabilities(["a", "b"], [0.2, 0.3, 0.5])


def test_a_prediction_speaks_of_the_middle_of_what_it_rests_on():
    assert Prediction(("a",), (1.0,), 3.0, 1.0).centre_s == 2.0
    assert Prediction(("a",), (1.0,), 3.0, 3.0).centre_s == 3.0
    assert Prediction(("a",), (1.0,), 3.0).centre_s == 3.0
    assert Prediction.from_probabilities(["a"], [1.0], 3, 1).since_s == 1.0


@pytest.mark.parametrize("since_s", [3.5, float("nan")])
def test_a_prediction_rests_on_nothing_after_its_time(since_s):
    with pytest.raises(DataError, match=f"since_s lies before time_s; got {since_s} and 3"):
        Prediction(("a",), (1.0,), 3.0, since_s)


def test_probabilities_come_in_the_order_asked_for():
    got = Prediction.from_probabilities(["run", "jump", "fall"], [0.2, 0.5, 0.3])
    assert got.probabilities(["fall", "jump", "run"]).tolist() == [0.3, 0.5, 0.2]
