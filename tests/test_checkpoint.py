import json
import os
import pickle

import pytest
import torch
from safetensors.torch import load_file

from action_gru import files
from action_gru.backbone import FeatureSpec
from action_gru.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from action_gru.errors import CheckpointError
from action_gru.model import ActionClassifier

ARGUMENTS = {"view_dims": [4, 4], "num_classes": 2, "projection_size": 3, "hidden_size": 3}


def spec(view: str, **changes) -> FeatureSpec:
    parts = {
        "view": view, "weights": "w.pt", "weights_sha256": "ab", "layer": "embedding",
        "image_size": 224, "fit": "squash", "precision": "bf16", "dim": 4,
    }  # fmt: skip
    return FeatureSpec(**(parts | changes))


def checkpoint(**changes) -> Checkpoint:
    parts = {
        "weights": ActionClassifier(**ARGUMENTS).state_dict(),
        "model": ARGUMENTS,
        "classes": ("sit", "stånd"),
        "features": (spec("rgb"), spec("motion")),
        "sampling": {"fps": 12.0, "max_frames": 64},
        "flip": False,
        "data": {"hash": "x", "allow_leakage": False},
        "config": {"model": {"cell": "gru"}},
    }
    return Checkpoint(**(parts | changes))


def test_what_is_saved_is_what_is_loaded(tmp_path):
    path = tmp_path / "run" / "best.safetensors"
    saved = checkpoint(progress={"epoch": 3}, extra={"optimizer.0.step": torch.tensor(3.0)})
    save_checkpoint(saved, path)
    loaded = load_checkpoint(path)
    assert loaded.classes == ("sit", "stånd")
    assert loaded.features == saved.features
    assert loaded.progress == {"epoch": 3}
    assert loaded.extra["optimizer.0.step"] == 3
    features, lengths = torch.randn(2, 5, 8), torch.tensor([5, 2])
    assert torch.equal(saved.build()(features, lengths), loaded.build()(features, lengths))
    assert "weights.feature_mean" in load_file(path)


@pytest.mark.parametrize(
    ("specs", "fps", "said"),
    [
        ((spec("rgb", weights_sha256="cd"), spec("motion")), 12.0, "weights_sha256: ab against cd"),
        ((spec("rgb"), spec("motion", fit="crop")), 12.0, "motion fit: squash against crop"),
        ((spec("rgb"), spec("motion", preprocessing=9)), 12.0, "motion preprocessing: 2 against 9"),
        ((spec("rgb"),), 12.0, r"views: \['rgb', 'motion'\] against \['rgb'\]"),
        ((spec("motion"), spec("rgb")), 12.0, r"views: .* against \['motion', 'rgb'\]"),
        ((spec("rgb"), spec("motion")), 10.0, "sampling.fps: 12.0 against 10.0"),
    ],
)  # fmt: skip
def test_features_that_do_not_fit_are_named_part_by_part(specs, fps, said):
    with pytest.raises(CheckpointError, match=said):
        checkpoint().check_fits(specs, fps)


def test_rounding_alone_is_no_misfit():
    other = (spec("rgb", precision="fp32", weights="copy.pt"), spec("motion", precision="fp32"))
    checkpoint().check_fits(other, 12.0)


@pytest.mark.parametrize(
    "content",
    [b"", b"text", pickle.dumps({"weights": 1}), b"\xff" * 100, b"\x08\0\0\0\0\0\0\0{}      "],
)
def test_what_is_no_checkpoint_is_refused_by_its_content(tmp_path, content):
    path = tmp_path / "best.safetensors"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match="not a checkpoint of this program"):
        load_checkpoint(path)


def test_no_prefix_of_a_checkpoint_is_trusted(tmp_path):
    path = tmp_path / "best.safetensors"
    save_checkpoint(checkpoint(), path)
    data = path.read_bytes()
    for length in range(0, len(data), len(data) // 40):
        path.write_bytes(data[:length])
        with pytest.raises(CheckpointError):
            load_checkpoint(path)


def test_a_format_of_the_future_is_refused(tmp_path):
    path = tmp_path / "best.safetensors"
    save_checkpoint(checkpoint(), path)
    data = path.read_bytes()
    path.write_bytes(data.replace(b"action_gru.checkpoint.1", b"action_gru.checkpoint.9"))
    with pytest.raises(CheckpointError, match=r"has format 'action_gru.checkpoint.9', expected"):
        load_checkpoint(path)


def test_a_missing_checkpoint_is_named(tmp_path):
    with pytest.raises(CheckpointError, match=r"no checkpoint at .*give the folder that"):
        load_checkpoint(tmp_path / "best.safetensors")


def test_a_full_disk_keeps_the_old_checkpoint(tmp_path, monkeypatch):
    path = tmp_path / "best.safetensors"
    save_checkpoint(checkpoint(), path)
    before = path.read_bytes()

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(CheckpointError, match="No space left on device"):
        save_checkpoint(checkpoint(), path)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["best.safetensors"]


def test_an_interrupted_write_leaves_nothing(tmp_path, monkeypatch):
    def interrupted(descriptor: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(files.os, "fsync", interrupted)
    with pytest.raises(KeyboardInterrupt):
        files.write_atomically(tmp_path / "a" / "b.json", json.dumps({}).encode())
    assert list((tmp_path / "a").iterdir()) == []
