"""Augmented batches of one epoch, drawn from a seed, or one process's part of each.

Knows nothing of the model.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from action_gru.config.learning import TrainingSection
from action_gru.core.errors import DataError
from action_gru.features.sequences import NO_LABEL, Batch, SequenceSet, is_known
from action_gru.training.processes import Processes


@dataclass(frozen=True)
class Part:
    """What one process reads of a batch.

    share: the weight of its mean loss in that of the whole batch; 0 where the batch has too few
    clips and this process reads the first one, to count for nothing. answers: of the whole batch.
    """

    batch: Batch
    share: float
    answers: int


@dataclass(frozen=True)
class Drawn:
    """The clips of a whole batch (B,) and which rows of each are read: (B, T), (B, T) bool."""

    clips: Tensor
    rows: Tensor
    inside: Tensor


class Batches:
    """Training batches: the same seed and epoch always give the same ones, on every machine and
    for any number of processes, each of which makes its own part of them.
    """

    def __init__(
        self,
        sequences: SequenceSet,
        settings: TrainingSection,
        max_frames: int,
        seed: int,
        processes: Processes | None = None,
        class_weights: Tensor | None = None,
        lookahead: int = 0,
    ) -> None:
        """lookahead: of how many steps before a step's target is."""
        self.sequences = sequences
        self.settings = settings
        self.max_frames = max_frames
        self.seed = seed
        self.processes = processes or Processes()
        self.class_weights, self.lookahead = class_weights, lookahead
        self.windows = DenseWindows(sequences, max_frames, lookahead) if sequences.dense else None

    @property
    def draws(self) -> Tensor:
        """The clips that an epoch draws, in order: each once, a dense one once a window."""
        return torch.arange(len(self.sequences)) if self.windows is None else self.windows.draws

    def __len__(self) -> int:
        return -(-len(self.draws) // self.settings.batch_size)

    def epoch(self, number: int) -> Iterator[Part]:
        """This process's part of every batch. All draw the whole batch; one reads its features."""
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + number)
        for clips in self._order(generator).split(self.settings.batch_size):  # type: ignore[no-untyped-call]
            drawn = self._draw(clips, generator)
            mine = self.processes.share(len(clips))
            whole, own = self._labels(drawn), self._labels(drawn, mine)
            some = mine if len(mine) else torch.zeros(1, dtype=torch.int64)
            share = self._weight(own) / self._weight(whole) if len(whole) else 0.0
            yield Part(self._read(drawn, some), share, len(whole))

    def _order(self, generator: torch.Generator) -> Tensor:
        count = len(self.draws)
        if self.settings.class_balance != "sampler":
            return self.draws[torch.randperm(count, generator=generator)]
        rarity = _rarity(self.sequences.labels)
        return torch.multinomial(rarity, count, replacement=True, generator=generator)

    def _draw(self, clips: Tensor, generator: torch.Generator) -> Drawn:
        """A random stretch of each clip, played faster or slower, mirrored or not, with gaps."""
        whole = self.sequences.lengths[clips]
        draw = torch.rand(4, len(clips), generator=generator)
        span = (whole * (1 - self.settings.temporal_crop * draw[0])).ceil().long()
        # Uniform in the logarithm: twice as fast is as likely as half as fast.
        speed = (1 + self.settings.speed_jitter) ** (2 * draw[1] - 1)
        lengths = (span / speed).round().long().clamp(1, self.max_frames)
        span = span.minimum((lengths * speed).ceil().long()).clamp(min=1)
        starts = (draw[2] * (whole - span + 1)).long()
        if self.windows is not None:
            starts = self.windows.starts(clips, span, draw[2], generator)
        steps = torch.arange(int(lengths.max()))
        inside = steps < lengths[:, None]
        offsets = (steps * speed[:, None]).long().minimum(span[:, None] - 1)
        first = self.sequences.starts[clips] + (draw[3] < 0.5) * self.sequences.flip_offset
        rows = (first + starts)[:, None] + offsets
        return Drawn(clips, *self._drop(rows, inside, generator))

    def _read(self, drawn: Drawn, mine: Tensor) -> Batch:
        """The batch of some of the drawn clips. mine (b,): their places in the whole batch."""
        rows, inside = drawn.rows[mine], drawn.inside[mine]
        return Batch(
            self.sequences.take(rows, inside),
            inside.sum(1),
            self.sequences.labels[drawn.clips[mine]],
            self._targets(rows, inside),
        )

    def _labels(self, drawn: Drawn, mine: Tensor | slice = slice(None)) -> Tensor:
        """The target of each answer of some of the drawn clips: (N,), with many (N, C)."""
        labels = self._targets(drawn.rows[mine], drawn.inside[mine])
        if labels is None:
            return self.sequences.labels[drawn.clips[mine]]
        return labels[is_known(labels)]

    def _targets(self, rows: Tensor, inside: Tensor) -> Tensor | None:
        """`SequenceSet.take_labels` of the steps that answer: none before the lookahead."""
        labels = self.sequences.take_labels(rows.roll(self.lookahead, 1), inside)
        if labels is not None:
            labels[:, : self.lookahead] = NO_LABEL
        return labels

    def _weight(self, labels: Tensor) -> float:
        """The sum of the answers' weights in the loss."""
        # With many, a weight is one of an answer's C parts: each answer counts as one.
        if self.class_weights is None or self.sequences.many:
            return float(len(labels))
        return float(self.class_weights[labels].sum())

    def _drop(
        self, rows: Tensor, inside: Tensor, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Leave out steps at random, (B, T); what stays closes up. The first always stays."""
        if not self.settings.frame_dropout:
            return rows, inside
        keep = torch.rand(rows.shape, generator=generator) >= self.settings.frame_dropout
        keep[:, 0] = True
        keep &= inside
        # A stable sort moves the kept steps to the front, in order.
        order = torch.argsort((~keep).int(), dim=1, stable=True)
        kept = keep.sum(1, keepdim=True)
        longest = int(kept.max())
        return rows.gather(1, order)[:, :longest], (torch.arange(longest) < kept)


def _rarity(labels: Tensor) -> Tensor:
    """How often each clip should be drawn, (N,): targets (N,) or (N, C), as its rarest class."""
    if labels.ndim == 1:
        return (1.0 / labels.bincount().float())[labels]
    shown = torch.cat([labels, (labels.sum(1, keepdim=True) == 0).to(labels)], 1)  # last: nothing
    return (shown / shown.sum(0).clamp_min(1)).amax(1)


class DenseWindows:
    """Where training reads sequences whose rows have labels or not: windows around labelled rows.

    draws (M,): the sequence of each window of an epoch; one that has K labelled rows gives
    K / max_frames windows, rounded up. lookahead: a labelled row needs so many after it. Raises
    DataError where no row has a label.
    """

    def __init__(self, sequences: SequenceSet, max_frames: int, lookahead: int = 0) -> None:
        teaches = sequences.teaches(lookahead)
        ends = zip(sequences.starts.tolist(), sequences.lengths.tolist(), strict=True)
        self.lookahead = lookahead
        rows = [teaches[start : start + length].nonzero()[:, 0] for start, length in ends]
        self.lengths, self.counts = sequences.lengths, torch.tensor([len(part) for part in rows])
        self.firsts, self.rows = self.counts.cumsum(0) - self.counts, torch.cat(rows)
        self.draws = torch.arange(len(rows)).repeat_interleave(-(-self.counts // max_frames))
        if not len(self.draws) and sequences.teaches().any():
            raise DataError(
                f"model.lookahead={lookahead}: no labelled row of the training data has so many "
                f"rows after it (the longest sequence has {int(self.lengths.max())}); lower it"
            )
        if not len(self.draws):
            raise DataError(
                "no sampled instant of the training videos has a label; compare the bounds of "
                "their rows with the lengths of the files"
            )

    def starts(
        self, clips: Tensor, span: Tensor, place: Tensor, generator: torch.Generator
    ) -> Tensor:
        """The first row of a window of each of some sequences, (B,).

        A labelled row, drawn at random, stands at the given place, 0 to 1, of the span (B,) less
        the lookahead.
        """
        span_before = (span - self.lookahead).clamp_min(1)
        drawn = (torch.rand(len(clips), generator=generator) * self.counts[clips]).long()
        starts = self.rows[self.firsts[clips] + drawn] - (place * span_before).long()
        return starts.clamp_min(0).minimum(self.lengths[clips] - span)
