"""What a checkpoint's metadata and tensors must be before anything is made of them.

A file may come from anyone: sizes are compared with what it really holds before memory is taken.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any
from unicodedata import category

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from torch import Tensor

from action_gru.backbone import FeatureSpec
from action_gru.calibration import Calibration
from action_gru.channels import ChannelSpec
from action_gru.config.learning import ModelSection
from action_gru.file_kind import file_kind
from action_gru.model import ActionClassifier

# A header's length stands before it; a classifier's has a few thousand characters.
MOST_HEADER_BYTES = 64 << 20
MOST_VALUES = 1 << 20  # of a row, and classes
MOST_VIEWS = 64

Count = Annotated[int, Field(ge=1, le=MOST_VALUES)]


class _Part(BaseModel):
    model_config = ConfigDict(strict=True, allow_inf_nan=False)


class Sampling(_Part):
    """How the training clips were looked at."""

    fps: Annotated[float, Field(gt=0.0, le=240.0)]
    max_frames: Annotated[int, Field(ge=1, le=4096)]
    usual_frames: Annotated[int, Field(ge=1, le=4096)] = 1


class Document(_Part):
    """A checkpoint's metadata, checked part by part and against itself."""

    model: dict[str, Any]
    classes: Annotated[tuple[str, ...], Field(min_length=1, max_length=MOST_VALUES)]
    features: Annotated[
        tuple[FeatureSpec, ...] | tuple[ChannelSpec, ...],
        Field(min_length=1, max_length=MOST_VIEWS),
    ]
    sampling: Sampling
    flip: bool
    data: dict[str, Any]
    config: dict[str, Any]
    progress: dict[str, Any]
    calibration: Calibration | None = None

    @model_validator(mode="after")
    def _parts_fit_together(self) -> Document:
        known = ModelSection.model_fields
        ModelSection.model_validate({k: v for k, v in self.model.items() if k in known})
        dims = [spec.dim for spec in self.features]
        if self.model.get("view_dims") != dims or not all(0 < dim <= MOST_VALUES for dim in dims):
            raise ValueError(f"view_dims {self.model.get('view_dims')} against features of {dims}")
        if self.model.get("num_classes") != len(self.classes):
            raise ValueError(
                f"num_classes {self.model.get('num_classes')} against {len(self.classes)} names"
            )
        if any(category(letter) == "Cc" for name in self.classes for letter in name):
            raise ValueError("a class's name holds a control character, which a terminal obeys")
        if self.calibration is not None and not self.calibration.temperature > 0:
            raise ValueError(f"a temperature of {self.calibration.temperature}")
        return self


def check_head(path: Path) -> None:
    """Raise ValueError for a pickle under any name, and for a header that is no header."""
    with path.open("rb") as file:
        length, first = int.from_bytes(file.read(8), "little"), file.read(1)
    size = path.stat().st_size
    fits = 2 <= length <= min(size - 8, MOST_HEADER_BYTES)
    # A header of 640 bytes begins as a pickle does: what follows the length tells them apart.
    if fits and first == b"{":
        return
    if kind := file_kind(path):
        raise ValueError(f"it is {kind}; only safetensors are read here")
    if not fits:
        raise ValueError(f"a header of {length} bytes in a file of {size}")


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


def reason(error: Exception) -> str:
    """What is wrong, in one line."""
    if isinstance(error, ValidationError):
        detail = error.errors()[0]
        return f"{'.'.join(map(str, detail['loc']))}: {detail['msg']}".removeprefix(": ")
    return f"{type(error).__name__}: {error}" if isinstance(error, KeyError) else str(error)
