import numpy as np
import pytest

from action_gru.report.evaluation import closing_sentence
from action_gru.report.metrics import compute_metrics

CLASSES = ["kick", "punch", "rare"]


def metrics(labels, predicted, classes=CLASSES):
    """Labels and answers by name."""
    number = {name: index for index, name in enumerate(classes)}
    scores = np.eye(len(classes))[[number[name] for name in predicted]]
    return compute_metrics([number[name] for name in labels], scores, classes)


def said(labels, predicted, interval=(0.352, 0.936), better=True, clips="new clips", **more):
    return closing_sentence(metrics(labels, predicted, **more), interval, better, clips)


def test_the_sentence_has_counts_an_interval_and_what_looks_like_what():
    labels = ["kick"] * 3 + ["punch"] * 3 + ["rare"]
    predicted = ["kick"] * 3 + ["punch", "kick", "kick", "rare"]
    assert said(labels, predicted) == (
        "Right on 5 of 7 new clips (35 to 94 %); punch looks like kick (2 of 3)."
    )


def test_a_single_slip_is_no_confusion():
    text = said(["kick", "kick", "punch", "rare"], ["kick", "punch", "punch", "rare"])
    assert text == "Right on 3 of 4 new clips (35 to 94 %)."


def test_a_confusion_of_few_among_many_is_not_named():
    text = said(["kick"] * 20 + ["punch", "rare"], ["kick"] * 17 + ["rare"] * 3 + ["punch", "rare"])
    assert "looks like" not in text


@pytest.mark.parametrize(
    ("interval", "text"),
    [
        ((0.621, 1.0), "(62 to 100 %)"),
        ((0.42857, 0.9301), "(42 to 94 %)"),  # rounded outwards
        (None, "(no interval: all are of one group)"),
    ],
)
def test_the_interval_is_never_told_too_narrow(interval, text):
    assert text in said(["kick", "punch", "rare"], ["kick", "punch", "rare"], interval)


def test_a_model_that_may_be_guessing_is_said_to_be():
    text = said(["kick", "punch", "rare"], ["kick", "punch", "rare"], better=False)
    assert ", which is not shown to be better than guessing." in text


def test_classes_without_a_clip_are_named():
    text = said(["kick"], ["kick"])
    assert text.endswith(
        "There is no clip of punch and rare among them: the score says nothing of these."
    )
    assert said(["kick", "punch"], ["kick", "punch"]).endswith(
        "There is no clip of rare among them: the score says nothing of it."
    )


def test_of_many_classes_without_a_clip_the_count_is_said():
    names = [f"class_{n:03d}" for n in range(400)]
    text = said(names[:100], names[:100], classes=names)
    assert text.endswith(
        "no clip of 300 of 400 classes among them: the score says nothing of these."
    )
    assert len(text) < 200
