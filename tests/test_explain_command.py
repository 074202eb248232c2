"""`action-gru explain` and `ActionRecognizer.explain`, on a tiny run with the builtin backbone."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from helpers import ROOT
from helpers.people_doubles import frame_view
from helpers.videos import FakeBackbone, write_square

from action_gru.cli.inference import explain as explain_command
from action_gru.core.errors import CheckpointError, ConfigError, DataError, VideoError
from action_gru.detection.frame_views import MixedBackbone
from action_gru.evaluation.curves import linear_answer, stream_curves
from action_gru.evaluation.explain import explain_clip
from action_gru.evaluation.explanation import Explanation, describe
from action_gru.evaluation.explanation_plot import plot_explanation
from action_gru.model import ActionClassifier
from action_gru.recognizer import ActionRecognizer
from action_gru.training import Checkpoint
from action_gru.training.scoring import ClipScores


@pytest.fixture(scope="module")
def recognizer(small_run) -> ActionRecognizer:
    return ActionRecognizer.load(small_run.path, device="cpu")


def scores_of(model, *copies) -> ClipScores:
    return ClipScores(model, [torch.from_numpy(copy) for copy in copies], 64)


def explain(model, checkpoint, video, *copies, backbone=None, **options) -> Explanation:
    """Explain the answer to the features (T, D) of each copy, sampled at 5 frames a second."""
    times_s, scores = np.arange(len(copies[0])) * 0.2, scores_of(model, *copies)
    return explain_clip(backbone or FakeBackbone(), checkpoint, video, times_s, scores, **options)


def fake_checkpoint(specs=None, **options) -> tuple[ActionClassifier, Checkpoint]:
    """An untrained model, by default on the fake backbone's colour statistics, focus beside
    motion.
    """
    specs = specs or tuple(FakeBackbone().spec(name) for name in ("focus", "motion"))
    dims = [spec.dim for spec in specs]
    sizes = {"view_dims": dims, "num_classes": 2, "projection_size": 6, "hidden_size": 5}
    arguments = sizes | {"cell": "gru", "num_layers": 1, "pooling": "attention"} | options
    torch.manual_seed(1)
    model = ActionClassifier(**arguments).eval()
    model.fit_statistics(torch.randn(50, sum(dims)) * 20 + 100)
    sampling = {"fps": 5.0, "max_frames": 64}
    weights = model.state_dict()
    return model, Checkpoint(weights, arguments, ("dark", "bright"), specs, sampling, False, {}, {})


@pytest.mark.parametrize(
    "options",
    [
        {"cell": "lstm", "num_layers": 2},
        {"cell": "lstm", "pooling": "last", "bidirectional": True},
        {"cell": "rnn", "pooling": "last"},
        {"cell": "mgu", "num_layers": 2, "bidirectional": True},
        {"cell": "rnn", "pooling": "mean", "bidirectional": True},
        {"cell": "none", "pooling": "mean"},
        {"cell": "none", "pooling": "attention", "fusion": "early"},
        {"bidirectional": True, "fusion": "early"},
        {"ensemble": 2},
        {"pooling": "mean"},
        {"closed_form": True},
    ],
    ids=lambda options: "-".join(map(str, options.values())),
)
def test_every_cell_pooling_and_fusion_is_explained_and_drawn(options, square_video):
    model, checkpoint = fake_checkpoint(**options)
    features = np.random.default_rng(0).normal(100, 20, (10, 12)).astype(np.float16)
    made = explain(model, checkpoint, square_video, features, frames=1)
    plot_explanation(made).savefig("/dev/null", format="png")
    document = json.loads(json.dumps(made.to_json()))
    assert sum(document["probabilities"].values()) == pytest.approx(1, abs=1e-4)
    bidirectional = options.get("bidirectional", False)
    assert (document["running_scores"] is None) == bidirectional
    assert ("reads backwards too: no running scores" in describe(made)) == bidirectional
    assert ("closed form: share 0.00" in describe(made)) == ("closed_form" in options)
    gates = [layer["mean_gates"].keys() for layer in document["streams"][0]["layers"]]
    of_a_layer = {
        "gru": {"reset", "update", "candidate", "hidden"},
        "lstm": {"input", "forget", "candidate", "output", "cell", "hidden"},
        "mgu": {"forget", "candidate", "hidden"},
        "rnn": {"hidden"},
    }
    cell, layers = options.get("cell", "gru"), options.get("num_layers", 1)
    count = 0 if cell == "none" else layers * (1 + bidirectional)
    assert gates == [of_a_layer.get(cell)] * count


@pytest.mark.parametrize(
    "views",
    [["pose"], ["detections"], ["rgb", "focus", "motion", "accel", "detections", "pose"]],
    ids=len,
)
def test_every_view_is_explained_and_places_are_of_pictures(views, square_video):
    vectors = {"detections": frame_view(), "pose": frame_view(view="pose", kinds=(0,), keypoints=5)}
    backbone = MixedBackbone(FakeBackbone(), vectors)
    specs = tuple(backbone.spec(name) for name in views)
    model, checkpoint = fake_checkpoint(specs, cell="gru")
    rng = np.random.default_rng(0)
    copies = [
        rng.normal(100, 20, (10, sum(spec.dim for spec in specs))).astype(np.float16)
        for _ in range(2)
    ]
    made = explain(model, checkpoint, square_video, *copies, backbone=backbone, frames=1)
    plot_explanation(made).savefig("/dev/null", format="png")
    assert made.views == tuple(views)
    pictures = [name for name in views if name not in vectors]
    assert [heat.view for heat in made.heats] == pictures
    assert made.falls.shape == (10, 1 + len(views))
    hidden = " and ".join(name for name in views if name in vectors)
    assert f"places are shown for views that are pictures; {hidden}: numbers of" in describe(made)


def test_the_one_stream_of_a_model_answers_as_the_model_does():
    """Also with a mirrored copy, a temperature and several windows."""
    model, _ = fake_checkpoint(fusion="early")
    model.temperature = 3.0
    rng = np.random.default_rng(0)
    copies = [rng.normal(100, 20, (80, 12)).astype(np.float16) for _ in range(2)]
    scores = scores_of(model, *copies)
    (stream,) = stream_curves(scores, ["focus", "motion"])
    assert len(scores.windows) == 2
    assert stream.probabilities == pytest.approx(scores.probabilities.numpy(), abs=1e-6)
    assert linear_answer(scores) is None


def test_the_answer_and_its_frames_are_those_of_the_video(recognizer, small_run):
    video = small_run.config().data.manifest.parent / "11.mp4"  # 23 frames at 10 fps: 12 sampled
    made = recognizer.explain(video, frames=2)
    answer = recognizer.classify(video)
    assert made.answer.labels == answer.labels
    assert made.probabilities == pytest.approx(answer.probabilities(recognizer.classes))
    assert made.label == answer.label
    assert made.windows == ((0, 6), (6, 12))
    assert made.times_s == pytest.approx(np.arange(12) * 0.2)
    assert len(made.falls) == 12
    assert [heat.view for heat in made.heats] == ["focus", "motion"] * len(made.best)
    assert all(heat.image.shape == (64, 96, 3) for heat in made.heats)
    assert [time_s for time_s, _ in made.thumbnails] == pytest.approx([0, 0.4, 0.8, 1.2, 1.6, 2])


def test_an_unsure_answer_is_explained_as_one(square_video):
    model, checkpoint = fake_checkpoint()
    features = np.random.default_rng(0).normal(100, 20, (10, 12)).astype(np.float16)
    made = explain(model, checkpoint, square_video, features, frames=0)
    made = replace(made, unsure=True)
    assert describe(made).startswith(f"unsure, perhaps {made.label} {made.score:.2f}: 10 frames")
    assert made.to_json()["unsure"] is True
    (other,) = {"dark", "bright"} - {made.label}
    assert describe(replace(made, label=other)).startswith(
        f"{other} {1 - made.score:.2f} (the answer is unsure, perhaps {made.label} {made.score:.2f}"
    )


def test_another_class_can_be_explained_and_an_unknown_one_is_named(recognizer, square_video):
    made = [recognizer.explain(square_video, label, frames=0) for label in ("dark", "bright")]
    assert [one.label for one in made] == ["dark", "bright"]
    assert made[0].score + made[1].score == pytest.approx(1)
    np.testing.assert_allclose(made[0].falls, -made[1].falls, atol=1e-6)
    with pytest.raises(DataError, match="label 'green': the model knows bright, dark; name one"):
        recognizer.explain(square_video, "green")


def test_a_clip_of_equal_frames_has_no_moment_that_matters(square_video):
    model, checkpoint = fake_checkpoint()
    made = explain(model, checkpoint, square_video, np.full((10, 12), 40.0, np.float16))
    assert made.best == ()
    assert "no moment mattered by itself" in describe(made)
    assert made.heats == ()
    plot_explanation(made).savefig("/dev/null", format="png")


def test_a_clip_of_one_frame_is_explained(tmp_path):
    video = write_square(tmp_path / "one.mp4", 1)
    model, checkpoint = fake_checkpoint()
    made = explain(model, checkpoint, video, np.full((1, 12), 40.0, np.float16))
    assert "too short to tell its memory" in describe(made)
    assert made.falls.tolist() == [[0.0, 0.0, 0.0]]
    plot_explanation(made).savefig("/dev/null", format="png")


def test_the_command_writes_what_it_names_and_prints_the_answer(
    small_run, square_video, tmp_path, capsys
):
    folder = tmp_path / "why"
    explain_command(square_video, small_run.path, out=folder, frames=1, quiet=True)
    printed = capsys.readouterr().out
    assert printed.startswith(f"{square_video}: ")
    assert "focus: alone " in printed
    assert "update gate 0." in printed
    assert (folder / "explanation.png").read_bytes()[:4] == b"\x89PNG"
    document = json.loads((folder / "explanation.json").read_text())
    assert document["label"] in ("dark", "bright")
    assert len(document["streams"][1]["layers"][0]["mean_gates"]["update"]) == 10
    explain_command(square_video, small_run.path, out=tmp_path / "a.png", frames=0, json_=True)
    assert json.loads(capsys.readouterr().out)["label"] == document["label"]
    assert {path.name for path in tmp_path.iterdir()} == {"why", "a.png", "square.mp4"}


@pytest.mark.parametrize(
    ("video", "out", "error", "said"),
    [
        ("square.mp4", "x.jpg", ConfigError, "is neither a folder nor a .png; name one of these"),
        ("square.mp4", "square.mp4/x", ConfigError, "is a file; "),
        ("square.mp4", "none/x.png", ConfigError, "no folder .*none; make it first"),
        ("missing.mp4", "new", VideoError, r"no video at .*missing\.mp4"),
    ],
)
def test_a_mistake_is_named_before_the_work(small_run, square_video, video, out, error, said):
    place = square_video.parent
    target = place / out if out else None
    with pytest.raises(error, match=said):
        explain_command(place / video, small_run.path, out=target, frames=1)
    assert [path.name for path in place.iterdir()] == ["square.mp4"]  # nothing is left behind


def test_a_folder_that_is_no_run_is_named(square_video, tmp_path):
    with pytest.raises(CheckpointError, match="no checkpoint at"):
        explain_command(square_video, tmp_path)


def test_the_square_is_read_again_at_its_own_size(tmp_path, recognizer):
    """Frames larger than a picture needs are kept small."""
    made = recognizer.explain(write_square(tmp_path / "a.mp4", 12), frames=0)
    assert made.thumbnails[0][1].shape == (64, 96, 3)
    assert made.heats == ()


def test_the_example_of_the_page_runs(small_run, tmp_path, monkeypatch, capsys):
    page = (ROOT / "docs" / "explain.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "demo").symlink_to(small_run.path.resolve())
    write_square(tmp_path / "clip.mp4", 12)
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "explain.md", "exec"), {})
    printed = capsys.readouterr().out
    assert "update gate 0." in printed
    assert re.search(r"\n\[ *0\.\d", printed)
    assert (tmp_path / "why.png").stat().st_size > 10_000
