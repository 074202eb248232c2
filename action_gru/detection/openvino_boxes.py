"""Networks of boxes that Ultralytics exported to OpenVINO: any size up to the one exported for, and
the maps that the heads read. Knows no task.
"""

from __future__ import annotations

import re
import threading
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from action_gru.backbone.runtimes import COMPILED_SIZES_KEPT, import_quietly
from action_gru.backbone.weight_files import openvino_files
from action_gru.core.errors import BackboneError
from action_gru.core.safe_yaml import parse_yaml
from action_gru.detection.neck_maps import Pixels, in_parts

CONVOLUTIONS = ("Convolution", "GroupConvolution")


class OpenVinoBoxes:
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
        return self._run(pixels, False)[0]

    def map_widths(self) -> tuple[int, ...]:
        return tuple(int(tap.get_partial_shape()[1].get_length()) for tap in _taps(self._model))

    def with_maps(self, pixels: Pixels) -> tuple[Tensor, list[Tensor]]:
        boxes, *maps = self._run(pixels, True)
        return boxes, maps

    def _run(self, pixels: Pixels, has_maps: bool) -> list[Tensor]:
        infer = partial(self._infer, has_maps=has_maps)
        return in_parts(infer, pixels, self.fixed[0] if self.fixed else 1)

    def _infer(self, pixels: Pixels, has_maps: bool) -> list[Tensor]:
        with self._lock:
            compiled = self._compiled(torch.get_num_threads(), pixels.shape, has_maps)
        own = self._own
        if getattr(own, "compiled", None) is not compiled:
            own.compiled, own.request = compiled, compiled.create_infer_request()
        result = own.request.infer([pixels], share_inputs=True)
        maps = range(len(self._model.outputs), len(compiled.outputs)) if has_maps else ()
        return [torch.from_numpy(np.array(result[at], dtype=np.float32)) for at in (0, *maps)]

    def _compile(self, threads: int, shape: tuple[int, ...], has_maps: bool) -> Any:
        openvino = import_quietly("openvino")
        model = self._model.clone()
        if has_maps:
            model.add_outputs(_taps(model))
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


def _taps(model: Any) -> list[Any]:
    """The outputs of a graph that are the maps which its heads read, the finest first.

    An export keeps the names of modules for convolutions: `model.22.cv3.1.0` is of the last module,
    and of its second level. What the first one of a level reads is the map, of an int8 network once
    it is quantised: a tap before that would change how the graph is fused, and so its boxes. Raises
    BackboneError where no names tell.
    """
    modules = {
        op: int(found[1])
        for op in model.get_ordered_ops()
        if op.get_type_name() in CONVOLUTIONS
        and (found := re.search(r"(?:^|\.)model\.(\d+)[./]", op.get_friendly_name()))
    }
    head, taps = max(modules.values(), default=-1), dict[int, Any]()
    for op, module in modules.items():
        level = re.search(r"cv\d+\.(\d+)[./]", op.get_friendly_name())
        if module == head and level:
            read = op.input_value(0)
            if modules.get(_convolution_before(read), head) != head:
                taps.setdefault(int(level[1]), read)
    if not taps:
        raise BackboneError(
            "the graph does not name its modules, so the maps that its heads read are not found; "
            "export it again with 'yolo export format=openvino', or give the .pt"
        )
    return [taps[level] for level in sorted(taps)]


def _convolution_before(output: Any) -> Any:
    """The nearest one that an output is made from, or what has no input."""
    node = output.get_node()
    while node.get_type_name() not in CONVOLUTIONS and node.get_input_size():
        node = node.input_value(0).get_node()
    return node


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
