"""Models of poses and people through the whole path: extracted, trained, asked of a file, live."""

import numpy as np
import pytest
from helpers.untrained_networks import save_untrained
from helpers.videos import write_square
from ultralytics.nn.tasks import PoseModel

from action_gru import ActionRecognizer
from action_gru.apps.checks import check_network
from action_gru.config import build_config
from action_gru.core.errors import CheckpointError, ConfigError
from action_gru.core.progress import Reporter
from action_gru.detection.detector import Detector
from action_gru.evaluation.evaluate import evaluate
from action_gru.evaluation.explanation import describe
from action_gru.features.source import build_backbone, people_hint
from action_gru.training import train
from action_gru.training.data import read_clips
from action_gru.training.document import check_exportable

QUIET = Reporter(quiet=True)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Eight clips, and a pose network that has learnt nothing but always finds somebody."""
    root = tmp_path_factory.mktemp("pose")
    save_untrained(root / "pose.pt", PoseModel, "11/yolo11-pose.yaml", nc=1, kpt_shape=[5, 3])
    rows = ["path,label,split"]
    for index in range(8):
        write_square(root / f"{index}.mp4", 24, seed=index + 100 * (index % 2))
        rows.append(f"{index}.mp4,{'ab'[index % 2]},{'test' if index > 5 else 'train'}")
    (root / "manifest.csv").write_text("\n".join(rows) + "\n")
    return root


def settings(root, views):
    return {
        "run": {"folder": str(root / "runs"), "name": "-".join(views)},
        "data": {"manifest": str(root / "manifest.csv")},
        "sampling": {"fps": 5.0},
        "features": {"views": views, "cache_dir": str(root / "cache"), "flip": True},
        "pose": {"weights": str(root / "pose.pt"), "min_score": 1e-6},
        "model": {"projection_size": 8, "hidden_size": 8, "normalisation": "channel"},
        "training": {"epochs": 2, "device": "cpu", "mean_pooled_baseline": False},
    }


@pytest.fixture(scope="module")
def run(root):
    return train(build_config(settings(root, ["pose"])), QUIET), root


@pytest.fixture(scope="module")
def people(root):
    """A run that reads people beside poses, and how many frames its network saw, each time."""
    passes, (boxes, inside) = [], (Detector.__call__, Detector.with_maps)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            Detector, "__call__", lambda *a: passes.append(("boxes", len(a[1]))) or boxes(*a)
        )
        patch.setattr(
            Detector, "with_maps", lambda *a: passes.append(("maps", len(a[1]))) or inside(*a)
        )
        tree = settings(root, ["people", "pose"])
        tree["features"]["cache_dir"] = str(root / "own_cache")
        yield train(build_config(tree), QUIET), passes


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
    np.testing.assert_allclose(
        streamed(recognizer, root / "7.mp4"), reading.features, atol=2e-3, equal_nan=True
    )


def streamed(recognizer, video):
    """The features (T, D) that a stream of a video's frames reads."""
    reader, seen = recognizer.read_timeline(video), []
    embed = reader.stream.engine.embed

    def keep(samples):
        seen.append(embed(samples))
        return seen[-1]

    reader.stream.engine.embed = keep
    assert len(list(reader)) == 12
    return np.concatenate([part.numpy() for part in seen]).astype(np.float16)


def test_one_pass_of_the_network_serves_poses_and_people(people, root):
    trained, passes = people
    frames = 8 * 12
    assert {kind for kind, _ in passes} == {"maps"}
    assert sum(count for _, count in passes) == frames
    passes.clear()
    recognizer = ActionRecognizer.load(trained.path)
    reading = recognizer.read(root / "7.mp4")
    assert sum(count for _, count in passes) == 12
    assert {spec.view for spec in recognizer.checkpoint.features} == {"people", "pose"}
    passes.clear()
    np.testing.assert_allclose(
        streamed(recognizer, root / "7.mp4"), reading.features, atol=2e-2, equal_nan=True
    )
    assert [kind for kind, _ in passes] == ["maps"] * 12


def test_poses_are_the_same_with_people_beside_them_and_without(people, run, root):
    both = ActionRecognizer.load(people[0].path).read(root / "7.mp4").features
    alone = ActionRecognizer.load(run[0].path).read(root / "7.mp4").features
    np.testing.assert_array_equal(both[:, -alone.shape[1] :], alone)


def test_a_run_of_people_answers_for_a_file_and_refuses_other_weights(people, root, tmp_path):
    trained, _ = people
    answer = ActionRecognizer.load(trained.path).classify(root / "7.mp4")
    assert sum(answer.scores) == pytest.approx(1.0, abs=1e-5)
    other = save_untrained(
        tmp_path / "other.pt", PoseModel, "11/yolo11-pose.yaml", nc=2, kpt_shape=[5, 3]
    )
    with pytest.raises(CheckpointError, match="people"):
        ActionRecognizer.load(trained.path, overrides=[f"pose.weights={other}"])
    with pytest.raises(CheckpointError, match="reads people, and export writes models of pictures"):
        check_exportable(ActionRecognizer.load(trained.path).checkpoint.features, trained.path)


@pytest.mark.parametrize("name", ["pose.onnx", "pose.engine"])
def test_a_format_that_gives_boxes_alone_is_refused_before_the_work(root, tmp_path, name):
    (tmp_path / name).write_bytes(b"nothing")
    tree = settings(root, ["people"]) | {"pose": {"weights": str(tmp_path / name)}}
    message = (
        rf"pose\.weights: .*{name} gives boxes alone, and the view people .*give the \.pt or a"
    )
    for refuses in (check_network, build_backbone):
        with pytest.raises(ConfigError, match=message):
            refuses(build_config(tree))


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
