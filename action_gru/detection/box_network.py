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
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from action_gru.backbone.loading import import_ultralytics, load_network
from action_gru.backbone.runtimes import import_quietly
from action_gru.backbone.weight_files import (
    RUNTIME_PACKAGES,
    exported_for,
    find_weights,
    weights_sha256,
)
from action_gru.core.errors import BackboneError, MissingExtraError
from action_gru.core.machine import pick_device
from action_gru.detection.neck_maps import MapNetwork, Pixels, in_parts
from action_gru.detection.openvino_boxes import OpenVinoBoxes

USUAL_SIZE_PX = 640
METADATA = ("task", "names", "imgsz", "batch", "end2end", "kpt_shape", "args")


@dataclass(frozen=True)
class BoxNetwork:
    """A detect or pose network, ready to run.

    run: pixels (N, H, W, 3) uint8 RGB -> what ultralytics' `non_max_suppression` takes;
    any number of threads may call it. image_size: the longer side it was trained at, px. fixed:
    the only (N, H, W) that an export takes; None: sides that are multiples of 32. end2end: its
    boxes are suppressed already. keypoint_shape: (points, 2 or 3) of a pose network. note: what
    else its answers depend on, for the provenance of features. maps: gives what its heads read,
    too; None: this format does not.
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
    maps: MapNetwork | None = None


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
            opened: Any = OpenVinoBoxes(path, image_size)
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
    run = _Torch(module, device)
    return BoxNetwork(
        run,
        network.task,
        tuple(str(names[number]) for number in range(len(names))),
        size_px if isinstance(size_px, int) else USUAL_SIZE_PX,
        network.weights_sha256,
        end2end=bool(getattr(head, "end2end", False)),
        keypoint_shape=None if points is None else tuple(points),
        maps=run,
    )


class _Torch:
    """A copy for each thread that shares the weights: a head keeps the grid of its last input."""

    def __init__(self, module: Any, device: torch.device) -> None:
        self._module, self._device, self._own = module, device, threading.local()

    def __call__(self, pixels: Pixels) -> Tensor:
        return self.with_maps(pixels)[0]

    def map_widths(self) -> tuple[int, ...]:
        side_px = int(self._module.stride.max())
        _, maps = self.with_maps(np.zeros((1, side_px, side_px, 3), np.uint8))
        return tuple(one.shape[1] for one in maps)

    def with_maps(self, pixels: Pixels) -> tuple[Tensor, list[Tensor]]:
        own = self._own
        if not hasattr(own, "module"):
            shared = [*self._module.parameters(), *self._module.buffers()]
            own.module = copy.deepcopy(self._module, {id(one): one for one in shared})
            own.maps = []
            head = own.module.model[-1]  # of all levels at once
            head.register_forward_pre_hook(lambda _, inputs: own.maps.extend(inputs[0]))
        with torch.inference_mode():
            boxes = _first(own.module(_scaled(pixels, self._device)))
        maps, own.maps = own.maps, []  # not kept until the next pass
        return boxes, maps


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
            return in_parts(self._infer, pixels, self.fixed[0] if self.fixed else len(pixels))[0]

    def _infer(self, pixels: Pixels) -> list[Tensor]:
        made = self._backend(_scaled(pixels, self._backend.device).contiguous())
        return [_first(made).clone()]  # the runtime writes its next results there


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
            maps=opened if hasattr(opened, "with_maps") else None,
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


def _first(made: Any) -> Tensor:
    """The boxes, of what a network gives beside them."""
    boxes: Tensor = made[0] if isinstance(made, (list, tuple)) else made
    return boxes
