import json
from pathlib import Path

import numpy as np
import pytest
from helpers.reports import small_report, sure

from action_gru.core.errors import ConfigError
from action_gru.report.cross_validation import CrossValidationReport, FoldResult, write_cv_report
from action_gru.report.evaluation import ClipPrediction, closing_sentence, write_report
from action_gru.report.metrics import compute_metrics
from action_gru.timeline import Prediction


def read(folder):
    def refuse(constant):
        raise AssertionError(f"{constant} is no JSON")

    return json.loads((folder / "report.json").read_text("utf-8"), parse_constant=refuse)


def test_report_json_holds_the_figures(tmp_path):
    path = write_report(small_report(quarantined={"bad.mp4": "no frame"}), tmp_path / "new")
    assert path == tmp_path / "new" / "report.json"
    got = read(path.parent)
    assert (got["clips"], got["groups"], got["top1"], got["top5"]) == (4, 4, 0.5, 1.0)
    assert got["confusion_matrix"] == [[1, 0, 1], [0, 1, 1], [0, 0, 0]]
    assert got["classes"] == ["run|walk", "b", "c"]
    assert got["mean_class_accuracy"] == 0.5
    assert got["macro_f1"] == pytest.approx(2 / 3)
    assert got["per_class"][2]["recall"] is None
    assert got["baselines"] == {"majority": 0.5, "mean_pooled": None}
    assert got["quarantined"] == [{"path": "bad.mp4", "reason": "no frame"}]
    assert got["leakage_allowed"] is False
    assert got["top1_interval"] == [pytest.approx(0.12, abs=0.03), pytest.approx(0.88, abs=0.03)]
    assert got["better_than_guessing"] is False
    assert got["classes_without_clips"] == ["c"]
    assert got["sentence"].startswith("Right on 2 of 4 new clips (")
    assert got["sentence"].endswith("no clip of c among them: the score says nothing of it.")
    last = got["predictions"][3]
    assert (last["true_label"], last["predicted_label"], last["score"]) == ("b", "c", 0.9)
    assert (last["path"], last["group"], last["start_s"]) == ("v3.mp4", "g3", None)
    assert [one["label"] for one in last["top"]] == ["c", "run|walk", "b"]


def test_report_reads_from_the_score_to_the_notes(tmp_path):
    write_report(small_report(), tmp_path)
    text = (tmp_path / "report.md").read_text("utf-8")
    order = [
        "# first\\_run: test",
        "**Right on 2 of 4 new clips (",
        "| this model | 50.0% | 1",
        "| always the most frequent training class | 50.0% |  |  |",
        "| mean-pooled features, no recurrence | n/a |  | not trained |",
        "**No better than the baseline** “always the most frequent training class”.",
        "| run\\|walk | 2 | 100.0% | 50.0% | 66.7% |",
        "- **run\\|walk** was taken for **c** once, of 2 clips.",
        "| v3.mp4 | b | c | 90.0% |",
        "| v1.mp4 | run\\|walk | c | 80.0% |",
        "![confusion_matrix](confusion_matrix.png)",
        "Few clips: one clip more or less moves top-1 by 25.0%.",
        "The interval rests on 4 groups only",
    ]
    places = [text.find(line) for line in order]
    assert -1 not in places
    assert places == sorted(places)
    for name in ("confusion_matrix.png", "per_class_accuracy.png", "reliability.png"):
        assert (tmp_path / name).read_bytes()[:4] == b"\x89PNG"


@pytest.mark.parametrize(
    ("changes", "clips"),
    [
        ({}, "4 new clips"),
        ({"split": "train"}, "4 training clips"),
        ({"split": "val"}, "4 validation clips"),
        ({"leakage_allowed": True}, "4 clips"),
        ({"seen_in_training": True}, "4 clips"),
    ],
)
def test_only_what_is_new_is_called_new(changes, clips):
    assert small_report(**changes).sentence.startswith(f"Right on 2 of {clips} (")


def faultless(groups):
    """A clip a group, right all, a and b in turn."""
    labels = [index % 2 for index in range(len(groups))]
    clips = tuple(
        ClipPrediction(f"{i}.mp4", group, "ab"[label],
                       Prediction.from_probabilities(["a", "b"], np.eye(2)[label]))
        for i, (group, label) in enumerate(zip(groups, labels, strict=True))
    )  # fmt: skip
    metrics = compute_metrics(labels, np.eye(2)[labels], ["a", "b"])
    return small_report(predictions=clips, metrics=metrics)


def test_five_right_of_five_is_no_certainty(tmp_path):
    report = faultless(["g0", "g1", "g2", "g3", "g4"])
    write_report(report, tmp_path)
    text = (tmp_path / "report.md").read_text("utf-8")
    page = (tmp_path / "report.html").read_text("utf-8")
    assert "| this model | 100.0% | 6" in text
    assert "100.0% to 100.0%" not in text
    for shown in (text, page, read(tmp_path)["sentence"]):
        assert report.sentence in shown
    assert report.sentence.startswith("Right on 5 of 5 new clips (6")
    assert " to 100 %)" in report.sentence
    # Always a: right on 3 of 5, so that 5 of 5 clips are not enough for certainty.
    assert report.beats_guessing == (report.top1_interval[0] > 0.6)
    assert faultless([f"g{n}" for n in range(20)]).beats_guessing


def test_leakage_and_quarantine_are_said_in_the_report(tmp_path):
    bad = {f"bad{i}.mp4": "no frame" for i in range(12)}
    write_report(small_report(leakage_allowed=True, quarantined=bad), tmp_path)
    text = (tmp_path / "report.md").read_text("utf-8")
    assert text.index("**Leakage was allowed") < text.index("this model")
    assert "training and test clips may share a group" in text
    assert "- Not read, so not in the score: bad9.mp4 (no frame)\n" in text
    assert "- 2 more clips not read: see report.json." in text


def test_a_faultless_run_reports_no_mistake(tmp_path):
    clips = tuple(
        ClipPrediction("v.mp4", "one", label, Prediction.from_probabilities(["a", "b"], p))
        for label, p in (("a", [1.0, 0.0]), ("b", [0.0, 1.0]))
    )
    metrics = compute_metrics([0, 1], [[1.0, 0.0], [0.0, 1.0]], ["a", "b"])
    write_report(small_report(predictions=clips, metrics=metrics), tmp_path)
    text = (tmp_path / "report.md").read_text("utf-8")
    assert "## Most frequent confusions\n\nNone." in text
    assert "None: every clip is right." in text
    assert "No interval: all clips belong to one group." in text
    assert read(tmp_path)["top1_interval"] is None


def test_a_failed_write_keeps_the_old_report_and_leaves_nothing_behind(tmp_path, monkeypatch):
    write_report(small_report(), tmp_path)
    before = sorted((path.name, path.read_bytes()) for path in tmp_path.iterdir())

    def fail(self, target):
        raise OSError("disk full")

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(ConfigError, match=r"cannot be written \(disk full\); name a folder"):
        write_report(small_report(run_name="second"), tmp_path)
    assert sorted((path.name, path.read_bytes()) for path in tmp_path.iterdir()) == before


def fold_result(seed, fold, right, wrong, mean_pooled):
    labels = [0] * (right + wrong)
    metrics = compute_metrics(labels, sure([0] * right + [1] * wrong, 2), ["a", "b"])
    return FoldResult(seed, fold, metrics, {"majority": 0.5, "mean_pooled": mean_pooled})


def results():
    return (
        fold_result(0, 0, right=3, wrong=1, mean_pooled=0.5),
        fold_result(0, 1, right=1, wrong=0, mean_pooled=0.0),
        fold_result(1, 0, right=2, wrong=2, mean_pooled=0.5),
        fold_result(1, 1, right=1, wrong=0, mean_pooled=1.0),
    )


def test_cross_validation_pools_folds_before_averaging_seeds(tmp_path):
    report = CrossValidationReport("cv", "five clips", results())
    assert write_cv_report(report, tmp_path) == tmp_path / "report.json"
    got = read(tmp_path)
    assert (got["clips"], got["folds"], got["seeds"]) == (5, 2, [0, 1])
    assert got["top1_mean"] == pytest.approx(0.7)  # 4 of 5, then 3 of 5
    assert got["top1_spread"] == pytest.approx(0.2 / 2**0.5)
    assert got["mean_pooled_top1_mean"] == pytest.approx(0.5)  # 2 of 5, then 3 of 5
    assert (got["majority_top1_mean"], got["majority_top1_spread"]) == (0.5, 0.0)
    assert got["confusion_matrix"] == [[7, 3], [0, 0]]
    assert [one["top1"] for one in got["results"]] == [0.75, 1.0, 0.5, 1.0]
    text = (tmp_path / "report.md").read_text("utf-8")
    assert "| this model, top-1 | 70.0% | ±14.1% |  |" in text
    assert "| fold 1 | 75.0% | 50.0% |" in text


def test_one_seed_has_no_spread_and_a_missing_baseline_its_reason(tmp_path):
    metrics = results()[0].metrics
    folds = tuple(FoldResult(0, fold, metrics, {"mean_pooled": None}) for fold in (0, 1))
    notes = {"mean_pooled": "switched off"}
    write_cv_report(CrossValidationReport("cv", "data", folds, notes), tmp_path)
    got = read(tmp_path)
    assert (got["top1_mean"], got["top1_spread"]) == (0.75, None)
    assert (got["mean_pooled_top1_mean"], got["mean_pooled_top1_spread"]) == (None, None)
    text = (tmp_path / "report.md").read_text("utf-8")
    assert "| mean-pooled features, no recurrence, top-1 | n/a | n/a | switched off |" in text


CLASSES = ["kick", "punch", "rare"]


def metrics_of(labels, predicted, classes=CLASSES):
    """Labels and answers by name."""
    number = {name: index for index, name in enumerate(classes)}
    scores = np.eye(len(classes))[[number[name] for name in predicted]]
    return compute_metrics([number[name] for name in labels], scores, classes)


def said(labels, predicted, interval=(0.352, 0.936), better=True, clips="new clips", **more):
    return closing_sentence(metrics_of(labels, predicted, **more), interval, better, clips)


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
