"""What a column of a measured sequence is: names, values, unit of time, what tells two sets apart.

Knows nothing of files or models.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from action_gru.errors import DataError

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
            return [f"{self.view}: channels {named(self.channels)} against features of pictures"]
        found = []
        if self.channels != other.channels:
            found.append(
                f"channels: {named(self.channels)} ({len(self.channels)}) against "
                f"{named(other.channels)} ({len(other.channels)})"
            )
        if self.preparation != other.preparation:
            found.append(f"preparation: {self.preparation} against {other.preparation}")
        return found


@dataclass(frozen=True)
class ChannelValues:
    """values (T, D) float32 of measured channels, NaN where one is missing; times (T,) growing."""

    values: NDArray[np.float32]
    times: NDArray[np.float64]

    def __post_init__(self) -> None:
        if self.values.ndim != 2 or self.values.dtype != np.float32 or not len(self.values):
            raise DataError(
                f"a measured sequence is (T, D) float32 with T >= 1, got {self.values.shape} "
                f"{self.values.dtype}"
            )
        if self.times.shape != (len(self.values),):
            raise DataError(f"{len(self.values)} rows need as many times, got {self.times.shape}")


def named(channels: tuple[str, ...]) -> str:
    """The first few names, as an error message has room for."""
    more = ", ..." if len(channels) > NAMES_SHOWN else ""
    return ", ".join(channels[:NAMES_SHOWN]) + more
