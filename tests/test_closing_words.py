"""What `train` says while it works and when it has ended, from few clips and from many classes."""

import json
import shutil
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
import pytest
from helpers import SHARED
from typer.testing import CliRunner

from action_gru.cli.commands import app
from action_gru.config import build_config
from action_gru.core.progress import Reporter
from action_gru.evaluation.evaluate import evaluate
from action_gru.training import train

pytestmark = pytest.mark.usefixtures("blank_figures")

LONGEST_LINE = 300


def place(root: Path, rows: list[str], **sections) -> Path:
    """A config of arrays as the manifest's rows name them; those that are not there are drawn."""
    rng = np.random.default_rng(0)
    for row in rows:
        path = root / row.split(",")[0]
        if not path.exists():
            np.save(path, rng.normal(size=(4, 2)).astype(np.float32))
    header = "path,label,split" if rows[0].count(",") == 2 else "path,label"
    (root / "manifest.csv").write_text("\n".join([header, *rows]) + "\n")
    tree = {
        "data": {"kind": "arrays", "manifest": str(root / "manifest.csv")},
        "run": {"folder": str(root / "runs"), "name": "words"},
        "model": {"projection_size": 8, "hidden_size": 8},
        "training": {"epochs": 1, "device": "cpu", "mean_pooled_baseline": False},
        "calibration": {"how": "none"},
    }
    (root / "c.yaml").write_text(json.dumps(tree | sections))
    return root / "c.yaml"


def trained(config: Path) -> tuple[list[str], Path]:
    """The lines that `train` prints, and its report's folder."""
    done = CliRunner().invoke(app, ["train", str(config), "--quiet"])
    assert done.exit_code == 0, done.output
    lines = done.stdout.splitlines()
    return lines, Path(lines[-1]) / "evaluation" / "test"


ONE_RARE = ["0.npy,rare", *(f"{n}.npy,common" for n in range(1, 12))]


@pytest.mark.parametrize("source", ["drawn", "kept"])
def test_a_class_without_a_test_clip_is_said_wherever_the_score_is(tmp_path, source):
    if source == "kept":
        if not SHARED.is_dir():
            pytest.skip(f"the kept arrays are not on this machine (looked for {SHARED})")
        for path in (SHARED / "cases" / "F22").glob("*.npy"):
            shutil.copyfile(path, tmp_path / path.name)
    lines, folder = trained(place(tmp_path, ONE_RARE))
    said = "There is no clip of rare among them: the score says nothing of it."
    assert lines[0].endswith("; no clip of rare")
    assert lines[-2].endswith(said)
    assert said in "\n".join((folder / "report.md").read_text("utf-8").splitlines()[:4])
    assert said in (folder / "report.html").read_text("utf-8")
    written = json.loads((folder / "report.json").read_text("utf-8"))
    assert (written["classes_without_clips"], written["sentence"]) == (["rare"], lines[-2])
    # All clips are common: who always says so is right as often, however often that is.
    assert ", which is not shown to be better than guessing" in lines[-2]
    assert lines[1] == (
        "Nothing can be said about the order of the frames: this model is not shown to be better "
        "than guessing."
    )


@pytest.mark.slow
@pytest.mark.drawn
def test_with_four_hundred_classes_sentences_stay_short_and_pictures_readable(tmp_path):
    rows = [f"{n}.npy,class_{n % 400:03d},{'test' if n >= 400 else 'train'}" for n in range(700)]
    lines, folder = trained(place(tmp_path, rows))
    assert max(map(len, lines)) < LONGEST_LINE
    assert lines[0].endswith("; no clip of 100 of 400 classes")
    assert "There is no clip of 100 of 400 classes among them" in lines[-2]
    text = (folder / "report.md").read_text("utf-8")
    prose = [line for line in text.splitlines() if not line.startswith("|")]
    assert max(map(len, prose)) < 800
    for picture in folder.glob("*.png"):
        assert max(cv2.imread(str(picture)).shape) <= 4000, picture.name


class Noting(Reporter):
    """Keeps what stands beside the bars."""

    def __init__(self) -> None:
        super().__init__(quiet=True)
        self.notes: list[tuple[str, str]] = []

    @contextmanager
    def bar(self, title, total):
        yield lambda steps=1, note="", total=None: self.notes.append((title, note)) if steps else 0


def noted(config: Path, *overrides: str) -> list[tuple[str, str]]:
    reporter = Noting()
    train(build_config(json.loads(config.read_text()), overrides), reporter)
    return [note for note in reporter.notes if note[0] not in ("extract", "read") and note[1]]


def test_the_bar_says_of_which_clips_its_accuracy_is(tmp_path):
    splits = ["train"] * 8 + ["val"] * 4
    rows = [f"{n}.npy,{'ab'[n % 2]},{split}" for n, split in enumerate(splits)]
    notes = noted(place(tmp_path, rows))
    assert [title for title, _ in notes] == ["train"]
    assert all(note.startswith("val acc ") and note.endswith(" (4 clips)") for _, note in notes)
    notes = noted(place(tmp_path, rows[:8]), "calibration.how=auto")
    assert [title for title, _ in notes] == ["train"]  # what calibrates beside it is silent
    assert notes[0][1].startswith("acc ")
    assert notes[0][1].endswith(" (8 training clips)")


def test_a_run_without_a_test_split_says_that_nothing_is_known(tmp_path):
    rows = [f"{n}.npy,{'ab'[n % 2]},train" for n in range(8)]
    done = CliRunner().invoke(app, ["train", str(place(tmp_path, rows))])
    assert done.stdout.splitlines() == [str(tmp_path / "runs" / "words")]
    assert "nothing is known of how right the model is on new ones" in done.stderr


def test_a_faultless_score_of_few_clips_is_not_printed_as_certain(tmp_path):
    rng = np.random.default_rng(0)
    rows = [f"{n}.npy,{'ab'[n % 2]},{'train' if n < 10 else 'test'}" for n in range(16)]
    for n in range(16):
        np.save(tmp_path / f"{n}.npy", rng.normal(4 * (n % 2), 0.1, (4, 2)).astype(np.float32))
    training = {"epochs": 20, "learning_rate": 0.05, "device": "cpu", "mean_pooled_baseline": False}
    config = place(tmp_path, rows, training=training)
    report, _ = evaluate(train(build_config(json.loads(config.read_text())), Noting()), Noting())
    assert report.metrics.top1 == 1.0
    low, high = report.top1_interval
    assert 0.5 < low < 0.75
    assert high == 1.0
    assert report.beats_guessing
    intervals = [cost.interval for cost in report.order.overall.costs.values()]
    intervals += [point.interval for point in (*report.anytime.by_share, *report.anytime.by_second)]
    assert all(high - low > 0.1 for low, high in intervals)
