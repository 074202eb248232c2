"""What sections share: their base, ranges, names of views, kinds of data."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from action_gru.backbone import FRAME_VIEWS
from action_gru.views.pictures import VIEWS

Share = Annotated[float, Field(ge=0.0, lt=1.0)]
Probability = Annotated[float, Field(ge=0.0, le=1.0)]
Positive = Annotated[float, Field(gt=0.0)]
Rows = Annotated[int, Field(ge=1, le=100_000)]
HASH, NAME = r"^[0-9a-f]{64}$", r"^[\w.-]*[\w-][\w.-]*$"
IN_WORDS = {  # what a value that does not match a pattern should be
    HASH: "should be 64 digits and letters from a to f",
    NAME: "should be a name of letters, digits, '_', '-' and '.', without '/' and spaces",
}
Sha256 = Annotated[str, Field(pattern=HASH)]


def _is_device(name: str) -> str:
    if not re.fullmatch(r"auto|cpu|mps|cuda(:\d+)?", name):
        raise ValueError("should be auto, cpu, mps, cuda or cuda:N")
    return name


Device = Annotated[str, AfterValidator(_is_device)]


class Section(BaseModel):
    """A part of the tree: frozen, strict, and closed to unknown keys."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False, use_attribute_docstrings=True
    )


@dataclass(frozen=True)
class DataKind:
    """source: the class that reads it, as module:name.

    is_video: frames are decoded and networks see them. normalisation: what model.normalisation=auto
    is. may_be_folder: data.manifest may name one. has_row_classes: each row may have a class.
    """

    source: str
    is_video: bool = False
    normalisation: Literal["frame", "channel"] = "channel"
    may_be_folder: bool = False
    has_row_classes: bool = False


DATA_KINDS = {
    "video": DataKind(
        "action_gru.features.source:VideoSource", is_video=True, normalisation="frame"
    ),
    "table": DataKind(
        "action_gru.series.source:TableSource", may_be_folder=True, has_row_classes=True
    ),
    "arrays": DataKind("action_gru.series.arrays:ArraySource"),
}

if TYPE_CHECKING:
    ViewName = str
else:
    ViewName = Literal[(*VIEWS, *FRAME_VIEWS)]
