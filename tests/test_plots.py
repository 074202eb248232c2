import numpy as np
import pytest
from helpers.figures import check_texts, long_names

from action_gru.report.metrics import compute_metrics
from action_gru.report.plots import (
    DPI,
    plot_classes,
    plot_confusion,
    plot_reliability,
    plot_training,
    save_figure,
    short_names,
)

SIZES = (2, 8, 26, 101, pytest.param(400, marks=pytest.mark.slow))
READABLE_PX = 4000


def metrics(count):
    rng = np.random.default_rng(0)
    labels = np.concatenate([np.arange(count), rng.integers(count, size=3 * count)])
    probabilities = rng.dirichlet(np.ones(count), size=len(labels))
    return compute_metrics(labels, (probabilities + np.eye(count)[labels]) / 2, long_names(count))


@pytest.mark.parametrize("count", SIZES)
def test_texts_of_the_confusion_matrix_have_room(count):
    got = metrics(count)
    figure = plot_confusion(got.confusion_matrix, got.classes)
    check_texts(figure)
    written = [text.get_text() for text in figure.axes[0].texts]
    shown = got.confusion_matrix[got.confusion_matrix > 0] if count <= 30 else []
    assert written == [str(value) for value in shown]
    assert max(figure.get_size_inches()) * DPI < READABLE_PX
    title = "the 150 most confused of 400 classes" if count == 400 else ""
    assert figure.axes[0].get_title() == title


def test_the_matrix_of_many_classes_shows_those_that_are_mistaken():
    counts = 4 * np.eye(400, dtype=np.int64)
    counts[399, 7] = 2
    figure = plot_confusion(counts, [f"c{n}" for n in range(400)])
    names = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert len(names) == 150
    assert {"c399", "c7"} <= set(names)
    shares = figure.axes[0].images[0].get_array()
    assert shares[names.index("c399"), names.index("c7")] == pytest.approx(2 / 6)


@pytest.mark.parametrize("count", SIZES)
def test_texts_of_the_class_bars_have_room(count):
    figure = plot_classes(metrics(count).per_class)
    check_texts(figure)
    assert max(figure.get_size_inches()) * DPI < READABLE_PX


def test_bars_of_many_classes_are_of_those_least_often_right_and_say_so():
    labels = np.arange(300)  # of a hundred classes there is no clip
    predicted = np.where(labels == 250, 0, labels)
    names = [f"c{n}" for n in range(400)]
    rows = compute_metrics(labels, np.eye(400)[predicted], names).per_class
    axes = plot_classes(rows).axes[0]
    names = [label.get_text() for label in axes.get_yticklabels()]
    assert (names[0], len(names)) == ("c250", 150)
    assert axes.get_title().endswith("the 150 least often right of 400 classes")
    assert axes.get_title().startswith("mean over classes: 99.7%")


def test_class_bars_stand_best_on_top_and_tell_none_from_zero():
    got = compute_metrics([0, 0, 1], [[0.8, 0.1, 0.1]] * 3, ["a", "b", "c"])
    axes = plot_classes(got.per_class).axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["c", "b", "a"]
    assert [text.get_text() for text in axes.texts] == ["no clip", "0 of 1", "2 of 2"]


def test_reliability_picture_has_one_bar_a_bin():
    got = metrics(8)
    figure = plot_reliability(got.calibration)
    check_texts(figure)
    heights = [bar.get_height() for bar in figure.axes[0].patches]
    assert heights == [one.accuracy or 0.0 for one in got.calibration]


@pytest.mark.parametrize("epochs", [1, 3, 60])
def test_training_picture_has_a_panel_a_kind(epochs):
    history = [
        {"train_loss": 1 / (i + 1), "val_loss": 0.5, "val_accuracy": 0.5, "lr": 1e-3}
        for i in range(epochs)
    ]
    figure = plot_training(history)
    check_texts(figure)
    assert [axes.get_title() for axes in figure.axes] == ["loss", "accuracy", "learning rate"]
    assert [len(axes.lines) for axes in figure.axes] == [2, 1, 1]


def test_training_picture_takes_the_keys_of_the_training_loop():
    row = {"loss": 1.0, "accuracy": 0.5, "learning_rate": 1e-3, "val_loss": 1.0, "seconds": 2.0}
    axes = plot_training([row, row]).axes
    assert [[line.get_label() for line in one.lines] for one in axes] == [
        ["loss", "val_loss"],
        ["accuracy"],
        ["learning_rate"],
    ]


def test_a_value_missing_in_one_epoch_leaves_a_gap():
    line = plot_training([{"loss": 1.0}, {}, {"loss": 0.5}]).axes[0].lines[0]
    assert np.isnan(line.get_ydata()).tolist() == [False, True, False]


def test_long_names_are_cut_and_stay_different():
    same = "a very long name with the number {} in its middle"
    got = short_names([same.format(1), "jump", same.format(2), "two\nlines"])
    cut = "a very long na…in its middle"
    assert got == [f"1: {cut}", "jump", f"3: {cut}", "two lines"]


def test_a_picture_is_written_whatever_the_names_hold(tmp_path):
    figure = plot_confusion(np.eye(2, dtype=np.int64), [r"$\frac$", "a_b^c"])
    save_figure(figure, tmp_path / "new" / "one.png")
    assert (tmp_path / "new" / "one.png").read_bytes()[:4] == b"\x89PNG"
