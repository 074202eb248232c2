"""Networks of boxes in each format: the same boxes, and what is wrong with a file."""

import importlib.util
import json
import shutil
import threading
from dataclasses import replace

import numpy as np
import pytest
import torch
from helpers.untrained_networks import write_detector, write_pose_network

from action_gru.backbone.loading import import_ultralytics
from action_gru.backbone.weight_files import weights_sha256
from action_gru.core.errors import BackboneError, MissingExtraError
from action_gru.detection import box_network
from action_gru.detection.detector import Detector

WIDE, SQUARE = (120, 200), (64, 64)


def frames(size, count=3):
    return list(np.random.default_rng(0).integers(0, 255, (count, *size, 3), dtype=np.uint8))


def pose(path, **options):
    options = {"min_score": 1e-6, "device": "cpu"} | options
    return Detector(str(path), task="pose", key="pose.weights", **options)


def assert_same(detector, other, images):
    """What their networks answer: of boxes as alike as an untrained network's, any may be kept."""
    for one, expected in zip(answers(detector, images), answers(other, images), strict=True):
        torch.testing.assert_close(one, expected, rtol=1e-3, atol=1e-2)


def answers(detector, images):
    network, made = detector._network, []

    def run(pixels):
        made.append(network.run(pixels))
        return made[-1]

    detector._network = replace(network, run=run)
    assert all(len(found) > 0 for found in detector(images))
    detector._network = network
    return made


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A pose network that has learnt nothing, which knows its task as trained ones do."""
    path = write_pose_network(tmp_path_factory.mktemp("pose") / "pose.pt")
    checkpoint = torch.load(path, weights_only=False)
    checkpoint["model"].task = "pose"
    torch.save(checkpoint, path)
    return path


def export(weights, imgsz=64, **options):
    """The export of a copy, so that each has its own folder."""
    import_ultralytics()
    from ultralytics import YOLO

    folder = weights.parent / "-".join(["export", *map(str, options.values())])
    folder.mkdir(exist_ok=True)
    copied = shutil.copy(weights, folder)
    return YOLO(copied).export(imgsz=imgsz, verbose=False, **options)


@pytest.mark.slow
def test_an_onnx_file_gives_the_boxes_of_its_pt(weights):
    pytest.importorskip("onnxruntime")
    options = {"format": "onnx", "simplify": False}
    fixed, free = (pose(export(weights, **options, dynamic=free)) for free in (False, True))
    assert (fixed.image_size, fixed.names, fixed.keypoint_shape) == (64, ("0",), (5, 3))
    assert_same(fixed, pose(weights), frames(SQUARE))
    assert_same(free, pose(weights), frames(WIDE))
    with pytest.raises(BackboneError, match=r"takes pictures of 64x64 pixels, and image_size 32 "):
        pose(weights.parent / "export-onnx-False-False" / "pose.onnx", image_size=32)
    with pytest.raises(BackboneError, match=r"detection\.weights: .* is a pose model; a detect mo"):
        Detector(str(weights.parent / "export-onnx-False-False" / "pose.onnx"))


@pytest.mark.slow
def test_an_openvino_folder_gives_the_boxes_of_its_pt(weights, tmp_path):
    pytest.importorskip("openvino")
    folder = export(weights, 128, format="openvino")
    assert_same(pose(folder), pose(weights, image_size=128), frames(SQUARE))
    # Exported for one size, it takes smaller ones, and frames of any shape as they are.
    smaller, expected = (pose(path, image_size=96) for path in (folder, weights))
    for shape in (WIDE, SQUARE, WIDE[::-1]):
        assert_same(smaller, expected, frames(shape))
    with pytest.raises(BackboneError, match=r"28x128 pixels, and image_size 160 was asked for; s"):
        pose(folder, image_size=160)
    with pytest.raises(BackboneError, match=r"has the SHA-256 \w{64}, and pose\.weights_sha256"):
        pose(folder, sha256="1" * 64)
    copied = shutil.copytree(folder, tmp_path / "copy")
    (copied / "notes.txt").write_text("of no account")
    assert pose(folder).weights_sha256 == weights_sha256(copied)
    network = next(copied.glob("*.xml"))
    network.write_text(network.read_text()[:2000])
    with pytest.raises(BackboneError, match=r"pose\.weights: .*copy cannot be opened by openvino"):
        pose(copied)


@pytest.mark.slow
@pytest.mark.parametrize("task", ["detect", "pose"])
def test_a_real_export_finds_what_ultralytics_finds(shared_data, shared_weights, task):
    pytest.importorskip("openvino")
    name = {"detect": "yolov8n", "pose": "yolov8n-pose"}[task] + "_int8_openvino_model"
    folder = shared_weights.parent / name
    import_ultralytics()
    from ultralytics import YOLO

    from action_gru.video import VideoFile

    with VideoFile(shared_data / "edge" / "mmaction2_demo.mp4") as video:
        image = next(frame.image for frame in video if frame.index == 30)
    key = "pose.weights" if task == "pose" else "detection.weights"
    (ours,) = Detector(str(folder), task=task, key=key, min_score=0.5)([image])
    theirs = YOLO(folder, task=task).predict(image[..., ::-1], conf=0.3, iou=0.7, verbose=False)[0]
    assert len(ours) >= 4
    boxes = theirs.boxes.xyxy.numpy()
    for row, box in enumerate(ours.boxes):
        nearest = np.abs(boxes - box).max(1).argmin()
        assert boxes[nearest] == pytest.approx(box, abs=0.1 * float(box[3] - box[1]))
        assert float(theirs.boxes.cls[nearest]) == ours.kinds[row]


@pytest.fixture
def openvino_folder(tmp_path):
    folder = tmp_path / "mine_openvino_model"
    folder.mkdir()
    for name in ("mine.xml", "mine.bin", "metadata.yaml"):
        (folder / name).write_text("nothing")
    return folder


def test_a_folder_that_is_no_export_is_refused(openvino_folder):
    (openvino_folder / "metadata.yaml").unlink()
    with pytest.raises(BackboneError, match=r"pose\.weights: .*mine_openvino_model is a folder, and"
                       r" not one that 'yolo export format=openvino' writes"):  # fmt: skip
        pose(openvino_folder)


def test_a_damaged_export_is_refused(openvino_folder, tmp_path):
    pytest.importorskip("openvino")
    pytest.importorskip("onnxruntime")
    with pytest.raises(BackboneError, match=r"pose\.weights: .*model cannot be opened by openvino"):
        pose(openvino_folder)
    (tmp_path / "mine.onnx").write_bytes(b"nothing")
    with pytest.raises(BackboneError, match=r"mine\.onnx cannot be opened by onnxruntime \(.*yolo "
                       r"export format=onnx"):  # fmt: skip
        pose(tmp_path / "mine.onnx")


def test_a_runtime_that_is_not_installed_is_named(openvino_folder, tmp_path, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    (tmp_path / "mine.engine").write_bytes(b"nothing")
    (tmp_path / "mine.onnx").write_bytes(b"nothing")
    for path, package in {
        openvino_folder: r"'openvino'.*\[openvino\]",
        tmp_path / "mine.onnx": r"'onnxruntime'.*\[onnx\]",
        tmp_path / "mine.engine": r"'tensorrt'.*\[tensorrt\]",
    }.items():
        with pytest.raises(MissingExtraError, match=rf"pose\.weights=.* needs the.*{package}"):
            pose(path)


def test_an_export_runs_on_no_other_device_than_was_named(monkeypatch):
    with pytest.raises(BackboneError, match=r"an \.engine needs an NVIDIA GPU, and the device is"):
        box_network._device_of("tensorrt", "cpu")
    pytest.importorskip("onnxruntime")
    monkeypatch.setattr(box_network, "pick_device", lambda name: torch.device("mps"))
    assert box_network._device_of("onnx", "auto") == torch.device("cpu")
    with pytest.raises(BackboneError, match=r"this onnxruntime has .*features\.device is mps; ins"):
        box_network._device_of("onnx", "mps")


def test_metadata_that_are_not_whole_are_refused():
    class Opened:
        fixed = None
        metadata = json.loads('{"task": "pose", "names": {"0": "person"}, "imgsz": [64, 64]}')

    with pytest.raises(BackboneError, match="do not name task, names and imgsz as Ultralytics"):
        box_network._described(Opened(), "0" * 64, None)
    Opened.metadata["names"] = {0: "person"}
    assert box_network._described(Opened(), "0" * 64, None).names == ("person",)


def test_threads_that_detect_at_once_find_what_one_finds(tmp_path):
    detector = Detector(str(write_detector(tmp_path / "d.pt")), min_score=1e-6, device="cpu")
    shapes = [(64, 64), (120, 200), (200, 120), (96, 64)]
    alone = [detector(frames(shape, 1))[0].boxes for shape in shapes]
    found = {}

    def detect(index):
        for _ in range(5):
            found[index] = detector(frames(shapes[index], 1))[0].boxes

    threads = [threading.Thread(target=detect, args=(index,)) for index in range(len(shapes))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for index, boxes in enumerate(alone):
        assert np.array_equal(found[index], boxes)
