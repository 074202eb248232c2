import json
import os
import pickle

import pytest
import torch
from helpers.models import ARGUMENTS, checkpoint, spec
from safetensors.torch import load_file

from action_gru.core import files
from action_gru.core.errors import CheckpointError
from action_gru.model import ActionClassifier
from action_gru.training import load_checkpoint, save_checkpoint


def test_what_is_saved_is_what_is_loaded(tmp_path):
    path = tmp_path / "best.safetensors"
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


@pytest.mark.parametrize("name", ["best.safetensors", "model.bin", "run.pt"])
@pytest.mark.parametrize("protocol", [0, 2, 5])
def test_a_pickle_is_refused_by_its_content_whatever_its_name(tmp_path, name, protocol):
    path = tmp_path / name
    path.write_bytes(pickle.dumps({"weights": Harmful()}, protocol=protocol))
    with pytest.raises(CheckpointError, match="it is a pickle, which can run code"):
        load_checkpoint(path)
    torch.save({"weights": Harmful()}, path)
    with pytest.raises(CheckpointError, match=r"as torch.save writes, with a pickle inside"):
        load_checkpoint(path)
    assert not list(tmp_path.glob("harmed"))


class Harmful:
    def __reduce__(self):
        return (os.system, ("touch harmed",))


def changed(path, tree_change=None, header_change=None):
    """A saved checkpoint whose metadata or header is changed; all else fits."""
    save_checkpoint(checkpoint(), path)
    data = path.read_bytes()
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    document = json.loads(header["__metadata__"]["action_gru"])
    (tree_change or (lambda tree: None))(document)
    header["__metadata__"]["action_gru"] = json.dumps(document)
    (header_change or (lambda header: None))(header)
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data[8 + length :])
    return path


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda t: t["model"].update(hidden_size=10**9), "hidden_size: Input should be less"),
        (lambda t: t["model"].update(hidden_size=4096), r"is \(9,\) .*, the model needs \(12288"),
        (lambda t: t["model"].update(num_layers=10**6), "num_layers: Input should be less"),
        (lambda t: t["model"].update(num_classes=10**9), "num_classes 1000000000 against 2 names"),
        (lambda t: t["model"].update(view_dims=[10**9, 4]), r"view_dims \[1000000000, 4\] against"),
        (lambda t: t["model"].update(cell="lstm"), "the model needs"),
        (lambda t: t["model"].update(cell="os"), "cell: Input should be"),
        (lambda t: t["model"].update(closed_form=True), "the model and the weights differ in"),
        (lambda t: t["model"].update(extra=1), "unexpected keyword argument 'extra'"),
        (lambda t: t["features"][0].update(dim=10**12), "view_dims .* against features of"),
        (lambda t: t.update(classes=["a", "\x1b[2J"]), "a class's name holds a control character"),
        (lambda t: t.update(classes=[]), "classes: .* at least 1 item"),
        (lambda t: t.update(sampling={"fps": 0.0, "max_frames": 1}), "sampling.fps: .*greater"),
        (lambda t: t.update(flip="yes"), "flip: Input should be a valid boolean"),
        (lambda t: t.pop("config"), "config: Field required"),
    ],
)
def test_sizes_that_do_not_fit_the_weights_are_refused_before_memory_is_taken(
    tmp_path, change, said
):
    with pytest.raises(CheckpointError, match=said):
        load_checkpoint(changed(tmp_path / "best.safetensors", change))


@pytest.mark.parametrize(
    "header_change",
    [
        lambda h: h["weights.feature_mean"].update(data_offsets=[0, 10**15]),
        lambda h: h["weights.feature_mean"].update(shape=[10**12]),
        lambda h: h["weights.feature_mean"].update(dtype="F64"),
        lambda h: h["weights.feature_mean"].update(data_offsets=[-8, 8]),
    ],
)
def test_a_header_that_reaches_outside_its_file_is_refused(tmp_path, header_change):
    with pytest.raises(CheckpointError, match="not a checkpoint of this program"):
        load_checkpoint(changed(tmp_path / "best.safetensors", None, header_change))


def test_a_header_of_any_length_is_no_pickle(tmp_path):
    path = tmp_path / "best.safetensors"
    # 0x0280 to 0x0580 begin as a pickle does, 0x0a28 as a bracket at the end of a line.
    for wanted in (0x280, 0x380, 0x480, 0x580, 0xA28, 0xA68, 0xA70, 0x2880):
        header = b"{" + b" " * (wanted - 2) + b"}"
        path.write_bytes(wanted.to_bytes(8, "little") + header)
        with pytest.raises(CheckpointError, match="KeyError: 'action_gru'"):
            load_checkpoint(path)


def test_a_header_of_a_huge_length_takes_no_memory(tmp_path):
    path = tmp_path / "best.safetensors"
    for length in (2**63, 10**12, 1000):
        path.write_bytes(length.to_bytes(8, "little") + b"{}" * 40)
        with pytest.raises(CheckpointError, match=f"a header of {length} bytes in a file of 88"):
            load_checkpoint(path)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers_are_refused(tmp_path, value):
    weights = ActionClassifier(**ARGUMENTS).state_dict()
    weights["feature_scale"][3] = value
    save_checkpoint(checkpoint(weights=weights), tmp_path / "best.safetensors")
    with pytest.raises(CheckpointError, match="feature_scale holds NaN or infinity"):
        load_checkpoint(tmp_path / "best.safetensors")


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
