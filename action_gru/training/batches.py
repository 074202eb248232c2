"""Augmented batches of one epoch, drawn from a seed. Knows nothing of the model."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from action_gru.config.tree import TrainingSection
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
            starts, lengths = self._stretches(clips, generator)
            keep = self._keep(lengths, generator)
            batch = self._batch(clips, starts, lengths, keep)
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

    def _stretches(self, clips: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """A random stretch of each clip: shorter by up to temporal_crop, at most max_frames."""
        whole = self.sequences.lengths[clips]
        draw = torch.rand(3, len(clips), generator=generator)
        shrunk = whole.float() * (1 - self.settings.temporal_crop * draw[0])
        lengths = shrunk.ceil().long().clamp(1, self.max_frames)
        starts = self.sequences.starts[clips] + (draw[1] * (whole - lengths + 1)).long()
        return starts + (draw[2] < 0.5) * self.sequences.flip_offset, lengths

    def _keep(self, lengths: Tensor, generator: torch.Generator) -> Tensor | None:
        """Which steps stay, (B, T) bool; the first always does, so that no clip is left empty."""
        if not self.settings.frame_dropout:
            return None
        shape = (len(lengths), int(lengths.max()))
        keep = torch.rand(shape, generator=generator) >= self.settings.frame_dropout
        keep[:, 0] = True
        return keep & (torch.arange(shape[1]) < lengths[:, None])

    def _batch(self, clips: Tensor, starts: Tensor, lengths: Tensor, keep: Tensor | None) -> Batch:
        features = self.sequences.gather(starts, lengths, keep)
        kept = lengths if keep is None else keep.sum(1)
        return Batch(features, kept, self.sequences.labels[clips])

    def _partner(self, clips: Tensor, batch: Batch, generator: torch.Generator) -> Batch:
        """The batch shuffled, each sequence stretched to the length of the one it joins."""
        order = torch.randperm(len(clips), generator=generator)
        ratio = batch.lengths[order].float() / batch.lengths.float()
        steps = (torch.arange(batch.features.shape[1]) * ratio[:, None]).long()
        rows = steps.clamp(max=batch.features.shape[1] - 1)[..., None]
        features = batch.features[order].gather(1, rows.expand_as(batch.features))
        return Batch(features, batch.lengths, batch.labels[order])
