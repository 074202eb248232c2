"""After the evaluation the kept model learns from every clip, and the score stays honest."""

import json
import shutil

import pytest
import torch
from helpers.command_line import action_gru
from helpers.videos import write_square

from action_gru.core.progress import Reporter
from action_gru.training import RunFolder, find_checkpoint, load_checkpoint
from action_gru.training.refit import refit

pytestmark = pytest.mark.usefixtures("blank_figures")


def train(root, *overrides, split=False):
    rows = ["path,label,group,split"]
    for index in range(12):
        label = "bright" if index % 2 else "dark"
        write_square(root / f"{index}.mp4", 12, seed=index + 100 * (index % 2))
        side = ("test" if index > 9 else "train") if split else ""
        rows.append(f"{index}.mp4,{label},{index // 2},{side}")
    (root / "manifest.csv").write_text("\n".join(rows) + "\n")
    (root / "config.yaml").write_text(f"""
run: {{folder: {root}/runs, name: a}}
data: {{manifest: {root}/manifest.csv}}
sampling: {{fps: 5.0, max_frames: 8}}
features: {{weights: builtin, image_size: 64, cache_dir: {root}/cache, precision: fp32}}
model: {{projection_size: 8, hidden_size: 8}}
training: {{epochs: 4, device: cpu, mean_pooled_baseline: false}}
evaluation: {{details: false}}
""")
    action_gru("train", root / "config.yaml", *overrides)
    return RunFolder(root / "runs" / "a")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return train(tmp_path_factory.mktemp("refit"))


def test_the_final_model_is_trained_on_all_clips_and_is_the_one_to_use(run):
    best, final = load_checkpoint(run.best), load_checkpoint(run.final)
    assert best.data["clips"]["test"] > 0
    assert final.data["clips"] == {"train": 12}
    assert not torch.equal(*(c.weights["feature_mean"] for c in (best, final)))
    assert final.calibration == best.calibration
    assert find_checkpoint(run.path) == run.final
    assert load_checkpoint(run.path).data == final.data


def test_the_report_says_whose_figures_they_are_and_evaluating_again_gives_the_same(run):
    first = json.loads((run.path / "evaluation" / "test" / "report.json").read_text())
    assert "figures are those of best.safetensors" in first["data"]
    action_gru("evaluate", run.path)
    again = json.loads((run.path / "evaluation" / "test-2" / "report.json").read_text())
    assert again["predictions"] == first["predictions"]


def test_the_test_clips_of_a_run_are_known_to_its_final_model(run, tmp_path):
    rows = run.clips.read_text().splitlines()
    held_out = [line.split(",")[:2] for line in rows[1:] if ",test," in line]
    manifest = tmp_path / "again.csv"
    manifest.write_text("path,label\n" + "".join(f"{p},{label}\n" for p, label in held_out))
    root = run.path.parents[1]
    done = action_gru("evaluate", run.path, "--manifest", manifest, "--root", root)
    assert f"{len(held_out)} of these clips were in the training data" in done.err


@pytest.mark.slow
def test_a_given_test_split_is_never_trained_on_unless_asked(tmp_path):
    given = train(tmp_path, split=True)
    assert not given.final.exists()
    shutil.rmtree(tmp_path / "runs")
    assert train(tmp_path, "training.refit=true", split=True).final.exists()
    shutil.rmtree(tmp_path / "runs")
    assert not train(tmp_path, "training.refit=false").final.exists()


def test_trained_beside_the_others_it_is_what_it_is_after_them(run):
    beside, kept = load_checkpoint(run.final), run.final.read_bytes()
    run.final.unlink()
    refit(run, Reporter(quiet=True))
    after = load_checkpoint(run.final)
    run.final.write_bytes(kept)
    assert (after.data, after.model, after.calibration) == (
        beside.data, beside.model, beside.calibration,
    )  # fmt: skip
    for name, values in beside.weights.items():  # with another number of threads: by rounding
        torch.testing.assert_close(after.weights[name], values)


def test_a_resumed_run_makes_its_final_model_again(run):
    before = {k: v.clone() for k, v in load_checkpoint(run.final).weights.items()}
    run.final.unlink()
    action_gru("resume", run.path)
    after = load_checkpoint(run.final).weights
    assert all(torch.equal(before[name], after[name]) for name in before)
