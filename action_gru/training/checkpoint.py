"""What a checkpoint holds, and the file that holds it.

One file is one atomic write: weights never get the metadata of other weights.
"""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor

from action_gru.backbone import FeatureSpec
from action_gru.core.files import write_run_file
from action_gru.dataset.channels import ChannelSpec
from action_gru.model import ActionClassifier
from action_gru.model.calibration import EVEN, Calibration
from action_gru.training.document import (
    FORMAT,
    METADATA,
    Document,
    find_checkpoint,
    fps_difference,
    read_document,
    refuse_others,
    refusing,
)
from action_gru.training.networks import TENSORS, PackedNetwork


@dataclass(frozen=True)
class Checkpoint:
    """Weights and all that is needed to use them on new data.

    model: the keyword arguments of ActionClassifier. features: one spec per view, in the order of
    their columns. sampling: fps, max_frames and usual_frames, the median length of the training
    sequences. data: hash and protocol of the training data.
    calibration: None if no clips were left to calibrate on.
    progress and extra tensors (optimizer) are there only in a checkpoint to resume from.
    """

    weights: dict[str, Tensor]
    model: dict[str, Any]
    classes: tuple[str, ...]
    features: tuple[FeatureSpec, ...] | tuple[ChannelSpec, ...]
    sampling: dict[str, Any]
    flip: bool
    data: dict[str, Any]
    config: dict[str, Any]
    progress: dict[str, Any] = field(default_factory=dict)
    extra: dict[str, Tensor] = field(default_factory=dict)
    calibration: Calibration | None = None

    def build(self) -> ActionClassifier:
        """The classifier with these weights, calibrated, in eval mode, on the CPU."""
        model = ActionClassifier(**self.model)
        model.load_state_dict(self.weights)
        if self.calibration is not None:
            model.temperature = self.calibration.temperature
        return model.eval()

    @property
    def thresholds(self) -> tuple[float, ...] | None:
        """From which score each class counts as shown; None where a clip shows exactly one."""
        if not self.model.get("many"):
            return None
        found = self.calibration.thresholds if self.calibration else {}
        return tuple(found.get(name, EVEN) for name in self.classes)

    @property
    def clip_s(self) -> float:
        """How long the sequences usually were that the model was trained on, seconds."""
        frames = self.sampling.get("usual_frames", self.sampling["max_frames"])
        return float(frames / self.sampling["fps"])

    @property
    def instant(self) -> bool:
        """Whether an answer is about its frame (`data.task: frames`)."""
        return bool(self.model.get("instant", False))

    @property
    def channels(self) -> tuple[str, ...]:
        """The measured channels that the model reads; none for a model of pictures."""
        first = self.features[0]
        return first.channels if isinstance(first, ChannelSpec) else ()

    def check_fits(
        self, specs: tuple[FeatureSpec, ...] | tuple[ChannelSpec, ...], fps: float
    ) -> None:
        """Raise CheckpointError that names each part in which features differ from the trained."""
        wanted = [spec.view for spec in self.features]
        given = [spec.view for spec in specs]
        differences = [f"views: {wanted} against {given}"] if wanted != given else []
        offered = {spec.view: spec for spec in specs}
        for trained in self.features:
            if trained.view in offered:
                differences += _differences(trained, offered[trained.view])
        refuse_others([*differences, *fps_difference(self.sampling["fps"], fps)])


def save_checkpoint(checkpoint: Checkpoint, path: Path) -> None:
    """Write one file, whole or not at all, into a folder that must be there.

    Raises CheckpointError when that is not possible.
    """
    write_run_file(path, checkpoint_bytes(checkpoint), path.parent)


def checkpoint_bytes(checkpoint: Checkpoint, networks: Mapping[str, Path] | None = None) -> bytes:
    """The content of such a file. networks: files that go along, by their key of the config."""
    document: dict[str, Any] = {
        "format": FORMAT,
        "model": checkpoint.model,
        "classes": checkpoint.classes,
        "features": [asdict(spec) for spec in checkpoint.features],
        "sampling": checkpoint.sampling,
        "flip": checkpoint.flip,
        "data": checkpoint.data,
        "config": checkpoint.config,
        "progress": checkpoint.progress,
        "calibration": asdict(checkpoint.calibration) if checkpoint.calibration else None,
        "versions": _versions(),
    }
    tensors = _prefixed("weights", checkpoint.weights) | _prefixed("extra", checkpoint.extra)
    if networks:
        document["networks"] = {
            key: PackedNetwork.of(file).model_dump() for key, file in networks.items()
        }
        values = {
            key: torch.from_numpy(np.fromfile(file, np.uint8)) for key, file in networks.items()
        }
        tensors |= _prefixed(TENSORS, values)
    data: bytes = save(tensors, {METADATA: json.dumps(document)})
    return data


def load_checkpoint(path: Path) -> Checkpoint:
    """Read one file, or the best of a run folder.

    Raises CheckpointError when it is missing, damaged or something else.
    """
    path = find_checkpoint(path)
    document = read_document(path)
    with refusing(path), safe_open(path, framework="pt") as file:
        names = [name for name in file.keys() if not name.startswith(f"{TENSORS}.")]  # noqa: SIM118
        tensors = {name: file.get_tensor(name) for name in names}
        weights = _unprefixed("weights", tensors)
        check_tensors(weights, document)
    return Checkpoint(
        weights=weights,
        model=document.model,
        classes=document.classes,
        features=document.features,
        sampling=document.sampling.model_dump(exclude_unset=True),
        flip=document.flip,
        data=document.data,
        config=document.config,
        progress=document.progress,
        extra=_unprefixed("extra", tensors),
        calibration=document.calibration,
    )


def check_tensors(tensors: Mapping[str, Tensor], document: Document) -> None:
    """Raise ValueError where the weights are not those of the model that the metadata names.

    The model is laid out without memory, so that a size of a billion costs nothing.
    """
    with torch.device("meta"):
        wanted = ActionClassifier(**document.model).state_dict()
    if differing := sorted(wanted.keys() ^ tensors.keys()):
        raise ValueError(f"the model and the weights differ in {differing[0]}")
    for name, tensor in tensors.items():
        given, expected = (f"{tuple(t.shape)} {t.dtype}" for t in (tensor, wanted[name]))
        if given != expected:
            raise ValueError(f"{name} is {given}, the model needs {expected}")
        if not tensor.isfinite().all():
            raise ValueError(f"{name} holds NaN or infinity")


def _differences(trained: FeatureSpec | ChannelSpec, given: FeatureSpec | ChannelSpec) -> list[str]:
    if isinstance(trained, ChannelSpec):
        return trained.differences(given)
    if isinstance(given, ChannelSpec):
        return [f"{trained.view}: features of pictures against measured channels"]
    return trained.differences(given)


def _prefixed(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {
        f"{prefix}.{name}": tensor.detach().cpu().contiguous() for name, tensor in tensors.items()
    }


def _unprefixed(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    start = f"{prefix}."
    return {
        name.removeprefix(start): tensor
        for name, tensor in tensors.items()
        if name.startswith(start)
    }


@cache  # read from packages' metadata on the disk; a checkpoint is saved after each epoch
def _versions() -> dict[str, str]:
    packages = ("action-gru", "torch", "ultralytics", "opencv-python", "numpy")
    return {name: version(name) for name in packages} | {
        "python": platform.python_version(),
        "cuda": str(torch.version.cuda),
    }
