"""Feature sequences in memory, and the batches a model reads. Knows nothing of video."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from action_gru.cache import ClipFeatures
from action_gru.errors import DataError
from action_gru.sampling import windows


@dataclass(frozen=True)
class Batch:
    """features (B, T, D) float32, zero after lengths (B,); labels (B,) int64."""

    features: Tensor
    lengths: Tensor
    labels: Tensor


class SequenceSet:
    """Sequences of one width, end to end in one array, gathered without Python work per frame.

    sequences: per clip the views to fuse, side by side along D. flipped: the same clips mirrored,
    or None. labels (N,).
    """

    def __init__(
        self,
        sequences: Sequence[Sequence[ClipFeatures]],
        labels: Sequence[int],
        flipped: Sequence[Sequence[ClipFeatures]] | None = None,
    ) -> None:
        if not sequences:
            raise DataError("a set of sequences needs at least one")
        plain = [join_views(views) for views in sequences]
        self.lengths = torch.tensor([len(values) for values in plain])
        self.starts = torch.cumsum(self.lengths, 0) - self.lengths
        self.labels = torch.tensor(list(labels), dtype=torch.int64)
        rows = plain + [join_views(views) for views in flipped or []]
        self.values = torch.from_numpy(np.concatenate(rows))
        self.flip_offset = int(self.lengths.sum()) if flipped else 0

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def dim(self) -> int:
        return int(self.values.shape[1])

    def usual_length(self, max_frames: int) -> int:
        """The median number of frames of a sequence, of a long one as far as it is read at once."""
        return int(self.lengths.clamp_max(max_frames).median())

    def gather(self, starts: Tensor, lengths: Tensor) -> Tensor:
        """Rows [start, start + length) of the array, padded with zeros: (B,), (B,) -> (B, T, D)."""
        steps = torch.arange(int(lengths.max()))
        return self.take(starts[:, None] + steps, steps < lengths[:, None])

    def take(self, rows: Tensor, inside: Tensor) -> Tensor:
        """The given rows where inside, else zeros: (B, T), (B, T) bool -> (B, T, D) float32."""
        return self.values[rows.where(inside, 0)].float() * inside[..., None]

    def with_rows(self, rows: Sequence[Tensor]) -> SequenceSet:
        """Other sequences of the same frames. rows: of each clip, which frames, in order."""
        places = torch.cat(
            [start + index for start, index in zip(self.starts.tolist(), rows, strict=True)]
        )
        made = SequenceSet.__new__(SequenceSet)
        made.lengths = torch.tensor([len(index) for index in rows])
        made.starts = torch.cumsum(made.lengths, 0) - made.lengths
        made.labels = self.labels
        made.flip_offset = len(places) if self.flip_offset else 0
        mirrored = [places + self.flip_offset] if self.flip_offset else []
        made.values = self.values[torch.cat([places, *mirrored])]
        return made

    def read_windows(self, max_frames: int, flipped: bool = False) -> tuple[Tensor, Tensor, Tensor]:
        """(clip, start, length) of every window of every clip, in order; each (M,)."""
        cut = [
            (clip, start + self.flip_offset * flipped + low, high - low)
            for clip, (start, length) in enumerate(
                zip(self.starts.tolist(), self.lengths.tolist(), strict=True)
            )
            for low, high in windows(length, max_frames)
        ]
        clip, start, length = (torch.tensor(column) for column in zip(*cut, strict=True))
        return clip, start, length


def join_views(views: Sequence[ClipFeatures]) -> np.ndarray[tuple[int, int], np.dtype[np.float16]]:
    """Lay a clip's views side by side: V of (T, D_v) -> (T, sum D_v) float16."""
    lengths = {len(view.values) for view in views}
    if len(lengths) != 1:
        raise DataError(f"the views of a clip differ in length: {sorted(lengths)}")
    return np.concatenate([view.values for view in views], axis=1)
