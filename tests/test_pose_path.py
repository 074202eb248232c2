"""A model of poses through the whole path: extracted, trained, asked of a file, live."""

import numpy as np
import pytest
from helpers.untrained_networks import save_untrained
from helpers.videos import write_square
from ultralytics.nn.tasks import PoseModel

from action_gru import ActionRecognizer
from action_gru.config import build_config
from action_gru.core.errors import CheckpointError
from action_gru.core.progress import Reporter
from action_gru.evaluation.evaluate import evaluate
from action_gru.evaluation.explanation import describe
from action_gru.features.source import build_vector_view, people_hint
from action_gru.training import train
from action_gru.training.data import read_clips

QUIET = Reporter(quiet=True)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Eight clips, and a pose network that has learnt nothing but always finds somebody."""
    root = tmp_path_factory.mktemp("pose")
    weights = save_untrained(
        root / "pose.pt", PoseModel, "11/yolo11-pose.yaml", nc=1, kpt_shape=[5, 3]
    )
    rows = ["path,label,split"]
    for index in range(8):
        write_square(root / f"{index}.mp4", 24, seed=index + 100 * (index % 2))
        rows.append(f"{index}.mp4,{'ab'[index % 2]},{'test' if index > 5 else 'train'}")
    (root / "manifest.csv").write_text("\n".join(rows) + "\n")
    tree = {
        "run": {"folder": str(root / "runs")},
        "data": {"manifest": str(root / "manifest.csv")},
        "sampling": {"fps": 5.0},
        "features": {"views": ["pose"], "cache_dir": str(root / "cache"), "flip": True},
        "pose": {"weights": weights, "min_score": 1e-6},
        "model": {"projection_size": 8, "hidden_size": 8, "normalisation": "channel"},
        "training": {"epochs": 2, "device": "cpu", "mean_pooled_baseline": False},
    }
    return train(build_config(tree), QUIET), root


@pytest.mark.slow
def test_a_pose_run_is_evaluated_and_answers_for_a_file(run):
    trained, root = run
    report, _ = evaluate(trained, QUIET)
    assert report.metrics.clips == 2
    recognizer = ActionRecognizer.load(trained.path)
    answer = recognizer.classify(root / "7.mp4")
    assert answer.label in ("a", "b")
    assert sum(answer.scores) == pytest.approx(1.0, abs=1e-5)


def test_a_pose_stream_sees_what_the_file_reader_sees(run):
    trained, root = run
    recognizer = ActionRecognizer.load(trained.path)
    reading = recognizer.read(root / "7.mp4")
    assert reading.features[:, -1].min() > 0  # somebody in each frame
    reader, seen = recognizer.read_timeline(root / "7.mp4"), []
    embed = reader.stream.engine.embed

    def keep(samples):
        seen.append(embed(samples))
        return seen[-1]

    reader.stream.engine.embed = keep
    assert len(list(reader)) == len(reading.times_s) == 12
    streamed = np.concatenate([part.numpy() for part in seen])
    features = reading.features.astype(np.float32)
    np.testing.assert_allclose(streamed, features, atol=2e-3, equal_nan=True)


def test_every_second_sample_is_another_feature(run):
    trained, _ = run
    view = build_vector_view(trained.config(["pose.every=2"]), "pose")
    assert view.every == 2
    assert view.spec().fingerprint != build_vector_view(trained.config(), "pose").spec().fingerprint


def test_a_pose_run_is_explained_without_places(run):
    trained, root = run
    recognizer = ActionRecognizer.load(trained.path)
    made = recognizer.explain(root / "7.mp4")
    assert made.probabilities == pytest.approx(
        recognizer.classify(root / "7.mp4").probabilities(recognizer.classes)
    )
    assert made.heats == ()
    assert "pictures; pose: numbers of whole frames" in describe(made)


def test_other_pose_weights_are_refused(run, tmp_path):
    trained, _ = run
    other = save_untrained(
        tmp_path / "other.pt", PoseModel, "11/yolo11-pose.yaml", nc=1, kpt_shape=[4, 3]
    )
    with pytest.raises(CheckpointError, match="pose"):
        ActionRecognizer.load(trained.path, overrides=[f"pose.weights={other}"])


@pytest.mark.slow
def test_training_says_when_people_are_seen_in_most_clips(run, monkeypatch):
    trained, root = run
    config = trained.config(["features.views=[motion]", "features.flip=false"])
    clips = read_clips(config)
    assert "people are seen in 8 of 8 clips looked at" in people_hint(config, clips)
    assert people_hint(trained.config(), clips) is None  # the view is read already
    nobody = trained.config(["features.views=[motion]", "pose.min_score=0.99"])
    assert people_hint(nobody, clips) is None
    monkeypatch.setenv("ACTION_GRU_HOME", str(root / "empty"))
    elsewhere = trained.config(["features.views=[motion]", "pose.weights=yolo26n-pose.pt"])
    assert people_hint(elsewhere, clips) is None  # and nothing was fetched
    assert not (root / "empty").exists()
