"""A network in two parts: the layers that stay, and the last ones, which may be tuned and written.

Knows nothing of training.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d, layer_norm

from action_gru.backbone.embedding import Backbone
from action_gru.backbone.loading import LoadedNetwork, load_network, save_network
from action_gru.backbone.network import FeatureNetwork, NetworkSource, weighted_mean
from action_gru.backbone.runtimes import TorchRunner
from action_gru.backbone.spec import FeatureSpec
from action_gru.backbone.weight_files import hub_of, runtime_of
from action_gru.core.errors import BackboneError, ConfigError
from action_gru.core.machine import pick_device


class LowerLayers(FeatureNetwork):
    """The layers that stay; gives their maps, and where to look at the size grid, in one row."""

    grid: tuple[int, int] = (1, 1)

    def forward(self, pixels: Tensor, weight: Tensor) -> Tensor:
        """pixels (N, S, S, 3) uint8 RGB, weight (N, S, S) uint8 -> (N, D) float32."""
        maps = self.maps(pixels.permute(0, 3, 1, 2).float() / 255)
        shares = adaptive_avg_pool2d(weight[:, None].float(), self.grid)
        return torch.cat([maps.flatten(1), shares.flatten(1)], 1)


class Stem(Backbone):
    """Stands where a `Backbone` does: gives rows of what the last layers read, not features.

    width: how many values the last layers make of a picture.
    """

    def __init__(
        self, below: LowerLayers, top: FeatureNetwork, image_size: int, fit: str, device: str
    ) -> None:
        self.image_size, self.fit, self.weights = image_size, fit, "below"
        with torch.inference_mode():
            made = below.maps(torch.zeros(1, 3, image_size, image_size))
            last = top.maps(made)
        self.shape, self.width, self.cut = made.shape[1:], last.shape[1], made.numel()
        self.grid = below.grid = (last.shape[2], last.shape[3])
        self.dim = self.cut + last[0, 0].numel()
        self._run = TorchRunner(below, "fp32", pick_device(device), None)

    def spec(self, view: str) -> FeatureSpec:
        """What an `Extractor` asks for; its cache is not kept."""
        place = ("0" * 64, "below", self.image_size, self.fit, "fp32", self.dim)
        return FeatureSpec(view, self.weights, *place)

    def pooled(self, top: FeatureNetwork, rows: Tensor) -> Tensor:
        """Mean and maximum over frames of normalised features: (B, F, D) -> (B, 2 width)."""
        flat = rows.flatten(0, 1).float()
        maps, weight = flat[:, : self.cut], flat[:, self.cut :]
        maps = maps.reshape(-1, *self.shape).contiguous(memory_format=torch.channels_last)
        made = weighted_mean(top.maps(maps), weight.reshape(-1, *self.grid))
        made = layer_norm(made, made.shape[1:]).reshape(*rows.shape[:2], -1)
        return torch.cat([made.mean(1), made.amax(1)], 1)


def divide(
    source: NetworkSource, layers: int, image_size: int | None, fit: str, device: str
) -> tuple[Stem, FeatureNetwork]:
    """The layers that stay, and the last ones, of which there are `layers`.

    image_size: side of the pictures, None for the usual one. Raises BackboneError for a network
    that `save_tuned` cannot write, ConfigError where nothing is left below.
    """
    _classifier(source)
    whole, size_px = list(source.network.layers), source.network.image_size
    if layers >= len(whole):
        raise ConfigError(
            f"--layers {layers}: {source.name} has {len(whole)}, and the first one stays as it is; "
            "choose fewer"
        )
    below, top = LowerLayers(whole[:-layers], size_px), FeatureNetwork(whole[-layers:], size_px)
    return Stem(below.eval(), top.eval(), image_size or size_px, fit, device), top


def _classifier(source: NetworkSource) -> LoadedNetwork:
    """The whole network. Raises BackboneError where it is none that can be written again."""
    if not (hub_of(source.weights) or runtime_of(source.weights)):
        loaded = load_network(source.weights, source.download, sha256=source.pinned)
        if loaded.task == "classify":
            return loaded
    raise BackboneError(
        f"features.weights: {source.name} is no classification network of Ultralytics, and no "
        "other can be tuned; use one such as yolo26n-cls.pt"
    )


def save_tuned(path: Path, source: NetworkSource, top: FeatureNetwork, image_size: int) -> None:
    """Write the whole network, its last layers replaced by those of top, for `features.weights`."""
    module = _classifier(source).module
    module.fuse(verbose=False)
    state, count = module.state_dict(), len(source.network.layers)
    for number, layer in enumerate(top.layers, start=count - len(top.layers)):
        # What is tapped last of a classifier is the convolution before its linear layer.
        is_head = source.layer == "embedding" and number == count - 1
        prefix = f"model.{number}.{'conv.' if is_head else ''}"
        state |= {f"{prefix}{name}": value for name, value in layer.state_dict().items()}
    module.load_state_dict(state)
    save_network(path, module, image_size)
