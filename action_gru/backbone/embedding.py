"""One frozen network as a function from pictures to feature vectors, by any runtime."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from action_gru.backbone.cuda import CudaRunner, Gpu
from action_gru.backbone.exported import ExportedNetwork, export_network, open_checked
from action_gru.backbone.model_files import ModelFile
from action_gru.backbone.network import FeatureNetwork, NetworkSource, feature_dim
from action_gru.backbone.runtimes import (
    RUNTIMES,
    Runner,
    TorchRunner,
    usual,
)
from action_gru.backbone.spec import FeatureSpec
from action_gru.backbone.weight_files import runtime_of
from action_gru.core.errors import BackboneError, CacheError
from action_gru.core.machine import pick_device


class Backbone:
    """Embeds pictures with a frozen network, on the CPU or an accelerator.

    has_maps: whether it weighs places, as `focus` needs; note: what the user should know of it, in
    words. runtime: torch, onnx, openvino, tensorrt, or auto for the usual one here. threads: how
    many of the processor's the network may use; None: as torch is set. sha256: what the file of the
    weights must have, if it is known. cuda_graphs: see `CudaRunner`; for torch on a CUDA device
    alone.
    """

    def __init__(
        self,
        weights: str,
        layer: str | int = "embedding",
        image_size: int | None = None,
        fit: str = "squash",
        precision: str = "auto",
        device: str = "auto",
        download: bool = True,
        runtime: str = "torch",
        threads: int | None = None,
        sha256: str | None = None,
        cuda_graphs: bool = False,
    ) -> None:
        self._source = open_source(weights, layer, download, sha256)
        self._size, self._wished_precision, self._threads = image_size, precision, threads
        self._cuda_graphs = cuda_graphs
        self.exported: ExportedNetwork | None = None  # what runs, where it is not torch
        self.weights, self.layer, self.fit = self._source.name, layer, fit
        self.has_maps = True
        self.note: str | None = None
        if isinstance(self._source, ModelFile):
            runtime = self._source.check_runtime(runtime)
        self.device = pick_device(device)
        if device == "auto" and runtime in RUNTIMES:
            self.device = RUNTIMES[runtime].nearest(self.device)
        self._run = self._open_usual() if runtime == "auto" else self._open(runtime)
        stated = self._source.precision if isinstance(self._source, ModelFile) else None
        self.precision = stated or self._precision(self.runtime)
        self._content = (self.exported or self._source).content_sha256

    def spec(self, view: str) -> FeatureSpec:
        """The provenance of this backbone's features of one view."""
        network = (self.weights, self._content, str(self.layer), self.image_size)
        parts = (*network, self.fit, self.precision, self.dim)
        file = self._source.file_sha256
        return FeatureSpec(view, *parts, runtime=self.runtime, file_sha256=file)

    @property
    def network(self) -> FeatureNetwork:
        """The network itself, in float32 on the CPU; not of a file of another runtime."""
        assert isinstance(self._source, NetworkSource)
        return self._source.network

    def __call__(self, images: Sequence[NDArray[np.uint8]]) -> Tensor:
        """images: N of (S, S, 3) uint8 RGB, S = image_size -> (N, dim) float32 on the CPU.

        Features are averaged over the picture's area; a fourth channel, if there is one, weighs it.
        """
        return torch.from_numpy(self._run(*_batch_of(images)))

    def _open_usual(self) -> Runner:
        """By the usual runtime; by torch, and told, where the network does not run in that."""
        native = pick_precision(self._wished_precision, self.device)
        name = usual(self.device, native)
        try:
            return self._open(name)
        except (BackboneError, CacheError) as error:
            if name == "torch":
                raise
            run = self._open("torch")
            self.note = f"features.runtime: auto takes torch, not {name}: {error}"
            return run

    def _open(self, runtime: str) -> Runner:
        """A runner of the network; sets runtime, image_size and dim."""
        self.runtime = runtime
        if self._cuda_graphs and (runtime, self.device.type) != ("torch", "cuda"):
            raise BackboneError(
                "features.cuda_graphs: only torch on a CUDA device has graphs, and this is "
                f"{runtime} on {self.device}; set features.cuda_graphs=false"
            )
        precision = self._precision(runtime)
        if isinstance(self._source, ModelFile):
            threads = self._threads or torch.get_num_threads()
            file = self._source.open(self._size, precision, self.device, threads)
            self.image_size, self.dim = file.image_size, file.dim
            self.has_maps, self.note = file.has_maps, file.note
            return file
        if runtime == "torch":
            self.exported = None
            network = self._source.network
            self.image_size = self._size or network.image_size
            self.dim = feature_dim(self._source, self.image_size)
            runner = TorchRunner(network, precision, self.device, self._threads)
            if self.device.type != "cuda":
                return runner
            return CudaRunner(runner.network, Gpu(self.device), self._cuda_graphs)
        chosen, threads = RUNTIMES[runtime], self._threads or torch.get_num_threads()
        chosen.check(self.device)
        exported = self.exported = export_network(self._source, self._size, chosen.form)
        self.image_size, self.dim = exported.image_size, exported.dim
        return open_checked(exported, self._source, chosen, precision, self.device, threads)

    def _precision(self, runtime: str) -> str:
        native = pick_precision(self._wished_precision, self.device)
        if runtime == "torch":
            return native
        return RUNTIMES[runtime].pick_precision(self._wished_precision, native)


def _batch_of(images: Sequence[NDArray[np.uint8]]) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """N pictures (S, S, 3 or 4) -> pixels (N, S, S, 3) and weight (N, S, S), 255 without a fourth.

    Each is written once, by OpenCV: strided copies of numpy take several times as long.
    """
    height, width = images[0].shape[:2]
    pixels = np.empty((len(images), height, width, 3), np.uint8)
    weight = np.full((len(images), height, width), 255, np.uint8)
    for image, into, places in zip(images, pixels, weight, strict=True):
        if image.shape[:2] != (height, width):  # OpenCV would write it somewhere else
            raise ValueError(f"pictures of {(height, width)} and of {image.shape[:2]} in one batch")
        if image.shape[2] == 4:
            cv2.cvtColor(image, cv2.COLOR_RGBA2RGB, dst=into)
            cv2.extractChannel(image, 3, dst=places)
        else:
            into[:] = image
    return pixels, weight


def open_source(
    weights: str, layer: str | int, download: bool, sha256: str | None
) -> NetworkSource | ModelFile:
    """Where the network comes from: tensors for torch, or a file of another runtime."""
    if runtime_of(weights):
        return ModelFile(weights, layer, sha256)
    return NetworkSource(weights, layer, download, sha256)


def pick_precision(name: str, device: torch.device) -> str:
    """auto -> bf16 where the device multiplies bf16 natively and torch lets it, else fp32."""
    if name != "auto":
        return name
    has_units = False
    if device.type == "cuda":
        has_units = torch.cuda.is_bf16_supported(including_emulation=False)
    # ATEN_CPU_CAPABILITY may hold torch to AVX2, whatever units there are.
    elif device.type == "cpu" and torch.backends.cpu.get_cpu_capability() != "AVX2":
        units = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
        has_units = bool(units.get("avx512_bf16") or units.get("amx_bf16"))
    return "bf16" if has_units else "fp32"
