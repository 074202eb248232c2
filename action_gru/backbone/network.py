"""The feature network, all of what a runtime has to run: pictures in, one vector each out."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d

from action_gru.backbone import hubs
from action_gru.backbone.loading import load_network
from action_gru.backbone.weight_files import check_hash, find_weights, hub_of
from action_gru.core.errors import BackboneError
from action_gru.core.files import file_sha256


class FeatureNetwork(nn.Module):
    """The layers up to the tapped one, and the average of its maps over the picture's area.

    image_size: side of the square pictures that the weights were trained for, pixels.
    """

    def __init__(self, layers: Sequence[nn.Module], image_size: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)
        self.image_size = image_size

    def forward(self, pixels: Tensor, weight: Tensor) -> Tensor:
        """pixels (N, S, S, 3) uint8 RGB, weight (N, S, S) uint8 -> (N, dim) float32."""
        # A contiguous NHWC array seen as NCHW is channels_last already: no copy.
        dtype = next(self.parameters()).dtype
        return weighted_mean(self.maps(pixels.permute(0, 3, 1, 2).to(dtype) / 255), weight)

    def maps(self, batch: Tensor) -> Tensor:
        """(N, 3, S, S) in 0 to 1 -> the tapped layer's maps (N, dim, h, w)."""
        outputs: list[Tensor] = []
        for layer in self.layers:
            source: Any = getattr(layer, "f", -1)  # ultralytics: index or indices of the inputs
            if not outputs:
                outputs.append(layer(batch))
            elif isinstance(source, int):
                outputs.append(layer(outputs[source]))
            else:
                outputs.append(layer([outputs[index] for index in source]))
        return outputs[-1]


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


class NetworkSource:
    """The origin of a feature network; reads the weights on first use.

    weights: of Ultralytics, or `timm:NAME`, `torchvision:NAME`. layer: `embedding`, or the number
    of the layer to tap. sha256: what the file must have. Raises BackboneError for a layer of a
    network of another library.
    """

    def __init__(
        self, weights: str, layer: str | int, download: bool, sha256: str | None = None
    ) -> None:
        self.weights, self.layer, self.download, self.pinned = weights, layer, download, sha256
        self.name = Path(weights).name
        self._hub = hub_of(weights)
        if self._hub is not None:
            check_whole(layer, weights)

    @cached_property
    def _file(self) -> Path:
        if self._hub is None:
            return find_weights(self.weights, self.download, sha256=self.pinned)
        library, name = self._hub
        path = hubs.HUBS[library].find(name, self.download)
        check_hash(file_sha256(path), path, "features.weights", self.pinned)
        return path

    @cached_property
    def file_sha256(self) -> str:
        """Raises BackboneError when there are no such weights."""
        return file_sha256(self._file)

    @property
    def identity(self) -> list[str]:
        """What the network follows from, as far as it is known without loading it."""
        return [self.file_sha256, str(self.layer), *(self._hub or ())]

    @property
    def content_sha256(self) -> str:
        """See the function of that name; reads the weights."""
        return self._opened[1]

    @property
    def network(self) -> FeatureNetwork:
        """In float32, on the CPU, frozen. Raises BackboneError where there is nothing to tap."""
        return self._opened[0]

    @cached_property
    def _opened(self) -> tuple[FeatureNetwork, str]:
        if self._hub is None:
            layers, image_size, content = self._load()
        else:
            library, name = self._hub
            layers, image_size = hubs.HUBS[library].load(name, self._file)
            content = content_sha256(layers)
        return FeatureNetwork(layers, image_size).requires_grad_(False).eval(), content

    def _load(self) -> tuple[list[nn.Module], int, str]:
        loaded = load_network(self.weights, self.download, sha256=self.pinned)
        try:
            layers = _layers_to_tap(loaded.module, loaded.task, self.layer, self.name)
            content = content_sha256(layers)  # before layers are fused, which rounds
            loaded.module.fuse(verbose=False)
        except BackboneError:
            raise
        except Exception as error:  # a module of anyone's making may lack anything
            raise BackboneError(
                f"features.weights: {self.name} is no YOLO network ({error}); "
                "give a .pt saved by Ultralytics"
            ) from error
        return layers, loaded.image_size, content


def check_whole(layer: str | int, name: str) -> None:
    """Raise BackboneError for a layer of a network that is only read as a whole."""
    if layer != "embedding":
        raise BackboneError(
            f"features.layer: layers of {name} have no numbers here, got {layer}; leave it at "
            "embedding"
        )


def content_sha256(layers: Sequence[nn.Module]) -> str:
    """Hash over the order, shapes and float32 values of the layers' tensors, in hex.

    Names, dtypes and whole numbers (batch normalisation counts its batches) are not in it: a copy
    of the file, in half precision where the values are the same, has the same hash.
    """
    digest = hashlib.sha256()
    for tensor in nn.ModuleList(layers).state_dict().values():
        if tensor.is_floating_point():
            digest.update(repr(tuple(tensor.shape)).encode())
            digest.update(tensor.detach().cpu().float().numpy().tobytes())
    return digest.hexdigest()


def feature_dim(source: NetworkSource, image_size: int) -> int:
    """How many values the network gives for a picture of this side; raises BackboneError if none.

    Runs it once, on a black picture.
    """
    network = source.network
    weight = next(network.parameters())
    pixels = torch.zeros(1, image_size, image_size, 3, dtype=torch.uint8, device=weight.device)
    try:
        with torch.inference_mode():
            return int(network(pixels, pixels[..., 0]).shape[1])
    except Exception as error:  # a module of anyone's making may raise anything
        raise BackboneError(
            f"features.layer: layer {source.layer} of {source.name} gives no feature map "
            f"at image_size {image_size} ({error}); choose another layer or size"
        ) from error


def _layers_to_tap(module: Any, task: str, layer: str | int, weights: str) -> list[nn.Module]:
    """The layers to run, in order; the last one's maps are the features."""
    layers = list(module.model)
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
