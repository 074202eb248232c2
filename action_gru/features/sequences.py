"""The features of clips by name, and in one array: in other orders, and as batches for a model.

Knows nothing of video.
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from action_gru.backbone.spec import FeatureSpec
from action_gru.core.errors import DataError
from action_gru.dataset import Clip
from action_gru.dataset.channels import SECONDS, ChannelSpec, ChannelValues
from action_gru.features.entry import CHUNK_ROWS, ClipFeatures, RowBuffer, ViewKey
from action_gru.features.report import ExtractionReport, LazyFeatures
from action_gru.views.sampling import windows

NO_LABEL = -100  # what torch's cross-entropy leaves out
SHUFFLES = 5
FROZEN_AT = (0.25, 0.5, 0.75)

Rows = NDArray[Any]  # (T, D), float16 or float32
Rule = Callable[[int, torch.Generator], Tensor]  # (T, random source) -> the rows to read
Features = ClipFeatures | ChannelValues


@dataclass(frozen=True)
class FeatureTable:
    """The features of all usable clips, by clip name, and what became of the others.

    many: a clip may show several classes or none. step_labels: of each row the names of its
    classes, where rows have them; None: unknown. remaining: how long the thing
    still lasts after each row, where known. missing: of measured clips, how many values are
    missing, of how many. unit: what times are counted in (see channels).
    most_bytes: of a sequence set in memory. dense: as of a SequenceSet.
    """

    by_clip: Mapping[str, Mapping[ViewKey, Features]]
    specs: tuple[FeatureSpec, ...] | tuple[ChannelSpec, ...]
    report: ExtractionReport
    flip: bool = False
    step_labels: Mapping[str, Sequence[tuple[str, ...] | None]] = field(default_factory=dict)
    remaining: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)
    missing: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    unit: str = SECONDS
    most_bytes: int | None = None
    dense: bool = False
    many: bool = False

    def usable(self, clips: Sequence[Clip]) -> list[Clip]:
        return [clip for clip in clips if clip.name in self.by_clip]

    def sequences(self, clips: Sequence[Clip], classes: Sequence[str]) -> SequenceSet:
        """The clips' features with their classes as targets; every clip must be usable.

        They are read in the order of the cache, and returned in the order of the clips.
        """
        order = list(range(len(clips)))
        if isinstance(self.by_clip, LazyFeatures):
            order = self.by_clip.reading_order([clip.name for clip in clips])
        ordered = [clips[index] for index in order]

        def targets(names: Iterable[tuple[str, ...] | None]) -> Tensor:
            return class_targets(list(names), classes, self.many)

        def side(flipped: bool) -> Iterator[list[Features]]:
            for clip in ordered:
                found = self.by_clip[clip.name]
                yield [found[ViewKey(spec.view, flipped)] for spec in self.specs]

        steps = itertools.chain.from_iterable(self.step_labels.get(c.name, ()) for c in ordered)
        made = SequenceSet(
            side(False),
            targets(clip.labels if self.many else (clip.label,) for clip in ordered),
            side(True) if self.flip else None,
            targets(steps) if self.step_labels else None,
            self.most_bytes,
            self.dense,
        )
        return made.only(torch.argsort(torch.tensor(order)))

    def missing_values(self, clips: Sequence[Clip]) -> tuple[int, int]:
        """(missing values, all values) of some clips; (0, 0) of video."""
        counts = [self.missing.get(clip.name, (0, 0)) for clip in clips]
        return sum(missing for missing, _ in counts), sum(count for _, count in counts)

    def times_s(self, clips: Sequence[Clip]) -> dict[str, NDArray[np.float64]]:
        """The sampled instants (T,) of each clip, by clip name; of measured rows the time since the
        first, in `unit`.
        """
        return {clip.name: next(iter(self.by_clip[clip.name].values())).times_s for clip in clips}


@dataclass(frozen=True)
class Batch:
    """features (B, T, D) float32, zero after lengths (B,); labels (B,), targets as in
    `class_targets`.

    step_labels (B, T), where steps have targets: NO_LABEL after a length.
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
    or None; both are taken one at a time. labels (N,) and step_labels (sum of T,), of each row, or
    None: targets as in `class_targets`; a clip's answer is then that after its last row.
    most_bytes: above it the array is mapped from a file; None: never. dense: an answer is about its
    row, in a sequence of any length: training draws windows, and a clip's answer is the mean over
    all of its rows.
    """

    def __init__(
        self,
        sequences: Iterable[Sequence[Features]],
        labels: Sequence[int] | Tensor,
        flipped: Iterable[Sequence[Features]] | None = None,
        step_labels: Tensor | None = None,
        most_bytes: int | None = None,
        dense: bool = False,
    ) -> None:
        self.dense, self.is_standard = dense, False
        parts = itertools.chain(sequences, flipped or [])
        rows, lengths = stack_rows(map(joined_blocks, parts), most_bytes)
        self.most_bytes = most_bytes
        self.labels = labels if isinstance(labels, Tensor) else torch.tensor(list(labels))
        self.lengths = torch.tensor(lengths[: len(self.labels)])
        self.starts = torch.cumsum(self.lengths, 0) - self.lengths
        self.values = torch.from_numpy(rows)
        self.flip_offset = int(self.lengths.sum()) if len(lengths) > len(self.labels) else 0
        self.step_labels = step_labels

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def many(self) -> bool:
        """May a clip or a row show several classes, or none?"""
        return self.labels.ndim == 2

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
        return found.masked_fill_(~inside[..., None], 0.0)  # a product would keep a missing value

    def standardised(self, standardise: Callable[[Tensor], Tensor], most_bytes: int) -> SequenceSet:
        """The same, with `is_standard` and values (sum of T, D') float32 that a model's
        `standardise` has changed once and for all; itself if those would take more memory than
        that, or than these were given.
        """
        given = most_bytes if self.most_bytes is None else self.most_bytes
        if 4 * self.values.numel() > min(most_bytes, given):
            return self
        made = copy.copy(self)
        parts = self.values.split(CHUNK_ROWS)  # type: ignore[no-untyped-call]
        made.values = torch.cat([standardise(part.float()) for part in parts])
        made.is_standard = True
        return made

    def take_labels(self, rows: Tensor, inside: Tensor) -> Tensor | None:
        """The targets of the given rows where inside: (B, T), (B, T) bool -> (B, T), or with many
        (B, T, C).
        """
        if self.step_labels is None:
            return None
        # A mirrored row shows what its plain one does.
        found = self.step_labels[rows.where(inside, 0) % len(self.step_labels)]
        return found.masked_fill(~inside[..., None] if self.many else ~inside, NO_LABEL)

    def teaches(self, lookahead: int = 0) -> Tensor:
        """Which rows have a target with so many rows after them in their clip, (rows,) bool."""
        assert self.step_labels is not None
        known = is_known(self.step_labels)
        for start, length in zip(self.starts.tolist(), self.lengths.tolist(), strict=True):
            known[start + max(0, length - lookahead) : start + length] = False
        return known

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
        made.dense, made.is_standard, made.most_bytes = (
            self.dense,
            self.is_standard,
            self.most_bytes,
        )
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

        Where every row has a class there is one window a clip, the last max_frames rows, unless
        the sequences are dense.
        """
        ends_only = self.step_labels is not None and not self.dense
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


def class_targets(
    names: Sequence[tuple[str, ...] | None], classes: Sequence[str], many: bool
) -> Tensor:
    """The classes that N clips or rows show, as a model learns them; None: unknown.

    (N,) int64 class numbers, NO_LABEL where unknown; with many (N, C) int8, 1 where the class is
    shown, 0 where it is not, and rows of NO_LABEL.
    """
    number = {name: index for index, name in enumerate(classes)}
    if not many:
        labels = [NO_LABEL if shown is None else number[shown[0]] for shown in names]
        return torch.tensor(labels, dtype=torch.int64)
    targets = np.zeros((len(names), len(classes)), np.int8)
    for row, shown in zip(targets, names, strict=True):
        row[[number[name] for name in shown or ()]] = 1
        if shown is None:
            row[:] = NO_LABEL
    return torch.from_numpy(targets)


def is_known(targets: Tensor) -> Tensor:
    """Which targets of `class_targets` are known: (...,) or, with many, (..., C) -> (...,) bool."""
    return (targets[..., 0] if targets.dtype == torch.int8 else targets) != NO_LABEL


def join_views(views: Sequence[Features]) -> Rows:
    """Lay a clip's views side by side: V of (T, D_v) -> (T, sum D_v), of the views' own type."""
    return np.concatenate(list(joined_blocks(views)))


def joined_blocks(views: Sequence[Features]) -> Iterator[Rows]:
    """The same in blocks of at most CHUNK_ROWS rows, so that no long clip is held twice."""
    lengths = {len(view.values) for view in views}
    if len(lengths) != 1:
        raise DataError(f"the views of a clip differ in length: {sorted(lengths)}")
    for low in range(0, lengths.pop(), CHUNK_ROWS):
        yield np.concatenate([view.values[low : low + CHUNK_ROWS] for view in views], axis=1)


def stack_rows(parts: Iterable[Iterable[Rows]], most_bytes: int | None) -> tuple[Rows, list[int]]:
    """(sum of T, D) and the length of each part. parts: blocks (T, D) each, taken one at a time.

    With more than most_bytes they are mapped from a temporary file. Raises DataError where there is
    no room for it.
    """
    mend = "free space, set TMPDIR, or raise features.memory_gb"
    buffer, lengths = RowBuffer(most_bytes, DataError, mend), list[int]()
    for part in parts:
        before = buffer.count
        for block in part:
            buffer.append(block)
        lengths.append(buffer.count - before)
    if not lengths:
        raise DataError("a set of sequences needs at least one")
    return buffer.whole(), lengths


def _frozen(share: float) -> Rule:
    return lambda length, generator: torch.full((length,), round(share * (length - 1)))


# Each rule makes the clips once, and what the name costs is the average over its rules.
REARRANGEMENTS: dict[str, tuple[Rule, ...]] = {
    "shuffled": (lambda length, generator: torch.randperm(length, generator=generator),) * SHUFFLES,
    "reversed": (lambda length, generator: torch.arange(length).flip(0),),
    "frozen": tuple(map(_frozen, FROZEN_AT)),
    "first_half": (lambda length, generator: torch.arange((length + 1) // 2),),
    "every_second": (lambda length, generator: torch.arange(0, length, 2),),
}


def rearrangements(sequences: SequenceSet, seed: int) -> Iterator[tuple[str, SequenceSet]]:
    """(name, the same clips so rearranged), some names several times.

    A clip and its mirrored copy are rearranged alike; a clip that is read in windows, as a whole.
    """
    for name, rules in REARRANGEMENTS.items():
        for number, rule in enumerate(rules):
            generator = torch.Generator().manual_seed(seed * 1_000_003 + number)
            rows = [rule(length, generator) for length in sequences.lengths.tolist()]
            yield name, sequences.with_rows(rows)


def prefixes(sequences: SequenceSet, shares: tuple[float, ...]) -> Iterator[SequenceSet]:
    """The first share of the frames of each clip, at least one, for each of the shares."""
    for share in shares:
        counts = [max(1, round(share * length)) for length in sequences.lengths.tolist()]
        yield sequences.with_rows([torch.arange(count) for count in counts])
