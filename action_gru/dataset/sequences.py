"""Feature sequences in memory, and the batches a model reads. Knows nothing of video."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from action_gru.dataset.stacking import stack_rows
from action_gru.errors import DataError
from action_gru.sampling import windows

if TYPE_CHECKING:
    from action_gru.cache import ClipFeatures
    from action_gru.channels import ChannelValues

NO_LABEL = -100  # what torch's cross-entropy leaves out


@dataclass(frozen=True)
class Batch:
    """features (B, T, D) float32, zero after lengths (B,); labels (B,) int64.

    step_labels (B, T) int64, where every step has a class: NO_LABEL after a length.
    """

    features: Tensor
    lengths: Tensor
    labels: Tensor
    step_labels: Tensor | None = None

    def to(self, device: torch.device) -> Batch:
        """The same on a device."""
        steps = None if self.step_labels is None else self.step_labels.to(device)
        return Batch(
            self.features.to(device), self.lengths.to(device), self.labels.to(device), steps
        )


class SequenceSet:
    """Sequences of one width, end to end in one array, gathered without Python work per frame.

    sequences: per clip the views to fuse, side by side along D. flipped: the same clips mirrored,
    or None; both are taken one at a time. labels (N,). step_labels: per clip the class of each row,
    or None; a clip's answer is then that after its last row. most_bytes: above it the array is
    mapped from a file; None: never.
    """

    def __init__(
        self,
        sequences: Iterable[Sequence[ClipFeatures | ChannelValues]],
        labels: Sequence[int],
        flipped: Iterable[Sequence[ClipFeatures | ChannelValues]] | None = None,
        step_labels: Sequence[Sequence[int]] | None = None,
        most_bytes: int | None = None,
    ) -> None:
        parts = itertools.chain(sequences, flipped or [])
        rows, lengths = stack_rows((join_views(views) for views in parts), most_bytes)
        self.labels = torch.tensor(list(labels), dtype=torch.int64)
        self.lengths = torch.tensor(lengths[: len(self.labels)])
        self.starts = torch.cumsum(self.lengths, 0) - self.lengths
        self.values = torch.from_numpy(rows)
        self.flip_offset = int(self.lengths.sum()) if len(lengths) > len(self.labels) else 0
        self.step_labels = (
            None
            if step_labels is None
            else torch.tensor([label for labels in step_labels for label in labels])
        )

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
        found = self.values[rows.where(inside, 0)].float()
        return found.masked_fill(~inside[..., None], 0.0)  # a product would keep a missing value

    def take_labels(self, rows: Tensor, inside: Tensor) -> Tensor | None:
        """The classes of the given rows where inside: (B, T), (B, T) bool -> (B, T) int64."""
        if self.step_labels is None:
            return None
        return self.step_labels[rows.where(inside, 0)].masked_fill(~inside, NO_LABEL)

    def only(self, clips: Tensor) -> SequenceSet:
        """Some of the sequences, in the same array. clips (M,): their numbers."""
        made = copy.copy(self)
        made.labels = self.labels[clips]
        made.lengths, made.starts = self.lengths[clips], self.starts[clips]
        return made

    def with_rows(self, rows: Sequence[Tensor]) -> SequenceSet:
        """Other sequences of the same frames. rows: of each clip, which frames, in order."""
        places = torch.cat(
            [start + index for start, index in zip(self.starts.tolist(), rows, strict=True)]
        )
        made = SequenceSet.__new__(SequenceSet)
        made.lengths = torch.tensor([len(index) for index in rows])
        made.starts = torch.cumsum(made.lengths, 0) - made.lengths
        made.labels = self.labels
        made.step_labels = None if self.step_labels is None else self.step_labels[places]
        made.flip_offset = len(places) if self.flip_offset else 0
        mirrored = [places + self.flip_offset] if self.flip_offset else []
        made.values = self.values[torch.cat([places, *mirrored])]
        return made

    def read_windows(self, max_frames: int, flipped: bool = False) -> tuple[Tensor, Tensor, Tensor]:
        """(clip, start, length) of every window of every clip, in order; each (M,).

        Where every row has a class there is one window a clip, the last max_frames rows.
        """
        ends_only = self.step_labels is not None
        cut = [
            (clip, start + self.flip_offset * flipped + low, high - low)
            for clip, (start, length) in enumerate(
                zip(self.starts.tolist(), self.lengths.tolist(), strict=True)
            )
            for low, high in (
                [(max(0, length - max_frames), length)]
                if ends_only
                else windows(length, max_frames)
            )
        ]
        clip, start, length = (torch.tensor(column) for column in zip(*cut, strict=True))
        return clip, start, length


def join_views(
    views: Sequence[ClipFeatures | ChannelValues],
) -> np.ndarray[tuple[int, int], np.dtype[np.float16 | np.float32]]:
    """Lay a clip's views side by side: V of (T, D_v) -> (T, sum D_v), of the views' own type."""
    lengths = {len(view.values) for view in views}
    if len(lengths) != 1:
        raise DataError(f"the views of a clip differ in length: {sorted(lengths)}")
    return np.concatenate([view.values for view in views], axis=1)
