"""One frozen YOLO network as a function from pictures to feature vectors."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d

from action_gru.backbone.loading import load_network
from action_gru.backbone.views import PREPROCESSING_VERSION
from action_gru.errors import BackboneError

# Parts that change a feature by rounding only: a model trained on one runs on the other.
ROUNDING_PARTS = frozenset({"precision", "weights"})


@dataclass(frozen=True)
class FeatureSpec:
    """What a feature vector is a function of, besides the frame."""

    view: str
    weights: str
    weights_sha256: str
    layer: str
    image_size: int
    fit: str
    precision: str
    dim: int
    preprocessing: int = PREPROCESSING_VERSION

    @property
    def fingerprint(self) -> str:
        """Hash over all parts but the name of the weights, in hex."""
        parts = {key: value for key, value in asdict(self).items() if key != "weights"}
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:32]

    def differences(self, other: FeatureSpec) -> list[str]:
        """The parts in which features are not interchangeable, in words; empty if they are."""
        ours, theirs = asdict(self), asdict(other)
        return [
            f"{self.view} {key}: {ours[key]} against {theirs[key]}"
            for key in ours
            if key not in ROUNDING_PARTS and ours[key] != theirs[key]
        ]


class Backbone:
    """Embeds pictures with a frozen YOLO network, on the CPU or an accelerator."""

    def __init__(
        self,
        weights: str,
        layer: str | int = "embedding",
        image_size: int | None = None,
        fit: str = "squash",
        precision: str = "auto",
        device: str = "auto",
        download: bool = True,
    ) -> None:
        network = load_network(weights, download)
        self.weights = Path(weights).name
        self.weights_sha256 = network.weights_sha256
        self.layer = layer
        self.image_size = image_size or network.image_size
        self.fit = fit
        self.device = pick_device(device)
        self.precision = pick_precision(precision, self.device)
        self._dtype = torch.bfloat16 if self.precision == "bf16" else torch.float32
        self._layers = _layers_to_tap(network.module, network.task, layer, self.weights)
        for part in self._layers:
            part.requires_grad_(False).to(self.device, self._dtype)
            part.to(memory_format=torch.channels_last)
        self.dim = self._probe()

    def spec(self, view: str) -> FeatureSpec:
        """The provenance of this backbone's features of one view."""
        return FeatureSpec(
            view=view,
            weights=self.weights,
            weights_sha256=self.weights_sha256,
            layer=str(self.layer),
            image_size=self.image_size,
            fit=self.fit,
            precision=self.precision,
            dim=self.dim,
        )

    def __call__(self, images: Sequence[NDArray[np.uint8]]) -> Tensor:
        """images: N of (S, S, 3) uint8 RGB, S = image_size -> (N, dim) float32 on the CPU.

        Features are averaged over the picture's area; a fourth channel, if there is one, weighs it.
        """
        batch = torch.from_numpy(np.stack([image[..., :3] for image in images]))
        weight = torch.from_numpy(np.stack([_area_weight(image) for image in images]))
        with torch.inference_mode():
            # A contiguous NHWC array seen as NCHW is channels_last already: no copy.
            pixels = batch.permute(0, 3, 1, 2).to(self.device, self._dtype) / 255
            return weighted_mean(self._maps(pixels), weight.to(self.device)).cpu()

    def _maps(self, batch: Tensor) -> Tensor:
        """(N, 3, S, S) -> the tapped layer's maps (N, dim, h, w)."""
        outputs: list[Tensor] = []
        for layer in self._layers:
            source: Any = getattr(layer, "f", -1)  # ultralytics: index or indices of the inputs
            if source == -1:
                inputs: Any = outputs[-1] if outputs else batch
            elif isinstance(source, int):
                inputs = outputs[source]
            else:
                inputs = [outputs[index] for index in source]
            outputs.append(layer(inputs))
        return outputs[-1]

    def _probe(self) -> int:
        side = self.image_size
        try:
            return int(self([np.zeros((side, side, 3), np.uint8)]).shape[1])
        except (RuntimeError, IndexError, TypeError, ValueError) as error:
            raise BackboneError(
                f"features.layer: layer {self.layer} of {self.weights} gives no feature map "
                f"at image_size {side} ({error}); choose another layer or size"
            ) from error


def weighted_mean(maps: Tensor, weight: Tensor) -> Tensor:
    """Average over the area, in float32: maps (N, C, h, w), weight (N, S, S) >= 0 -> (N, C).

    A twentieth of the mean weight is everywhere, so that the scene is not forgotten; where all
    weights are alike this is the plain mean.
    """
    height, width = maps.shape[-2:]
    share = adaptive_avg_pool2d(weight[:, None].float(), (height, width))
    share = share + 0.05 * share.mean((2, 3), keepdim=True) + 1e-3
    share = share / share.sum((2, 3), keepdim=True)
    return (maps.float() * share).sum((2, 3))


def _area_weight(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return image[..., 3] if image.shape[-1] == 4 else np.full(image.shape[:2], 255, np.uint8)


def _layers_to_tap(module: nn.Module, task: str, layer: str | int, weights: str) -> list[nn.Module]:
    """The layers to run, in order; the last one's maps are the features."""
    fused: Any = module.fuse(verbose=False)  # type: ignore[operator]
    layers = list(fused.model)
    if layer == "embedding":
        if task != "classify":
            raise BackboneError(
                f"features.layer: {weights} is a {task} model, which has no classification "
                f"embedding; set features.layer to a layer index from 0 to {len(layers) - 2}"
            )
        return [*layers[:-1], layers[-1].conv]
    if not 0 <= int(layer) < len(layers) - 1:
        raise BackboneError(
            f"features.layer: {weights} has layers 0 to {len(layers) - 2} before its head, "
            f"got {layer}"
        )
    return layers[: int(layer) + 1]


def pick_device(name: str) -> torch.device:
    """auto -> the first GPU, Apple's GPU, or the CPU.

    Raises BackboneError when a named device is not there.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    device = torch.device(name)
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not there.get(device.type, True) or (device.index or 0) >= max(1, torch.cuda.device_count()):
        raise BackboneError(f"device: '{name}' is not on this machine; use auto or cpu")
    return device


def pick_precision(name: str, device: torch.device) -> str:
    """auto -> bf16 where the device multiplies bf16 natively, else fp32."""
    if name != "auto":
        return name
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    if device.type == "cpu":
        units = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
        return "bf16" if units.get("avx512_bf16") or units.get("amx_bf16") else "fp32"
    return "fp32"
