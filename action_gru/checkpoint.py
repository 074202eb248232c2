"""A trained model in one file: safetensors with JSON metadata, no pickle. Knows no training.

One file is one atomic write: weights never stand beside the metadata of other weights.
"""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from action_gru.backbone import FeatureSpec
from action_gru.calibration import Calibration
from action_gru.channels import ChannelSpec
from action_gru.errors import CheckpointError
from action_gru.files import write_atomically
from action_gru.model import ActionClassifier

FORMAT = "action_gru.checkpoint.1"
METADATA = "action_gru"


@dataclass(frozen=True)
class Checkpoint:
    """Weights and all that is needed to use them on new data.

    model: the keyword arguments of ActionClassifier. features: one spec per view, in the order of
    their columns. sampling: fps, max_frames and usual_frames, the median length of the training
    sequences. data: hash and protocol of the training data.
    calibration: None if nothing told how far the scores can be trusted.
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
    def clip_s(self) -> float:
        """How long the sequences usually were that the model was trained on, seconds."""
        frames = self.sampling.get("usual_frames", self.sampling["max_frames"])
        return float(frames / self.sampling["fps"])

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
        if self.sampling["fps"] != fps:
            differences.append(f"sampling.fps: {self.sampling['fps']} against {fps}")
        if differences:
            raise CheckpointError(
                "the model was trained on other features: "
                + "; ".join(dict.fromkeys(differences))
                + " (trained against given); use the same settings, or train again"
            )


def save_checkpoint(checkpoint: Checkpoint, path: Path) -> None:
    """Write one file, whole or not at all. Raises CheckpointError when that is not possible."""
    document = {
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
    write_run_file(path, save(tensors, {METADATA: json.dumps(document)}))


def load_checkpoint(path: Path) -> Checkpoint:
    """Read one file. Raises CheckpointError when it is missing, damaged or something else."""
    if not path.is_file():
        raise CheckpointError(
            f"no checkpoint at {path} (looked up as {path.absolute()}); give the folder that "
            "'action-gru train' printed as its last line"
        )
    try:
        with safe_open(path, framework="pt") as file:
            document = json.loads((file.metadata() or {})[METADATA])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        if document["format"] != FORMAT:
            raise CheckpointError(f"{path}: has format {document['format']!r}, expected {FORMAT!r}")
        return Checkpoint(
            weights=_unprefixed("weights", tensors),
            model=document["model"],
            classes=tuple(document["classes"]),
            features=_specs(document["features"]),
            sampling=document["sampling"],
            flip=document["flip"],
            data=document["data"],
            config=document["config"],
            progress=document["progress"],
            extra=_unprefixed("extra", tensors),
            calibration=_calibration(document.get("calibration")),
        )
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
        raise CheckpointError(
            f"{path}: not a checkpoint of this program ({type(error).__name__}: {error}); "
            "copy the file again or train again"
        ) from error


def _specs(
    documents: list[dict[str, Any]],
) -> tuple[FeatureSpec, ...] | tuple[ChannelSpec, ...]:
    if documents and "channels" in documents[0]:
        return tuple(ChannelSpec.from_json(document) for document in documents)
    return tuple(FeatureSpec(**document) for document in documents)


def _differences(trained: FeatureSpec | ChannelSpec, given: FeatureSpec | ChannelSpec) -> list[str]:
    if isinstance(trained, ChannelSpec):
        return trained.differences(given)
    if isinstance(given, ChannelSpec):
        return [f"{trained.view}: features of pictures against measured channels"]
    return trained.differences(given)


def write_run_file(path: Path, data: bytes) -> None:
    """Write a file of a run, whole or not at all. Raises CheckpointError if that fails."""
    try:
        write_atomically(path, data)
    except OSError as error:
        raise CheckpointError(
            f"{path}: cannot be written ({error.strerror or error}); free space or set "
            "run.folder to a folder you may write"
        ) from error


def _calibration(stored: dict[str, Any] | None) -> Calibration | None:
    if stored is None:
        return None
    return Calibration(
        float(stored["temperature"]),
        str(stored["source"]),
        tuple(stored["scores"]),
        tuple(stored["right"]),
    )


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


def _versions() -> dict[str, str]:
    packages = ("action-gru", "torch", "ultralytics", "opencv-python", "numpy")
    return {name: version(name) for name in packages} | {
        "python": platform.python_version(),
        "cuda": str(torch.version.cuda),
    }
