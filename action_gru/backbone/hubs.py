"""Networks of timm and torchvision as backbones: `timm:NAME.TAG`, `torchvision:NAME.TAG`.

The weights are one file, fetched once, of which only tensors are read. Mean, deviation and side of
the pictures are those that the library states for these weights. Knows nothing of ultralytics.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import isqrt
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from action_gru.backbone.weight_files import fetch, home_folder
from action_gru.core.errors import BackboneError, MissingExtraError

CHECK_SIZE_PX = 64
HEADS = (
    "avgpool",
    "classifier",
    "fc",
    "head",
    "heads",
)  # what follows the last map, in torchvision


@dataclass(frozen=True)
class Hub:
    """A library of networks. find: (name, download) -> the file of the weights; load: (name, file)
    -> the layers, the first of which takes (N, 3, S, S) in 0 to 1, and the usual S in pixels.
    """

    find: Callable[[str, bool], Path]
    load: Callable[[str, Path], tuple[list[nn.Module], int]]


class Normalise(nn.Module):
    """Pictures (N, 3, S, S) minus the mean, over the deviation of each channel."""

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.mean: Tensor
        self.std: Tensor
        self.register_buffer("mean", torch.tensor(mean).view(-1, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(-1, 1, 1))

    def forward(self, batch: Tensor) -> Tensor:
        return (batch - self.mean) / self.std


class TimmMaps(nn.Module):
    """What a timm model's head pools, as maps (N, C, h, w); of a transformer, its tokens' grid."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model
        self._prefix = int(getattr(model, "num_prefix_tokens", 0))  # class tokens, registers
        self._is_nhwc = getattr(model, "output_fmt", None) == "NHWC"

    def forward(self, batch: Tensor) -> Tensor:
        features: Tensor = self.model.forward_features(batch)
        if features.ndim == 3:
            tokens = features[:, self._prefix :]
            side = isqrt(tokens.shape[1])
            if side * side != tokens.shape[1]:
                raise ValueError(f"{tokens.shape[1]} tokens are no square grid")
            features = tokens.transpose(1, 2).reshape(batch.shape[0], -1, side, side)
        elif self._is_nhwc:
            features = features.permute(0, 3, 1, 2)
        return features


def _find_timm(name: str, download: bool) -> Path:
    if importlib.util.find_spec("timm") is None:
        raise MissingExtraError("timm", "timm", f"features.weights=timm:{name}")
    import timm

    try:
        config = timm.models.get_pretrained_cfg(name)
    except RuntimeError:  # a tag that the architecture does not have
        config = None
    if config is None or not config.hf_hub_id:
        similar = timm.list_pretrained(f"{name.partition('.')[0]}*")[:5]
        raise BackboneError(
            f"features.weights: timm {timm.__version__} has no pretrained '{name}'; "
            + (f"it has {', '.join(similar)}" if similar else "see timm.list_pretrained()")
        )
    file = (config.hf_hub_filename or "model.safetensors").replace(".bin", ".safetensors")
    return _from_hugging_face(f"timm:{name}", config.hf_hub_id, file, download)


def _from_hugging_face(weights: str, repository: str, file: str, download: bool) -> Path:
    """The file in the cache of huggingface_hub, fetched where it is missing."""
    from huggingface_hub import hf_hub_download

    try:
        return Path(hf_hub_download(repository, file, local_files_only=True))
    except OSError as error:
        absent: Exception = error
    if not download:
        raise BackboneError(
            f"features.weights: '{weights}' is not on this machine and features.download is false; "
            f"fetch {file} with 'hf download {repository}', or set features.download=true"
        ) from absent
    try:
        return Path(hf_hub_download(repository, file))
    except Exception as error:  # of several libraries
        reason = " ".join(str(error).split())[:200]
        raise BackboneError(
            f"features.weights: '{weights}' is not on this machine, and {file} could not be "
            f"fetched from {repository} of the Hugging Face hub ({reason}); fetch it on another "
            f"machine with 'hf download {repository}' and copy the cache folder, HF_HOME"
        ) from error


def _load_timm(name: str, file: Path) -> tuple[list[nn.Module], int]:
    import timm
    from safetensors.torch import load_file

    options: dict[str, Any] = {"pretrained": True, "num_classes": 0}
    options["pretrained_cfg_overlay"] = {"state_dict": load_file(file)}
    try:  # a transformer of another size than it was trained at
        model = timm.create_model(name, **options, dynamic_img_size=True)
    except TypeError:
        model = timm.create_model(name, **options)
    stated = timm.data.resolve_model_data_config(model)
    layers = [Normalise(stated["mean"], stated["std"]), TimmMaps(model)]
    return layers, int(stated["input_size"][-1])


def _torchvision_weights(name: str) -> Any:
    """One member of torchvision's table of weights: `NAME.TAG`, or the default of NAME."""
    from torchvision import models

    name, _, tag = name.partition(".")
    known = models.list_models(module=models)
    if name not in known:
        similar = [other for other in known if other.startswith(name[:4])] or known
        raise BackboneError(
            f"features.weights: torchvision has no classification network '{name}'; "
            f"it has {', '.join(similar)}"
        )
    table = models.get_model_weights(name)
    if tag and tag not in table.__members__:
        raise BackboneError(
            f"features.weights: torchvision has no weights '{tag}' of {name}; "
            f"it has {', '.join(table.__members__)}"
        )
    return table[tag] if tag else table.DEFAULT


def _find_torchvision(name: str, download: bool) -> Path:
    url = str(_torchvision_weights(name).url)
    kept = home_folder() / "weights" / url.rpartition("/")[2]
    if not kept.is_file():
        if not download:
            raise BackboneError(
                f"features.weights: 'torchvision:{name}' is not on this machine (looked up as "
                f"{kept}) and features.download is false; put {url} there, or set "
                "features.download=true"
            )
        fetch(url, kept, "features.weights")
    return kept


def _load_torchvision(name: str, file: Path) -> tuple[list[nn.Module], int]:
    from torchvision import models

    stated = _torchvision_weights(name).transforms()
    model = models.get_model(name.partition(".")[0], weights=None).eval()
    model.load_state_dict(torch.load(file, map_location="cpu", weights_only=True))
    layers = [Normalise(stated.mean, stated.std), *_before_the_head(model, name)]
    return layers, int(stated.crop_size[0])


def _before_the_head(model: nn.Module, name: str) -> list[nn.Module]:
    """The children up to the pooling. Raises BackboneError where they are not all that runs."""
    children = dict(model.named_children())
    first = next(part for part in children if part in HEADS)
    layers = list(children.values())[: list(children).index(first)]
    read: list[Tensor] = []
    hook = children[first].register_forward_pre_hook(lambda _, inputs: read.append(inputs[0]))
    picture = torch.rand(
        1, 3, CHECK_SIZE_PX, CHECK_SIZE_PX, generator=torch.Generator().manual_seed(0)
    )
    try:
        with torch.inference_mode():
            model(picture)
            made = nn.Sequential(*layers)(picture).mean((2, 3))
        wanted = read[0] if read[0].ndim == 2 else read[0].mean((2, 3))
        torch.testing.assert_close(made, wanted, atol=1e-4, rtol=1e-3)
    except Exception as error:
        raise BackboneError(
            f"features.weights: the layers of torchvision:{name} do not run one after another, so "
            "there is no map to read; take a ResNet, RegNet, ConvNeXt, EfficientNet, MobileNet or "
            "Swin, or timm:NAME"
        ) from error
    finally:
        hook.remove()
    return layers


HUBS = {
    "timm": Hub(_find_timm, _load_timm),
    "torchvision": Hub(_find_torchvision, _load_torchvision),
}
