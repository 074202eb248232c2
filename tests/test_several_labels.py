"""Several labels at once, from arrays to reports: each class is learned and scored by itself."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from helpers import ROOT
from helpers.toy_training import many_set

from action_gru.apps.export import export_run
from action_gru.config import Config, build_config
from action_gru.core.errors import ConfigError
from action_gru.core.progress import Reporter
from action_gru.evaluation.cross_validation import cross_validate, leave_classes_out
from action_gru.evaluation.evaluate import evaluate
from action_gru.report.metrics import average_precision
from action_gru.report.several_metrics import (
    _weighed,
    compute_many,
    frequency_baseline,
    precision_interval,
)
from action_gru.series.recognizer import SequenceRecognizer
from action_gru.training import load_checkpoint, train

QUIET = Reporter(quiet=True)
NAMES = ("falls", "rises", "low", "high")


def many_config(folder: Path, **training) -> Config:
    """96 arrays of 12 groups, 4 of them for the test: two labels each, three times also a rare one,
    and some show nothing.
    """
    made = many_set(96)
    rows = ["path,label,group,split"]
    for number, (start, targets) in enumerate(zip(made.starts, made.labels, strict=True)):
        values = made.values[start : start + 8].float().numpy()
        shown = [name for name, is_shown in zip(NAMES, targets, strict=True) if is_shown]
        if number % 32 == 5:
            values, shown = values * 3, [*shown, "loud"]
        if number % 9 == 0:
            values, shown = values * 0.01, []
        np.save(folder / f"{number}.npy", values)
        split = "test" if number % 12 in (0, 3, 5, 8) else "train"
        rows.append(f"{number}.npy,{'; '.join(shown)},g{number % 12},{split}")
    (folder / "manifest.csv").write_text("\n".join(rows) + "\n")
    options = {
        "epochs": 12,
        "batch_size": 8,
        "learning_rate": 0.01,
        "device": "cpu",
        "class_balance": "weights",
    }
    return build_config(
        {
            "run": {"folder": str(folder / "runs")},
            "data": {"kind": "arrays", "manifest": str(folder / "manifest.csv"), "labels": "many"},
            "model": {"projection_size": 8, "hidden_size": 8, "head_dropout": 0.1},
            "training": options | {"refit": False} | training,
        }
    )


@pytest.fixture(scope="module")
def many_run(tmp_path_factory):
    config = many_config(tmp_path_factory.mktemp("many"))
    return train(config, QUIET)


def test_a_run_learns_each_label_and_reports_it(many_run):
    report, folder = evaluate(many_run, QUIET)
    found = json.loads((folder / "report.json").read_text())
    assert found["labels"] == "many"
    by_class = {row["label"]: row for row in found["per_class"]}
    assert min(by_class[name]["average_precision"] for name in NAMES) > 0.95
    assert found["exact_match"] >= 0.8
    assert report.beats_guessing
    assert found["baselines"]["frequency"]["mean_average_precision"] < 0.6
    assert found["mean_average_precision_interval"][1] <= 1
    assert report.sentence.startswith("Mean average precision ")
    text = (folder / "report.md").read_text()
    assert "## Shown together" in text
    assert "fewer than 5 of these clips show loud" in text.lower()
    first = found["predictions"][0]
    assert set(first) >= {"true_labels", "predicted_labels"}
    assert (folder / "average_precision.png").is_file()


def test_thresholds_of_the_checkpoint_make_the_answer(many_run):
    checkpoint = load_checkpoint(many_run.path)
    assert checkpoint.model["many"]
    assert set(checkpoint.calibration.thresholds) == set(checkpoint.classes)
    recognizer = SequenceRecognizer.load(many_run.path, device="cpu")
    ramp = np.linspace(-1, 1, 8, dtype=np.float32)[:, None].repeat(2, 1)
    answer = recognizer.classify(np.concatenate([ramp, np.full((8, 2), -1, np.float32)], 1))
    assert set(answer.active) == {"rises", "low"}
    assert answer.display_label in ("rises + low", "low + rises")
    assert answer.to_json()["labels"] == list(answer.active)
    stream = recognizer.stream()
    values = np.concatenate([-ramp, np.full((8, 2), 1, np.float32)], 1)
    for time, row in enumerate(values):
        running = stream.push(row, time)
    whole = recognizer.classify(values)
    assert running.probabilities(NAMES) == pytest.approx(whole.probabilities(NAMES), abs=1e-5)
    assert set(running.active) == {"falls", "high"}


@pytest.mark.parametrize(
    "override", ["model.closed_form=true", "series.step_labels=true", "series.horizon=3"]
)
def test_what_needs_one_label_is_refused(tmp_path, override):
    with pytest.raises(ConfigError, match="does not go with data"):
        build_config(many_config(tmp_path).to_tree(), [override])


TRUTH = np.array([[1, 0, 0], [1, 1, 0], [0, 1, 0], [0, 0, 0]], bool)
SCORES = np.array([[0.9, 0.2, 0.1], [0.8, 0.7, 0.1], [0.85, 0.6, 0.2], [0.1, 0.1, 0.1]])


def test_every_class_is_a_question_of_its_own():
    found = compute_many(TRUTH, SCORES, SCORES >= 0.65, "abc", [0.65] * 3)
    first, second, third = found.per_class
    assert first.average_precision == pytest.approx((1 + 2 / 3) / 2)
    assert (first.precision, first.recall, first.f1) == (2 / 3, 1.0, 0.8)
    assert (second.average_precision, second.recall) == (1.0, 0.5)
    assert (third.average_precision, third.f1, third.support) == (None, None, 0)
    assert found.mean_average_precision == pytest.approx((5 / 6 + 1) / 2)
    assert found.exact_match == 0.75
    assert found.hamming == pytest.approx(2 / 12)
    assert found.together.tolist() == [[2, 1, 0], [1, 2, 0], [0, 0, 0]]
    assert found.classes_without_clips == ("c",)


def test_guessing_by_frequency_reaches_the_share_of_each_class():
    trained = np.array([[1, 0, 0], [1, 1, 0], [1, 0, 0]], bool)
    found = frequency_baseline(trained, TRUTH, "abc")
    assert [row.average_precision for row in found.per_class] == [0.5, 0.5, None]
    assert found.per_class[0].recall == 1.0
    assert found.exact_match == 0.25


def test_the_interval_of_mean_average_precision_is_wider_over_fewer_groups():
    rng = np.random.default_rng(0)
    truth = rng.random((120, 2)) < 0.4
    scores = truth * 0.5 + rng.random((120, 2)) * 0.8
    widths = []
    for count in (4, 60):
        low, high = precision_interval(truth, scores, [f"g{n % count}" for n in range(120)], 0)
        observed = np.mean([average_precision(scores[:, c], truth[:, c]) for c in range(2)])
        assert low <= observed <= high
        widths.append(high - low)
    assert widths[0] > 0
    assert precision_interval(truth, scores, ["g"] * 120, 0) is None


def test_an_average_by_equal_weights_is_the_average_precision():
    scores = np.array([0.9, 0.8, 0.8, 0.3, 0.1])
    truth = np.array([True, False, True, True, False])
    weighed = _weighed(truth, scores, np.ones((1, 5)), np.zeros((2, 1)))
    assert weighed[0] == pytest.approx(average_precision(scores, truth))


def test_a_perfect_ranking_of_few_groups_is_no_certainty():
    truth = np.array([[True, False]] * 4 + [[False, True]] * 4)
    low, high = precision_interval(truth, truth * 0.8 + 0.1, ["a", "b"] * 4, 0)
    assert low < 0.75
    assert high == 1.0
    widely = precision_interval(
        np.tile(truth, (5, 1)), np.tile(truth * 0.8, (5, 1)), [str(n) for n in range(40)], 0
    )
    assert widely[0] > 0.9


@pytest.mark.slow
def test_cross_validation_pools_its_folds_and_names_its_baselines(tmp_path):
    config = many_config(tmp_path, epochs=6)
    report, folder = cross_validate(config, 2, 1, QUIET)
    assert report is None
    found = json.loads((folder / "report.json").read_text())
    assert found["clips"] == 64  # the test clips are left out
    assert found["mean_average_precision_mean"] > found["frequency_mean_average_precision_mean"]
    assert found["mean_average_precision_mean"] == found["mean_average_precision"]
    assert found["mean_pooled_macro_f1_mean"] > 0
    assert "mean-pooled features" in (folder / "report.md").read_text()
    with pytest.raises(ConfigError, match="leaving a class out needs one label a clip"):
        leave_classes_out(config, 2, QUIET)


@pytest.mark.slow
def test_an_export_says_how_its_logits_are_read(many_run, tmp_path):
    folder, _ = export_run(many_run.path, "onnx", tmp_path / "out", [], QUIET)
    checkpoint, recognizer = load_checkpoint(many_run.path), SequenceRecognizer.load(many_run.path)
    values, stream = np.load(many_run.config().data.manifest.parent / "3.npy"), recognizer.stream()
    table = ["id,time," + ",".join(recognizer.channels)]
    table += [f"x,{time}," + ",".join(map(str, row)) for time, row in enumerate(values)]
    (tmp_path / "rows.csv").write_text("\n".join(table))
    answers = [stream.push(row, time) for time, row in enumerate(values)]
    example = ROOT / "examples" / "onnx_watch.py"
    said = subprocess.run(
        [sys.executable, str(example), str(folder), str(tmp_path / "rows.csv")],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    for line, answer in zip(said.stdout.splitlines(), answers, strict=True):
        _, _, label, score = line.split(maxsplit=2)[:2] + line.split(maxsplit=2)[2].rsplit(" ", 1)
        assert label == (" + ".join(answer.active) or "nothing")
        assert float(score) == pytest.approx(answer.score, abs=2e-4)
    assert len(checkpoint.thresholds) == len(checkpoint.classes)
