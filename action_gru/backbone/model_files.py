"""A network in a file of its own runtime: any ONNX file, any OpenVINO file or folder.

It takes one batch of pictures (N, 3, S, S), RGB in 0 to 1, and gives vectors (N, D) or maps
(N, D, h, w), which are averaged over the area as those of other backbones. It is known by the bytes
of its files. Or it is the feature network of a run, as `export` writes it: this one says in its
metadata which network it stands for, and a model trained on that one reads its features.
"""

from __future__ import annotations

import hashlib
import json
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from action_gru.backbone.network import check_whole, weighted_mean
from action_gru.backbone.runtimes import RUNTIMES, Pixels, Port, Vectors, import_quietly
from action_gru.backbone.weight_files import check_hash, network_file, runtime_of
from action_gru.core.errors import ActionGruError, BackboneError
from action_gru.core.safe_yaml import parse_yaml

TYPES = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "f32": np.float32,
    "f16": np.float16,
}
EXPORTED = "action_gru"  # the key of what `export` writes into a file's metadata
SHAPES = "a batch of pictures (N, 3, S, S), float"


class ModelFile:
    """The origin of such a network; stands where a `NetworkSource` does.

    Raises BackboneError for a layer: it is read as a whole.
    """

    def __init__(self, weights: str, layer: str | int, sha256: str | None = None) -> None:
        self.path, self.pinned = network_file(weights), sha256
        self.name = Path(weights).name
        check_whole(layer, self.name)
        self.runtime = str(runtime_of(weights))

    @property
    def file_sha256(self) -> str:
        """What else the network is known by: of an exported one the hash of that it stands for."""
        return self.stands_for or self.content_sha256

    @property
    def stands_for(self) -> str | None:
        """The content of the network that `export` wrote this file of; None for other files."""
        trained = self._description.get("trained_on")
        return str(trained[0]["weights_sha256"]) if trained else None

    @property
    def precision(self) -> str | None:
        """int8 of a network that was exported so: its features are kept apart from those in fp32,
        also from those of the network it stands for. None: what its runtime computes in.
        """
        return self._description.get("precision")

    @cached_property
    def _description(self) -> dict[str, Any]:
        return json.loads(self._described() or "{}")  # type: ignore[no-any-return]

    def _described(self) -> str | None:
        """What `export` wrote into the file; None for others."""
        if self.runtime == "openvino":
            info = import_quietly("openvino").Core().read_model(str(self.path)).get_rt_info()
            return str(info[EXPORTED].astype(str)) if EXPORTED in info else None
        found = {entry.key: entry.value for entry in self._onnx.metadata_props}
        return found.get(EXPORTED)

    @cached_property
    def content_sha256(self) -> str:
        """Hash of the file and of those with its values, one after another; what its graph computes
        is not looked into.
        """
        digest = hashlib.sha256()
        for path in (self.path, *self._files_of_values()):
            digest.update(path.read_bytes())
        check_hash(digest.hexdigest(), self.path, "features.weights", self.pinned)
        return digest.hexdigest()

    def check_runtime(self, wanted: str) -> str:
        """Its own runtime. Raises BackboneError where another one is asked for."""
        if wanted not in ("torch", "auto", self.runtime):
            raise BackboneError(
                f"features.runtime: {self.name} runs in {self.runtime}, got {wanted}; leave "
                "features.runtime out"
            )
        return self.runtime

    def open(
        self, side: int | None, precision: str, device: torch.device, threads: int
    ) -> FileRunner | ExportedRunner:
        """Raises BackboneError for a network of other inputs or outputs."""
        runtime = RUNTIMES[self.runtime]
        runtime.check(device)
        try:
            self.content_sha256  # noqa: B018 a file that is not the pinned one is not opened
            runner = runtime.open(self.path, precision, device, threads)
            if self.stands_for:
                return ExportedRunner(runner, self.name, side)
            return FileRunner(runner, self, side, self._metadata())
        except ActionGruError:
            raise
        except Exception as error:  # the runtimes' own classes, which all differ
            reason = " ".join(str(error).split())[:200]
            raise BackboneError(
                f"{self.path}: {self.runtime} cannot run it as a backbone ({reason}); export it "
                f"again, with {SHAPES}, as its one input"
            ) from error

    def _files_of_values(self) -> list[Path]:
        """Where the values are that are not in the file itself."""
        if self.runtime == "openvino":
            return [self.path.with_suffix(".bin")]
        places = {
            entry.value
            for tensor in self._onnx.graph.initializer
            for entry in tensor.external_data
            if entry.key == "location"
        }
        if outside := [place for place in places if Path(place).name != place]:
            raise BackboneError(
                f"{self.path}: refused, its values would be read from {outside[0]}; a network's "
                "files stand beside each other"
            )
        return [self.path.with_name(place) for place in sorted(places)]

    def _metadata(self) -> dict[str, Any]:
        """What Ultralytics wrote down of the network when it exported it; empty for others."""
        if self.runtime == "openvino":
            file = self.path.with_name("metadata.yaml")
            return dict(parse_yaml(file.read_text("utf-8"))) if file.is_file() else {}
        return {entry.key: entry.value for entry in self._onnx.metadata_props}

    @cached_property
    def _onnx(self) -> Any:
        return import_quietly("onnx").load(self.path, load_external_data=False)


class ExportedRunner:
    """Runs the feature network of an exported run. See `FileRunner` for its attributes."""

    has_maps, note = True, None

    def __init__(self, runner: Any, name: str, side: int | None) -> None:
        ports = {port.name: port.shape for port in runner.ports()[0]}
        fixed = ports["pixels"][1]
        if fixed is None or side not in (None, fixed):
            raise BackboneError(
                f"features.weights: {name} takes pictures of {fixed} pixels, got {side}; leave "
                "features.image_size at auto"
            )
        self.image_size, self._runner = int(fixed), runner
        black = np.zeros((1, fixed, fixed, 3), np.uint8)
        self.dim = self(black, black[..., 0]).shape[1]

    def __call__(self, pixels: Pixels, weight: Pixels) -> Vectors:
        made: Vectors = self._runner.infer({"pixels": pixels, "weight": weight})
        return made


class FileRunner:
    """Runs it. image_size: side of the pictures, pixels; dim: values of a vector; has_maps: whether
    places can be weighed; note: what the file left open, in words.
    """

    def __init__(
        self, runner: Any, file: ModelFile, side: int | None, metadata: dict[str, Any]
    ) -> None:
        self._runner, self._name, self._runtime = runner, file.name, file.runtime
        inputs, outputs = runner.ports()
        self._input, self._dtype = self._checked(inputs, outputs)
        self.image_size = self._side(side, metadata)
        black = np.zeros((1, self.image_size, self.image_size, 3), np.uint8)
        made = self._run(black)
        if made.ndim not in (2, 4):
            raise self._refusal(f"gives {made.shape} for one picture; (1, D) or (1, D, h, w)")
        self.dim, self.has_maps = made.shape[1], made.ndim == 4
        self.note = self._note(metadata)

    def __call__(self, pixels: Pixels, weight: Pixels) -> Vectors:
        made = self._run(pixels)
        if self.has_maps:
            return weighted_mean(torch.from_numpy(made), torch.from_numpy(weight)).numpy()
        return made

    def _run(self, pixels: Pixels) -> Vectors:
        """(N, S, S, 3) -> the output as it is, (N, ...), float32."""
        batch = (pixels.transpose(0, 3, 1, 2).astype(np.float32) / 255).astype(self._dtype)
        size = self._input.shape[0] or len(batch)
        missing = -len(batch) % size  # a network of a fixed batch gets whole ones
        batch = np.concatenate([batch, np.repeat(batch[-1:], missing, axis=0)])  # contiguous, too
        parts = [
            self._runner.infer({self._input.name: batch[start : start + size]})
            for start in range(0, len(batch), size)
        ]
        made: NDArray[Any] = np.concatenate(parts)[: len(pixels)]
        return made.astype(np.float32)

    def _checked(self, inputs: list[Port], outputs: int) -> tuple[Port, Any]:
        if len(inputs) != 1 or outputs != 1:
            raise self._refusal(f"has {len(inputs)} inputs and {outputs} outputs; one of each")
        (port,) = inputs
        is_picture = len(port.shape) == 4 and port.shape[1] in (3, None)
        if not is_picture or port.shape[2] != port.shape[3] or port.type not in TYPES:
            raise self._refusal(f"takes {port.type} {port.shape}; {SHAPES},")
        return port, TYPES[port.type]

    def _side(self, asked: int | None, metadata: dict[str, Any]) -> int:
        fixed = self._input.shape[2]
        if fixed is not None and asked not in (None, fixed):
            raise self._refusal(f"takes pictures of {fixed} pixels, got {asked}; auto, or {fixed}")
        stated = metadata.get("imgsz")
        if isinstance(stated, str):  # "[224, 224]"
            stated = json.loads(stated)
        side = fixed or asked or (stated[0] if stated else None)
        if side is None:
            raise self._refusal("takes pictures of any size; a number in features.image_size")
        return int(side)

    def _note(self, metadata: dict[str, Any]) -> str | None:
        if metadata.get("author") != "Ultralytics":
            return (
                f"{self._name} does not say how its pictures are prepared: RGB in 0 to 1 is given; "
                "a network that wants other values needs them computed in its graph"
            )
        if metadata.get("task") == "classify":
            return (
                f"{self._name} gives the probabilities of its classes, not the embedding; its .pt "
                f"with features.runtime={self._runtime} gives that"
            )
        return None

    def _refusal(self, found: str) -> BackboneError:
        return BackboneError(f"features.weights: {self._name} {found} is needed here")
