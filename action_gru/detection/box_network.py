"""Networks of boxes and poses as Ultralytics saves or exports them: .pt, OpenVINO, ONNX, TensorRT.

A `BoxNetwork` is what a `Detector` needs of one. Its task, classes, keypoints and input come from
the file itself. Knows nothing of frames.
"""

from __future__ import annotations

import copy
import importlib.util
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from action_gru.backbone.loading import import_ultralytics, load_network
from action_gru.backbone.runtimes import COMPILED_SIZES_KEPT, import_quietly
from action_gru.backbone.weight_files import (
    RUNTIME_PACKAGES,
    exported_for,
    find_weights,
    openvino_files,
    weights_sha256,
)
from action_gru.core.errors import BackboneError, MissingExtraError
from action_gru.core.machine import pick_device
from action_gru.core.safe_yaml import parse_yaml

USUAL_SIZE_PX = 640
Pixels = NDArray[np.uint8]
METADATA = ("task", "names", "imgsz", "batch", "end2end", "kpt_shape", "args")


@dataclass(frozen=True)
class BoxNetwork:
    """A detect or pose network, ready to run.

    run: pixels (N, H, W, 3) uint8 RGB -> what ultralytics' `non_max_suppression` takes;
    any number of threads may call it. image_size: the longer side it was trained at, px. fixed:
    the only (N, H, W) that an export takes; None: sides that are multiples of 32. end2end: its
    boxes are suppressed already. keypoint_shape: (points, 2 or 3) of a pose network. note: what
    else its answers depend on, for the provenance of features.
    """

    run: Callable[[Pixels], Tensor]
    task: str
    names: tuple[str, ...]
    image_size: int
    weights_sha256: str
    fixed: tuple[int, int, int] | None = None
    end2end: bool = False
    keypoint_shape: tuple[int, int] | None = None
    note: str = ""


def open_network(
    weights: str,
    *,
    key: str,
    image_size: int | None,
    device: str,
    download: bool,
    sha256: str | None,
) -> BoxNetwork:
    """Open a .pt or an export, found as `find_weights` says. key: what errors call the setting.

    image_size: the longer side of its input, px; None: what it was trained at, or, of an export of
    one shape, its own. Raises BackboneError for what is none, MissingExtraError where its
    runtime is not installed.
    """
    runtime = exported_for(weights)
    if runtime is None:
        made = _open_torch(weights, key, pick_device(device), download, sha256)
        return replace(made, image_size=image_size or made.image_size)
    package = RUNTIME_PACKAGES[runtime]
    if importlib.util.find_spec(package) is None:
        raise MissingExtraError(package, runtime, f"{key}={weights}")
    path = find_weights(weights, download, key, sha256)
    import_ultralytics()
    import_quietly(package)
    try:
        if runtime == "openvino":
            opened: Any = _OpenVino(path, image_size)
        else:
            opened = _AutoBackend(path, runtime, device)
        return _described(opened, weights_sha256(path), image_size)
    except BackboneError as error:
        raise BackboneError(f"{key}: {weights}: {error}") from error
    except Exception as error:  # each runtime raises errors of its own
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise BackboneError(
            f"{key}: {path} cannot be opened by {package} ({reason}); export it again, with the "
            f"versions that are installed here: yolo export format={_FORMATS[runtime]}"
        ) from error


_FORMATS = {"onnx": "onnx", "openvino": "openvino", "tensorrt": "engine"}


def _open_torch(
    weights: str, key: str, device: torch.device, download: bool, sha256: str | None
) -> BoxNetwork:
    network = load_network(weights, download, key, sha256)
    module: Any = network.module.fuse(verbose=False).to(device).requires_grad_(False)
    trained = getattr(module, "args", None)
    size_px = trained.get("imgsz") if isinstance(trained, dict) else None
    names, head = module.names, module.model[-1]  # names by their numbers, or a list
    points = getattr(head, "kpt_shape", None)
    return BoxNetwork(
        _Torch(module, device),
        network.task,
        tuple(str(names[number]) for number in range(len(names))),
        size_px if isinstance(size_px, int) else USUAL_SIZE_PX,
        network.weights_sha256,
        end2end=bool(getattr(head, "end2end", False)),
        keypoint_shape=None if points is None else tuple(points),
    )


class _Torch:
    """A copy for each thread that shares the weights: a head keeps the grid of its last input."""

    def __init__(self, module: Any, device: torch.device) -> None:
        self._module, self._device, self._own = module, device, threading.local()

    def __call__(self, pixels: Pixels) -> Tensor:
        if not hasattr(self._own, "module"):
            shared = [*self._module.parameters(), *self._module.buffers()]
            self._own.module = copy.deepcopy(self._module, {id(one): one for one in shared})
        with torch.inference_mode():
            return _first(self._own.module(_scaled(pixels, self._device)))


class _OpenVino:
    """OpenVINO on the CPU, one picture at a time, compiled for each size when it is first used.

    A call takes as many processors as torch has in its thread, and others run beside it: two
    threads of an extraction take 15 % less time so than in turns with both processors each.
    """

    def __init__(self, folder: Path, image_size: int | None) -> None:
        network, weights, metadata = openvino_files(folder)
        self._core = import_quietly("openvino").Core()
        self._model = self._core.read_model(str(network), str(weights))
        self.metadata = parse_yaml(metadata.read_text(encoding="utf-8"))
        shape = self._model.input().partial_shape
        self.fixed = None if shape.is_dynamic else tuple(shape.to_shape())
        # A frame of 4:3 is a quarter less than the square that most are exported for.
        self._is_cut = bool(
            self.fixed
            and (image_size or max(self.fixed[2:])) <= min(self.fixed[2:])
            and _levels(self._model)
        )
        # Features that were made of the whole square are others.
        self.note = ""
        if self.fixed and self._is_cut:
            if image_size in (None, self.fixed[3]):
                self.note = "frame's shape"
            self.fixed = None
        self._threads, self._own = torch.get_num_threads(), threading.local()
        self._compiled = lru_cache(COMPILED_SIZES_KEPT)(self._compile)
        self._lock = threading.Lock()

    def __call__(self, pixels: Pixels) -> Tensor:
        return _in_parts(self._infer, pixels, self.fixed[0] if self.fixed else 1)

    def _infer(self, pixels: Pixels) -> Tensor:
        with self._lock:
            compiled = self._compiled(torch.get_num_threads(), pixels.shape)
        own = self._own
        if getattr(own, "compiled", None) is not compiled:
            own.compiled, own.request = compiled, compiled.create_infer_request()
        result = own.request.infer([pixels], share_inputs=True)
        return torch.from_numpy(np.array(result[0], dtype=np.float32))

    def _compile(self, threads: int, shape: tuple[int, ...]) -> Any:
        openvino = import_quietly("openvino")
        model = self._model.clone()
        sides = openvino.PartialShape([shape[0], shape[3], *shape[1:3]])
        if self._is_cut:
            _cut(model, shape[1], shape[2])
        model.get_parameters()[0].set_partial_shape(sides)
        model.validate_nodes_and_infer_types()
        made = openvino.preprocess.PrePostProcessor(model)
        made.input().tensor().set_element_type(openvino.Type.u8).set_layout(openvino.Layout("NHWC"))
        made.input().model().set_layout(openvino.Layout("NCHW"))
        made.input().preprocess().convert_element_type(openvino.Type.f32).scale(255.0)
        properties = {
            "INFERENCE_PRECISION_HINT": "f32",  # by itself bf16 where a processor has it
            "INFERENCE_NUM_THREADS": self._threads,
            "NUM_STREAMS": str(max(1, self._threads // threads)),
            "ENABLE_CPU_PINNING": False,
        }
        return self._core.compile_model(made.build(), "CPU", properties)


def _levels(model: Any) -> tuple[int, ...]:
    """The strides of the grids whose cells are the columns of a network's output; () if unknown."""
    height, width = model.input().shape[2:]
    cells = {
        strides: sum((height // stride) * (width // stride) for stride in strides)
        for strides in ((8, 16, 32), (4, 8, 16, 32), (8, 16, 32, 64))
    }
    columns = model.output(0).shape[-1]
    return next((strides for strides, count in cells.items() if count == columns), ())


def _cut(model: Any, height_px: int, width_px: int) -> None:
    """Let a network that was exported for one size take a smaller one.

    All that fixes its size are constants with a column for each cell of its grids. The cells of a
    smaller picture are those at the left and the top of each grid.
    """
    openvino, strides = import_quietly("openvino"), _levels(model)
    down, across = model.input().shape[2:]
    kept, before = [], 0
    for stride in strides:
        grid = np.arange(before, before + (down // stride) * (across // stride))
        before += len(grid)
        grid = grid.reshape(down // stride, across // stride)
        kept.append(grid[: height_px // stride, : width_px // stride].ravel())
    columns = np.concatenate(kept)
    for constant in [op for op in model.get_ops() if op.get_type_name() == "Constant"]:
        values = constant.data
        if values.ndim > 1 and values.shape[-1] == before:
            values = np.ascontiguousarray(values[..., columns])
        elif values.ndim == 1 and before in values and values.dtype == np.int64:  # a shape
            values = np.where(values == before, len(columns), values)
        else:
            continue
        new = openvino.op.Constant(values)
        for place in constant.output(0).get_target_inputs():
            place.replace_source_output(new.output(0))


class _AutoBackend:
    """An .onnx or .engine as ultralytics runs it, by one thread at a time."""

    def __init__(self, path: Path, runtime: str, device: str) -> None:
        from ultralytics.nn.autobackend import AutoBackend

        self._backend = AutoBackend(str(path), device=_device_of(runtime, device), verbose=False)
        self._lock = threading.Lock()
        # Its attributes are the export's metadata, whichever format keeps them.
        given = {name: getattr(self._backend, name, None) for name in METADATA}
        self.metadata = given if getattr(self._backend, "imgsz", None) else {}
        height, width = _sides(self.metadata.get("imgsz", 0))
        is_dynamic = bool(getattr(self._backend, "dynamic", False))
        self.fixed = None if is_dynamic else (int(self._backend.batch), 3, height, width)

    def __call__(self, pixels: Pixels) -> Tensor:
        with self._lock, torch.inference_mode():
            return _in_parts(self._infer, pixels, self.fixed[0] if self.fixed else len(pixels))

    def _infer(self, pixels: Pixels) -> Tensor:
        made = self._backend(_scaled(pixels, self._backend.device).contiguous())
        return _first(made).clone()  # the runtime writes its next results there


def _device_of(runtime: str, name: str) -> torch.device:
    """Where an export runs. Raises BackboneError where it cannot on the device that was named."""
    device = pick_device(name)
    if runtime == "tensorrt" and device.type != "cuda":
        raise BackboneError(
            f"an .engine needs an NVIDIA GPU, and the device is {device}; give the .pt or .onnx"
        )
    if device.type == "cpu" or runtime == "tensorrt":
        return device
    providers = import_quietly("onnxruntime").get_available_providers()
    if device.type == "cuda" and "CUDAExecutionProvider" in providers:
        return device
    if name != "auto":
        raise BackboneError(
            f"this onnxruntime has {', '.join(providers)}, and features.device is {name}; install "
            "onnxruntime-gpu, or set features.device=cpu"
        )
    return torch.device("cpu")


def _described(opened: Any, sha256: str, image_size: int | None) -> BoxNetwork:
    """The network of an export by its metadata.

    Raises BackboneError where they are not whole, or the export takes no image_size.
    """
    fixed = opened.fixed
    if fixed and image_size not in (None, max(fixed[2:])):
        raise BackboneError(
            f"takes pictures of {fixed[3]}x{fixed[2]} pixels, and image_size {image_size} was "
            "asked for; set it to auto, or export the network with that imgsz or with dynamic=True"
        )
    given = opened.metadata if isinstance(opened.metadata, Mapping) else {}
    with suppress(KeyError, TypeError, ValueError):
        names = given["names"]
        args = given.get("args") or {}
        points = given.get("kpt_shape")
        return BoxNetwork(
            opened,
            str(given["task"]),
            tuple(str(names[number]) for number in range(len(names))),
            image_size or max(_sides(given["imgsz"])),
            sha256,
            fixed=fixed and (fixed[0], fixed[2], fixed[3]),
            end2end=bool(given.get("end2end") or args.get("nms")),
            keypoint_shape=None if points is None else (int(points[0]), int(points[1])),
            note=getattr(opened, "note", ""),
        )
    raise BackboneError(
        "its metadata do not name task, names and imgsz as Ultralytics writes them; export it "
        "with 'yolo export'"
    )


def _sides(imgsz: Any) -> tuple[int, int]:
    """Height and width, px, of one number or two."""
    height, width = imgsz if isinstance(imgsz, (list, tuple)) else (imgsz, imgsz)
    return int(height), int(width)


def _scaled(pixels: Pixels, device: torch.device) -> Tensor:
    """(N, H, W, 3) from 0 to 255 -> (N, 3, H, W) from 0 to 1."""
    return torch.from_numpy(pixels).permute(0, 3, 1, 2).to(device).float() / 255


def _in_parts(infer: Callable[[Pixels], Tensor], pixels: Pixels, size: int) -> Tensor:
    """The boxes of many pictures, size of them at a time."""
    parts = [pixels[start : start + size] for start in range(0, len(pixels), size)]
    return torch.cat([infer(part) for part in parts])


def _first(made: Any) -> Tensor:
    """The boxes, of what a network gives beside them."""
    boxes: Tensor = made[0] if isinstance(made, (list, tuple)) else made
    return boxes
