"""The models of the package: their cards tell the truth, and their names work like a run's path."""

import json
import shutil

import numpy as np
import pytest
import torch
from helpers.command_line import action_gru
from helpers.videos import write_square
from safetensors import safe_open

from action_gru.apps.models import describe_models, read_card
from action_gru.core.errors import CheckpointError
from action_gru.recognizer import ActionRecognizer
from action_gru.training import METADATA, find_checkpoint, load_checkpoint, read_document
from action_gru.training.document import shipped_models

NAMES = sorted(shipped_models())
WEIGHTS = "yolo26n-cls.pt"


@pytest.fixture
def empty_home(tmp_path, monkeypatch):
    """A machine where no weights were ever fetched, and the folder of the user."""
    monkeypatch.setenv("ACTION_GRU_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", NAMES)
def test_a_shipped_model_answers_and_holds_nothing_of_the_machine_that_made_it(name):
    path = shipped_models()[name]
    assert path.stat().st_size < 600_000
    with safe_open(path, framework="np") as file:
        text, tensors = file.metadata()[METADATA], list(file.keys())
    assert all(tensor.startswith("weights.") for tensor in tensors)
    paths = [word for word in json.dumps(json.loads(text)).split('"') if "/" in word]
    assert set(paths) <= {"cache/features"}
    checkpoint = load_checkpoint(path)
    assert (checkpoint.progress, checkpoint.config["features"]["weights"]) == ({}, WEIGHTS)
    assert {spec.weights for spec in checkpoint.features} == {WEIGHTS}
    features = torch.randn(1, 24, sum(spec.dim for spec in checkpoint.features))
    logits = checkpoint.build()(features, torch.tensor([24]))
    assert logits.shape == (1, len(checkpoint.classes))
    assert checkpoint.calibration is not None


@pytest.mark.parametrize("name", NAMES)
def test_a_card_says_of_a_model_what_its_checkpoint_says(name):
    path = shipped_models()[name]
    front, text = read_card(path.with_suffix(".md"))
    score, document = read_document(path).data["score"], read_document(path)
    (metric,) = front["model-index"][0]["results"][0]["metrics"]
    assert (metric["value"], metric["name"]) == (round(score["top1"], 3), score["protocol"])
    assert front["license"] == "agpl-3.0"
    assert front["datasets"]
    assert front["limits"]
    low, high = score["top1_interval"]
    assert low < score["top1"] < high
    assert np.mean(score["top1_by_seed"]) == pytest.approx(score["top1"])
    assert score["clips"] == document.data["clips"]["train"]
    assert f"| **{score['top1']:.3f}** |" in text
    assert all(f"| of the clips of {label} |" in text for label in document.classes)


def test_models_lists_names_scores_data_and_limits(tmp_path):
    (fights,) = [one for one in describe_models() if one["name"] == "fights"]
    assert fights["classes"] == ["fight", "noFight"]
    assert 0.8 < fights["score"]["top1"] < 0.95
    shown = action_gru("models")
    assert f"{fights['score']['top1']:.3f}" in shown.out
    assert "surveillance" in shown.out
    assert "(MIT)" in shown.out
    assert action_gru("models", "--json").answer["models"] == describe_models()
    assert "## Limits" in action_gru("models", "fights").out


def test_an_unknown_name_is_refused_with_the_list_and_the_closest(empty_home):
    said = action_gru("models", "fihgts", code=7).err
    assert "no model 'fihgts'; give the name of a shipped model (" in said
    assert "did you mean 'fights'?" in said
    write_square(empty_home / "a.mp4", 4)
    said = action_gru("classify", "a.mp4", "--model", "fight", code=7).err
    assert "no checkpoint at fight " in said
    assert "did you mean 'fights'?" in said


def test_a_run_of_the_same_name_comes_first_and_another_folder_does_not(empty_home, small_run):
    fights = empty_home / "fights"
    fights.mkdir()  # the user's clips, perhaps
    assert find_checkpoint(fights.relative_to(empty_home)) == shipped_models()["fights"]
    shutil.copy(small_run.best, fights)
    found = find_checkpoint(fights.relative_to(empty_home))
    assert found.read_bytes() == small_run.best.read_bytes()
    with pytest.raises(CheckpointError, match="no checkpoint at"):
        find_checkpoint(empty_home / "elsewhere" / "fights")


@pytest.mark.parametrize(
    "line",
    [
        "classify a.mp4 --model fights",
        "explain a.mp4 --model fights",
        "timeline a.mp4 --model fights",
        "webcam --model fights --source a.mp4 --no-window",
        "export --model fights",
    ],
)
def test_without_its_weights_a_model_names_them_and_where_they_belong(line, empty_home):
    write_square(empty_home / "a.mp4", 4)
    said = action_gru(*line.split(), "features.download=false", code=5).err
    assert f"features.weights: '{WEIGHTS}' is not on this machine" in said
    assert f"{empty_home}/home/weights/{WEIGHTS}" in said
    assert "put the file there, or set features.download=true" in said


@pytest.mark.slow
def test_fights_knows_real_clips(tmp_path, monkeypatch, shared_data, shared_weights):
    home = tmp_path / "weights"
    home.mkdir()
    shutil.copy(shared_weights, home / WEIGHTS)
    monkeypatch.setenv("ACTION_GRU_HOME", str(tmp_path))
    recognizer = ActionRecognizer.load("fights")
    clips = shared_data / "fights"
    for name in ("fight/fi001.mp4", "noFight/nofi001.mp4"):
        assert recognizer.classify(clips / name).label == name.split("/")[0]
