"""Networks that are files of another runtime: ONNX and OpenVINO."""

import hashlib
import json
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from helpers.models import checkpoint
from helpers.videos import noise_pictures, write_square
from onnx import TensorProto, helper

from action_gru.apps.checks import check_network
from action_gru.apps.export import _checked_backbone
from action_gru.backbone import Backbone
from action_gru.backbone.network import weighted_mean
from action_gru.backbone.runtimes import RUNTIMES
from action_gru.config import build_config
from action_gru.core.errors import BackboneError, CheckpointError, MissingExtraError
from action_gru.core.progress import Reporter
from action_gru.features.source import build_backbone, data_source

KERNEL = np.random.default_rng(0).normal(size=(5, 3, 4, 4)).astype(np.float32)


def write_network(
    path: Path, batch=None, side=32, width=None, vector=False, kind=TensorProto.FLOAT, **more
):
    """One convolution of stride 4: maps (N, 5, S / 4, S / 4), or their mean (N, 5)."""
    values = KERNEL.astype(helper.tensor_dtype_to_np_dtype(kind))
    picture = helper.make_tensor_value_info("picture", kind, [batch or "n", 3, side, width or side])
    found = helper.make_tensor_value_info("found", kind, None)
    nodes = [helper.make_node("Conv", ["picture", "kernel"], ["maps"], strides=[4, 4])]
    if vector:
        nodes.append(helper.make_node("GlobalAveragePool", ["maps"], ["pooled"]))
        nodes.append(helper.make_node("Flatten", ["pooled"], ["found"]))
    else:
        nodes.append(helper.make_node("Identity", ["maps"], ["found"]))
    kernel = onnx.numpy_helper.from_array(values, "kernel")
    graph = helper.make_graph(nodes, "g", [picture], more.pop("outputs", [found]), [kernel])
    opset = [helper.make_opsetid("", 18)]
    model = helper.make_model(graph, opset_imports=opset, ir_version=8)
    helper.set_model_props(model, more.pop("metadata", {}))
    onnx.save(model, path, **more)
    return path


def as_openvino(path: Path) -> Path:
    """The same network as an OpenVINO folder."""
    import openvino

    folder = path.parent / "net_openvino_model"
    openvino.save_model(
        openvino.Core().read_model(path), folder / "net.xml", compress_to_fp16=False
    )
    return folder


def backbone(path: Path, **options) -> Backbone:
    return Backbone(str(path), precision="fp32", device="cpu", **options)


def weighed(count: int) -> list[np.ndarray]:
    corner = np.zeros((32, 32, 1), np.uint8)
    corner[:16, :8] = 200
    return [np.dstack([image, corner]) for image in noise_pictures(count, 32)]


def by_hand(images: list[np.ndarray]) -> torch.Tensor:
    pixels = (
        torch.from_numpy(np.stack([image[..., :3] for image in images])).permute(0, 3, 1, 2) / 255
    )
    maps = torch.nn.functional.conv2d(pixels, torch.from_numpy(KERNEL), stride=4)
    weight = np.stack([i[..., 3] if i.shape[2] == 4 else np.full((32, 32), 255) for i in images])
    return weighted_mean(maps, torch.from_numpy(weight))


@pytest.mark.parametrize("runtime", ["onnx", "openvino"])
@pytest.mark.parametrize("batch", [None, 1, 2])
def test_maps_are_averaged_whatever_the_batch_of_the_file(tmp_path, runtime, batch):
    path = write_network(tmp_path / "net.onnx", batch)
    found = backbone(as_openvino(path) if runtime == "openvino" else path)
    images = [*noise_pictures(2, 32), *weighed(1)]
    torch.testing.assert_close(found(images), by_hand(images), atol=1e-4, rtol=1e-3)
    spec = found.spec("focus")
    assert (spec.dim, spec.image_size, spec.runtime, spec.layer) == (5, 32, runtime, "embedding")


def test_a_vector_is_taken_as_it_is_and_weighs_no_places(tmp_path):
    path = write_network(tmp_path / "net.onnx", vector=True, kind=TensorProto.FLOAT16)
    images = noise_pictures(3, 32)
    torch.testing.assert_close(backbone(path)(images), by_hand(images), atol=2e-2, rtol=2e-2)
    tree = {"features": {"weights": str(path), "views": ["rgb", "focus"]}}
    with pytest.raises(BackboneError, match=r"focus weighs places, and net.onnx gives one vector"):
        build_backbone(build_config(tree))


def test_a_file_is_known_by_its_bytes_and_those_beside_it(tmp_path):
    whole = backbone(write_network(tmp_path / "whole.onnx"))
    options = {"save_as_external_data": True, "location": "net.data", "size_threshold": 0}
    path = write_network(tmp_path / "parts.onnx", **options)
    parts = backbone(path)
    images = noise_pictures(1, 32)
    assert torch.equal(parts(images), whole(images))
    before = parts.spec("rgb")
    assert before.fingerprint != whole.spec("rgb").fingerprint
    with (tmp_path / "net.data").open("r+b") as file:
        file.write(b"\0\0\0\0")
    assert backbone(path).spec("rgb").differences(before) != []
    with pytest.raises(BackboneError, match=r"features.weights_sha256 asks for 0000"):
        backbone(path, sha256="0" * 64)
    folder = as_openvino(path)
    files = b"".join((folder / name).read_bytes() for name in ("net.xml", "net.bin"))
    assert backbone(folder).spec("rgb").file_sha256 == hashlib.sha256(files).hexdigest()


def test_values_are_read_from_beside_the_file_only(tmp_path):
    (tmp_path / "in").mkdir()
    options = {"save_as_external_data": True, "location": "net.data", "size_threshold": 0}
    path = write_network(tmp_path / "in" / "net.onnx", **options)
    (tmp_path / "in" / "net.data").rename(tmp_path / "net.data")
    model = onnx.load(path, load_external_data=False)
    next(
        e for e in model.graph.initializer[0].external_data if e.key == "location"
    ).value = "../net.data"
    path.write_bytes(model.SerializeToString())
    with pytest.raises(BackboneError, match=r"refused, its values would be read from \.\./net.dat"):
        backbone(path)


def test_a_size_that_the_file_leaves_open_is_ultralytics_own_or_asked_for(tmp_path):
    path = write_network(tmp_path / "open.onnx", side=None)
    with pytest.raises(BackboneError, match=r"open.onnx takes pictures of any size; a numb"):
        backbone(path)
    found = backbone(path, image_size=64)
    assert (found.image_size, "does not say how its pictures" in found.note) == (64, True)
    stated = {"imgsz": json.dumps([96, 96]), "author": "Ultralytics"}
    named = backbone(write_network(tmp_path / "named.onnx", side=None, metadata=stated))
    assert (named.image_size, named.note) == (96, None)
    stated["task"] = "classify"
    named = backbone(write_network(tmp_path / "named.onnx", side=None, metadata=stated))
    assert "named.onnx gives the probabilities of its classes, not the embedding" in named.note
    folder = as_openvino(path)
    (folder / "metadata.yaml").write_text("author: Ultralytics\nimgsz:\n- 96\n- 96\n")
    assert backbone(folder).image_size == 96


def test_what_is_no_network_of_pictures_is_refused(tmp_path):
    path = write_network(tmp_path / "net.onnx")
    (tmp_path / "text.onnx").write_text("no network")
    two = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in ("maps", "found")
    ]
    cases = [
        (path, {"image_size": 64}, "net.onnx takes pictures of 32 pixels, got 64; auto, or 32 is"),
        (path, {"layer": 3}, "layers of net.onnx have no numbers here, got 3"),
        (path, {"runtime": "openvino"}, "features.runtime: net.onnx runs in onnx, got openvino"),
        (tmp_path / "text.onnx", {}, "text.onnx: onnx cannot run it as a backbone"),
        (tmp_path / "none.onnx", {}, "no one network at .*none.onnx"),
        (write_network(tmp_path / "two.onnx", outputs=two), {}, "has 1 inputs and 2 outputs; one"),
        (
            write_network(tmp_path / "wide.onnx", width=64),
            {},
            r"takes tensor\(float\) \(None, 3, 3",
        ),
    ]
    for file, options, said in cases:
        with pytest.raises(BackboneError, match=said):
            backbone(file, **options)


@pytest.mark.slow
def test_a_detector_is_no_backbone(shared_weights):
    detector = shared_weights.parent / "yolov8n_int8_openvino_model"
    with pytest.raises(BackboneError, match=r"gives \(1, 84, 8400\) for one picture"):
        backbone(detector)


def test_a_missing_runtime_is_named(tmp_path, monkeypatch):
    path = write_network(tmp_path / "net.onnx")
    monkeypatch.setattr(type(RUNTIMES["onnx"]), "missing", lambda self: "onnxruntime")
    with pytest.raises(MissingExtraError, match=r"pip install 'action-gru\[onnx\]'"):
        backbone(path)


def test_export_writes_no_file_again(tmp_path):
    path = write_network(tmp_path / "net.onnx")
    config = build_config({"features": {"weights": str(path), "runtime": "openvino"}})
    check_network(config)
    with pytest.raises(CheckpointError, match=r"net.onnx is a file of its own runtime, which exp"):
        _checked_backbone(checkpoint(), config)


def test_features_of_a_file_are_extracted_and_cached(tmp_path, capsys):
    write_square(tmp_path / "a.mp4", 10)
    (tmp_path / "m.csv").write_text("path,label\na.mp4,x\n")
    path = write_network(tmp_path / "net.onnx")
    config = build_config(
        {
            "data": {"manifest": str(tmp_path / "m.csv")},
            "features": {"weights": str(path), "cache_dir": str(tmp_path / "cache")},
        }
    )
    source = data_source(config)
    for cached in (0, 1):
        table = source.features(source.clips(), Reporter())
        assert (table.report.cached, len(table.by_clip)) == (cached, 1)
    assert {spec.weights for spec in table.specs} == {"net.onnx"}
    assert "net.onnx does not say how its pictures are prepared" in capsys.readouterr().err
