import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers import ROOT
from helpers.models import COMBINATIONS, build_model
from helpers.videos import write_square

from action_gru import ActionRecognizer
from action_gru.apps.export import FORMATS, check_step, export_run, step_graph
from action_gru.backbone.runtimes import import_quietly
from action_gru.core.errors import CheckpointError, ConfigError
from action_gru.core.progress import Reporter
from action_gru.model import ActionClassifier, FlatStep
from action_gru.training import load_checkpoint, save_checkpoint
from action_gru.video import VideoFile

QUIET = Reporter(quiet=True)
PLAIN = ["features.precision=fp32", "features.device=cpu"]


@pytest.mark.parametrize(("cell", "pooling", "fusion"), COMBINATIONS)
@pytest.mark.parametrize("closed_form", [False, True])
def test_a_flat_state_carries_all_that_step_needs(cell, pooling, fusion, closed_form):
    model = build_model(
        cell=cell, pooling=pooling, fusion=fusion, num_layers=2, closed_form=closed_form
    )
    flat, frames = FlatStep(model), torch.randn(6, 3, 7) * 3
    state, carried = None, model.initial_state(3)
    for frame in frames:
        wanted, state = model.step(frame, state)
        logits, *carried = flat(frame, *carried)
        assert torch.equal(logits, wanted)
    assert len({tensor.name for tensor in flat.state}) == len(carried)
    for described, tensor in zip(flat.state, model.initial_state(3), strict=True):
        shape = list(described.shape)
        shape.insert(described.batch_axis, 3)
        start = float(json.loads(json.dumps(described.to_json()))["start"])
        assert torch.equal(tensor, torch.full(shape, start))


def test_a_bidirectional_model_is_refused():
    with pytest.raises(ConfigError, match=r"has no one-step form and cannot be exported"):
        FlatStep(build_model(bidirectional=True))


@pytest.mark.slow
@pytest.mark.parametrize(("cell", "pooling", "fusion"), COMBINATIONS)
def test_every_model_that_streams_exports(tmp_path, cell, pooling, fusion):
    closed_form = fusion == "late"
    model = FlatStep(
        build_model(cell=cell, pooling=pooling, fusion=fusion, closed_form=closed_form)
    )
    for form, (write, open_step) in FORMATS.items():
        write(step_graph(model, form), tmp_path / "step", "{}")
        for batch in (1, 5):
            check_sequence(open_step(tmp_path / "step"), model, batch)


def check_sequence(step, model, batch):
    """The logits and the state of an exported step are the model's after every frame."""
    state = model.model.initial_state(batch)
    theirs = [tensor.numpy() for tensor in state]
    names = [tensor.name for tensor in model.state]
    for frame in torch.randn(9, batch, 7) * 3:
        with torch.no_grad():
            logits, *state = model(frame, *state)
        made, *theirs = step({"feature": frame.numpy()} | dict(zip(names, theirs, strict=True)))
        np.testing.assert_allclose(made, logits.numpy(), atol=1e-5)
        for ours, other in zip(state, theirs, strict=True):
            np.testing.assert_allclose(other, ours.numpy(), atol=1e-4)


@pytest.fixture(scope="module")
def exported(small_run, tmp_path_factory) -> Path:
    """The small run as ONNX files."""
    home, before = tmp_path_factory.mktemp("home"), os.environ.get("ACTION_GRU_HOME")
    os.environ["ACTION_GRU_HOME"] = str(home)
    folder, names = export_run(small_run.path, "onnx", None, [], QUIET)
    os.environ.pop("ACTION_GRU_HOME")
    if before is not None:
        os.environ["ACTION_GRU_HOME"] = before
    assert folder == small_run.path / "export"
    assert names == sorted(path.name for path in folder.iterdir()) == ["features.onnx", "step.onnx"]
    return folder


@pytest.mark.slow
def test_the_files_say_all_that_lies_between_video_and_answer(exported):
    onnxruntime = import_quietly("onnxruntime")
    for name in ("features", "step"):
        session = onnxruntime.InferenceSession(str(exported / f"{name}.onnx"))
        spec = json.loads(session.get_modelmeta().custom_metadata_map["action_gru"])
        assert spec["classes"] == ["bright", "dark"]
        assert spec["views"] == ["focus", "motion"]
        assert spec["sampling"]["fps"] == 5.0
        assert spec["pictures"]["size_px"] == 64
        assert spec["pictures"]["motion_lags_s"] == [0.04, 0.08, 0.16]
        assert spec["stream"]["states"] == 8
        assert spec["stream"]["window_s"] > 0.4
        assert spec["feature_size"] == 2560
    given = {item.name: item.shape for item in session.get_inputs()}
    assert given.pop("feature") == ["streams", 2560]
    assert set(given) == {tensor["name"] for tensor in spec["state"]}
    assert [item.name for item in session.get_outputs()] == [
        "logits", *(f"next_{tensor['name']}" for tensor in spec["state"])
    ]  # fmt: skip


@pytest.mark.slow
def test_the_example_needs_no_torch_and_answers_like_the_package(exported, small_run, tmp_path):
    video = write_square(tmp_path / "clip.mp4", 40, seed=105)
    for name in ("torch", "action_gru", "ultralytics"):
        (tmp_path / "blocked" / name).mkdir(parents=True)
        (tmp_path / "blocked" / name / "__init__.py").write_text("raise SystemExit('imported')")
    example = [sys.executable, str(ROOT / "examples" / "onnx_live.py"), str(exported), str(video)]
    done = subprocess.run(
        example, capture_output=True, text=True, check=False,
        env=os.environ | {"PYTHONPATH": str(tmp_path / "blocked")},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    answers = [line.split() for line in done.stdout.splitlines()]
    stream = ActionRecognizer.load(small_run.path, "cpu", PLAIN[:1]).stream()
    wanted = {}
    with VideoFile(video) as frames:
        for frame in frames:
            prediction = stream.push(frame.image, frame.time_s)
            wanted[f"{frame.time_s:.2f}"] = (prediction.label, prediction.score)
    assert len(answers) == 20  # four seconds at five frames a second
    for time_s, label, score in answers:
        assert wanted[time_s][0] == label
        assert float(score) == pytest.approx(wanted[time_s][1], abs=2e-3)


@pytest.mark.slow
def test_the_example_names_a_video_that_does_not_open(exported, tmp_path):
    example = [sys.executable, str(ROOT / "examples" / "onnx_live.py"), str(exported)]
    done = subprocess.run(
        [*example, str(tmp_path / "none.mp4")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "none.mp4: no video that PyAV can open" in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"views": ["focus", "accel"]}, "view accel: not made here"),
        ({"pictures": {"fit": "letterbox"}}, "fit letterbox: this example squashes"),
        ({"pictures": {"fit": "crop"}}, "fit crop: this example squashes"),
    ],
)
def test_the_example_names_what_it_does_not_make(exported, tmp_path, changed, said):
    onnx = import_quietly("onnx")
    (tmp_path / "features.onnx").symlink_to(exported / "features.onnx")
    model = onnx.load(exported / "step.onnx")
    spec = json.loads(model.metadata_props[0].value)
    for name, value in changed.items():
        spec[name] = spec[name] | value if isinstance(value, dict) else value
    onnx.helper.set_model_props(model, {"action_gru": json.dumps(spec)})
    onnx.save(model, tmp_path / "step.onnx")
    example = [sys.executable, str(ROOT / "examples" / "onnx_live.py"), str(tmp_path), "a.mp4"]
    done = subprocess.run(example, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_a_step_that_answers_otherwise_is_refused():
    model = FlatStep(build_model())

    def wrong(inputs):
        made = model(*(torch.from_numpy(value) for value in inputs.values()))
        return [tensor.detach().numpy() + 0.01 for tensor in made]

    with pytest.raises(CheckpointError, match=r"a logit differs by 0\.01, at most 0\.001"):
        check_step(wrong, model)


def test_nothing_is_written_where_the_run_cannot_be_exported(small_run, tmp_path):
    checkpoint = load_checkpoint(small_run.path / "best.safetensors")
    checkpoint.model["bidirectional"] = True
    weights = ActionClassifier(**checkpoint.model).state_dict()
    save_checkpoint(replace(checkpoint, weights=weights), tmp_path / "two-way.safetensors")
    with pytest.raises(ConfigError, match="reads the clip backwards"):
        export_run(tmp_path / "two-way.safetensors", "onnx", tmp_path / "out", [], QUIET)
    assert not (tmp_path / "out").exists()


def test_a_model_of_detections_is_refused_and_named(small_run, tmp_path):
    checkpoint = load_checkpoint(small_run.best)
    spec = replace(checkpoint.features[0], view="detections")
    boxes = replace(checkpoint, features=(spec, *checkpoint.features[1:]))
    save_checkpoint(boxes, tmp_path / "other.safetensors")
    with pytest.raises(CheckpointError, match="reads detections"):
        export_run(tmp_path / "other.safetensors", "onnx", tmp_path / "out", [], QUIET)
    assert not (tmp_path / "out").exists()


def test_a_file_in_the_place_of_the_folder_is_named_at_once(small_run, tmp_path):
    (tmp_path / "taken").write_text("x")
    with pytest.raises(ConfigError, match=r"--out .*taken: is a file; name a folder"):
        export_run(small_run.path, "onnx", tmp_path / "taken", [], QUIET)


@pytest.mark.slow
def test_the_command_writes_openvino_files_too(small_run, tmp_path):
    command = [sys.executable, "-m", "action_gru", "export", "-m", str(small_run.path), "--json"]
    done = subprocess.run(
        [*command, "--format", "openvino", "--out", str(tmp_path / "out"), "-q"],
        capture_output=True, text=True, check=False,
        env=os.environ | {"ACTION_GRU_HOME": str(tmp_path / "home")},
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    names = ["features.bin", "features.xml", "step.bin", "step.xml"]
    assert json.loads(done.stdout) == {"folder": str(tmp_path / "out"), "files": names}
    model = import_quietly("openvino").Core().read_model(tmp_path / "out" / "step.xml")
    spec = json.loads(model.get_rt_info(["action_gru"]).astype(str))
    assert spec["classes"] == ["bright", "dark"]
