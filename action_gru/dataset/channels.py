"""What a column of a measured sequence is: names, values, unit of time, how two sets differ.

Knows nothing of files or models.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

NAMES_SHOWN = 8
# What a sequence's times are counted in; else the name of the column that gives them.
SECONDS, ROWS, STAMPS = "s", "rows", "time"


@dataclass(frozen=True)
class ChannelSpec:
    """The channels of a view in order, and how many values each row has once prepared."""

    view: str
    channels: tuple[str, ...]
    dim: int
    preparation: str = "none"

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> ChannelSpec:
        """The inverse of `dataclasses.asdict`."""
        return cls(**{**document, "channels": tuple(document["channels"])})

    def differences(self, other: object) -> list[str]:
        """The parts in which two are not interchangeable, in words; empty if they are."""
        if not isinstance(other, ChannelSpec):
            return [f"{self.view}: channels {_named(self.channels)} against features of pictures"]
        found = []
        if self.channels != other.channels:
            sides = [f"{_named(one)} ({len(one)})" for one in (self.channels, other.channels)]
            found.append(f"channels: {' against '.join(sides)}")
        if self.preparation != other.preparation:
            found.append(f"preparation: {self.preparation} against {other.preparation}")
        return found


@dataclass(frozen=True)
class ChannelValues:
    """values (T, D) float32 of measured channels, NaN where one is missing.

    times_s (T,): the time since the first row, in the unit of the data, whatever that is.
    """

    values: NDArray[np.float32]
    times_s: NDArray[np.float64]


def _named(channels: tuple[str, ...]) -> str:
    more = ", ..." if len(channels) > NAMES_SHOWN else ""
    return ", ".join(channels[:NAMES_SHOWN]) + more
