"""Augmented batches of one epoch, drawn from a seed. Knows nothing of the model."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from action_gru.config.learning import TrainingSection
from action_gru.dataset import Batch, SequenceSet


class Batches:
    """Training batches: the same seed and epoch always give the same ones, on every machine."""

    def __init__(
        self, sequences: SequenceSet, settings: TrainingSection, max_frames: int, seed: int
    ) -> None:
        self.sequences = sequences
        self.settings = settings
        self.max_frames = max_frames
        self.seed = seed

    def __len__(self) -> int:
        return -(-len(self.sequences) // self.settings.batch_size)

    def epoch(self, number: int) -> Iterator[tuple[Batch, Batch | None, float]]:
        """(batch, partner, share): with mixup the partner is another batch of the same shape,
        to blend in with weight 1 - share; else None and 1.
        """
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + number)
        for clips in self._order(generator).split(self.settings.batch_size):  # type: ignore[no-untyped-call]
            batch = self._batch(clips, generator)
            if not self.settings.mixup:
                yield batch, None, 1.0
                continue
            partner = self._partner(clips, batch, generator)
            alpha = torch.tensor(self.settings.mixup)
            # Beta(a, a) from two Gamma(a): the generator is ours, so a resumed run repeats it.
            first, second = torch._standard_gamma(alpha.expand(2), generator=generator).tolist()
            share = first / max(first + second, 1e-9)
            yield batch, partner, max(share, 1 - share)

    def _order(self, generator: torch.Generator) -> Tensor:
        count = len(self.sequences)
        if self.settings.class_balance != "sampler":
            return torch.randperm(count, generator=generator)
        labels = self.sequences.labels
        rarity = 1.0 / labels.bincount().float()
        return torch.multinomial(rarity[labels], count, replacement=True, generator=generator)

    def _batch(self, clips: Tensor, generator: torch.Generator) -> Batch:
        """A random stretch of each clip, played faster or slower, mirrored or not, with gaps."""
        whole = self.sequences.lengths[clips]
        draw = torch.rand(4, len(clips), generator=generator)
        span = (whole * (1 - self.settings.temporal_crop * draw[0])).ceil().long()
        # Uniform in the logarithm: twice as fast is as likely as half as fast.
        speed = (1 + self.settings.speed_jitter) ** (2 * draw[1] - 1)
        lengths = (span / speed).round().long().clamp(1, self.max_frames)
        span = span.minimum((lengths * speed).ceil().long()).clamp(min=1)
        starts = (draw[2] * (whole - span + 1)).long()
        steps = torch.arange(int(lengths.max()))
        inside = steps < lengths[:, None]
        offsets = (steps * speed[:, None]).long().minimum(span[:, None] - 1)
        first = self.sequences.starts[clips] + (draw[3] < 0.5) * self.sequences.flip_offset
        rows = (first + starts)[:, None] + offsets
        rows, inside = self._drop(rows, inside, generator)
        features = self.sequences.take(rows, inside)
        row_labels = self.sequences.take_labels(rows, inside)
        return Batch(features, inside.sum(1), self.sequences.labels[clips], row_labels)

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

    def _partner(self, clips: Tensor, batch: Batch, generator: torch.Generator) -> Batch:
        """The batch shuffled, each sequence stretched to the length of the one it joins."""
        order = torch.randperm(len(clips), generator=generator)
        ratio = batch.lengths[order].float() / batch.lengths.float()
        steps = (torch.arange(batch.features.shape[1]) * ratio[:, None]).long()
        rows = steps.clamp(max=batch.features.shape[1] - 1)[..., None]
        features = batch.features[order].gather(1, rows.expand_as(batch.features))
        return Batch(features, batch.lengths, batch.labels[order])
