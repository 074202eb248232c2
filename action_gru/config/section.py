"""What every section is made of: frozen, strict, closed; the ranges that several share."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from action_gru.backbone import FRAME_VIEWS
from action_gru.views.pictures import VIEWS

Share = Annotated[float, Field(ge=0.0, lt=1.0)]
Probability = Annotated[float, Field(ge=0.0, le=1.0)]
Positive = Annotated[float, Field(gt=0.0)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


def _is_device(name: str) -> str:
    if not re.fullmatch(r"auto|cpu|mps|cuda(:\d+)?", name):
        raise ValueError("should be auto, cpu, mps, cuda or cuda:N")
    return name


if TYPE_CHECKING:
    ViewName = str
else:
    ViewName = Literal[(*VIEWS, *FRAME_VIEWS)]
Device = Annotated[str, AfterValidator(_is_device)]


class Section(BaseModel):
    """A part of the tree: frozen, strict, and closed to unknown keys."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        strict=True,
        allow_inf_nan=False,
        use_attribute_docstrings=True,
    )
