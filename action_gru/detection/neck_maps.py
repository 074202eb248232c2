"""The maps that a network's heads read, and what they hold inside a box. Knows no file format."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float32]


class MapNetwork(Protocol):
    """A network that gives its maps beside its boxes, in one pass."""

    def map_widths(self) -> tuple[int, ...]:
        """The channels of each map, the finest first. Raises BackboneError where none are found."""
        ...

    def with_maps(self, pixels: Pixels) -> tuple[Tensor, list[Tensor]]:
        """pixels (N, H, W, 3) uint8 RGB -> the boxes, and the maps (N, C, rows, columns)."""
        ...


@dataclass(frozen=True)
class NeckMap:
    """One map of a frame. values (C, rows, columns); scale, offset (2,): a place in the frame, px,
    times scale plus offset is its place in the map, x y, in cells.
    """

    values: Floats
    scale: Floats
    offset: Floats

    def mean(self, box: Floats) -> Floats:
        """(C,): over a box (4,) left, top, right, bottom, px of the frame. A cell at its edge
        counts by the part that is inside.
        """
        left, top, right, bottom = (box * np.tile(self.scale, 2) + np.tile(self.offset, 2)).tolist()
        _, down, across = self.values.shape
        columns, rows = _inside(left, right, across), _inside(top, bottom, down)
        total = self.values @ columns @ rows
        inside = max(float(columns.sum() * rows.sum()), 1e-6)
        mean: Floats = (total / inside).astype(np.float32)
        return mean


def _inside(low: float, high: float, cells: int) -> Floats:
    """(cells,): how much of each lies between two places."""
    at = np.arange(cells, dtype=np.float32)
    share: Floats = np.clip(np.minimum(at + 1, high) - np.maximum(at, low), 0, None)
    return share


def in_parts(
    infer: Callable[[Pixels], Sequence[Tensor]], pixels: Pixels, size: int
) -> list[Tensor]:
    """Each output of many pictures, (N, ...), size of them at a time."""
    parts = [infer(pixels[start : start + size]) for start in range(0, len(pixels), size)]
    return [torch.cat(output) for output in zip(*parts, strict=True)]
