"""The kinds of data by name: where each is read and what it has. Imports none of them.

A new kind is a module with a `Source` (see features.py) and a line here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


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
