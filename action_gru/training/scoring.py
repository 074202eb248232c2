"""Class probabilities of clips, windows and mirrored copies averaged, or row by row.

`ClipScores` is the one place that says what a model answers to a clip; `score_clips` says the same
of many. Knows no labels.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property

import torch
from torch import Tensor

from action_gru.features.sequences import SequenceSet, is_known
from action_gru.model import ActionClassifier
from action_gru.model.calibration import average_windows
from action_gru.views.sampling import windows

BATCH = 64
PIECE = 2048  # rows that a model of instants reads at once


class ClipScores:
    """What a model answers to one clip, and what it would answer had the clip been another.

    copies: (T, D) each, the plain features first, then the mirrored ones where they count. A clip
    longer than max_frames is read in equal windows. The answer is the mean over windows and copies,
    as in `score_clips`.
    """

    def __init__(self, model: ActionClassifier, copies: Sequence[Tensor], max_frames: int) -> None:
        self.model = model
        self.copies = torch.stack([copy.float() for copy in copies])  # (P, T, D)
        self.windows = windows(self.copies.shape[1], max_frames)
        self._parts = torch.stack(  # (W, P, C)
            [self._read(self.copies[:, low:high]) for low, high in self.windows]
        )

    @property
    def features(self) -> Tensor:
        """Of the plain copy, (T, D) float32."""
        return self.copies[0]

    @property
    def probabilities(self) -> Tensor:
        """The answer, (C,) float64."""
        return self._parts.mean((0, 1))

    @cached_property
    def running(self) -> Tensor | None:
        """The answer as it stood after each frame, (T, C) float64; the last is the whole answer.

        A window counts by the share of it that is read: the first alone, then the mean of those
        that are over and, growing from 0 to 1, of the current one. None for a model that
        reads backwards too and so has no answer before the end.
        """
        if not self.model.can_stream:
            return None
        over = torch.zeros_like(self.probabilities)
        rows = []
        for number, (low, high) in enumerate(self.windows):
            share = torch.arange(1, high - low + 1, dtype=torch.float64)[:, None] / (high - low)
            rows.append((over + share * self._steps(low, high)) / (number + share))
            over = over + self._parts[number].mean(0)
        rows[-1][-1] = self.probabilities  # equal but for rounding: a label must not turn on that
        return torch.cat(rows)

    def window_at(self, frame: int) -> int:
        """The number of the window that holds a frame."""
        return next(i for i, (_, high) in enumerate(self.windows) if frame < high)

    def with_window(self, number: int, altered: Tensor) -> Tensor:
        """The answers if window `number` held other features.

        altered (N, P, T_w, D): N alternatives, all copies of each -> (N, C).
        """
        others = self._parts.sum(0) - self._parts[number]
        rows = altered.flatten(0, 1).split(BATCH)  # type: ignore[no-untyped-call]
        changed = torch.cat([self._read(part) for part in rows])
        return (others + changed.reshape(len(altered), *others.shape)).mean(1) / len(self.windows)

    def _read(self, batch: Tensor) -> Tensor:
        """(B, T, D) -> (B, C)."""
        lengths = torch.full((len(batch),), batch.shape[1])
        return self.model.probabilities(read_logits(self.model, batch, lengths).double())

    def _steps(self, low: int, high: int) -> Tensor:
        """After each frame of a window, the mean over the copies, (T_w, C).

        Of a model of instants, whose answer to a window is the mean over it, the mean so far.
        """
        device = next(self.model.parameters()).device
        with torch.inference_mode():
            logits = self.model.running(self.copies[:, low:high].to(device)).cpu()
        steps = self.model.probabilities(logits.double()).mean(0)
        if not self.model.instant:
            return steps
        return steps.cumsum(0) / torch.arange(1, len(steps) + 1, dtype=steps.dtype)[:, None]


def read_logits(model: ActionClassifier, features: Tensor, lengths: Tensor) -> Tensor:
    """(B, T, D), (B,) -> (B, C) float32 on the CPU, on whatever device the model is."""
    device = next(model.parameters()).device
    with torch.inference_mode():
        logits: Tensor = model(features.to(device), lengths.to(device))
        return logits.cpu().float()


def score_clips(
    model: ActionClassifier,
    sequences: SequenceSet,
    max_frames: int,
    batch_size: int = 256,
    flip: bool = False,
) -> Tensor:
    """Probabilities of each clip, (N, C) float32 on the CPU.

    A clip longer than max_frames is read in equal windows and their probabilities are averaged;
    with flip the mirrored copy's too. Calibrated if the model is.
    """
    clips, logits = window_logits(model, sequences, max_frames, batch_size, flip)
    return average_windows(clips, model.probabilities(logits), len(sequences))


def window_logits(
    model: ActionClassifier,
    sequences: SequenceSet,
    max_frames: int,
    batch_size: int = 256,
    flip: bool = False,
) -> tuple[Tensor, Tensor]:
    """The logits of every window and mirrored copy: whose clip it is (M,), (M, C) on the CPU."""
    passes = [False, True] if flip and sequences.flip_offset else [False]
    whose, logits = [], []
    was_training = model.training
    model.eval()
    for flipped in passes:
        clip, start, length = sequences.read_windows(max_frames, flipped)
        for part in torch.arange(len(clip)).split(batch_size):  # type: ignore[no-untyped-call]
            features = sequences.gather(start[part], length[part])
            logits.append(read_logits(model, features, length[part]))
            whose.append(clip[part])
    model.train(was_training)
    return torch.cat(whose), torch.cat(logits)


def score_steps(model: ActionClassifier, sequences: SequenceSet) -> list[Tensor]:
    """Probabilities about each row of each sequence: N of (T, C) float32 on the CPU."""
    return [model.probabilities(logits) for logits in _running_logits(model, sequences)]


def step_logits(model: ActionClassifier, sequences: SequenceSet) -> tuple[Tensor, Tensor]:
    """The logits of every row whose truth is known, and its targets: (M, C), (M,) or (M, C)."""
    targets = step_targets(sequences)
    logits, known = torch.cat(_running_logits(model, sequences)), is_known(targets)
    return logits[known], targets[known]


def step_targets(sequences: SequenceSet) -> Tensor:
    """The targets of all rows, sequence by sequence: (sum of T,) or (sum of T, C)."""
    assert sequences.step_labels is not None
    rows = zip(sequences.starts.tolist(), sequences.lengths.tolist(), strict=True)
    return torch.cat([sequences.step_labels[start : start + length] for start, length in rows])


def known_targets(sequences: SequenceSet) -> Tensor:
    """The targets of all clips, or of all rows that have some, in order: (N,) or (N, C)."""
    if sequences.step_labels is None:
        return sequences.labels
    targets = step_targets(sequences)
    return targets[is_known(targets)]


def _running_logits(model: ActionClassifier, sequences: SequenceSet) -> list[Tensor]:
    """The logits about each row of each sequence: N of (T, C) float32 on the CPU."""
    was_training = model.training
    model.eval()
    rows = zip(sequences.starts.tolist(), sequences.lengths.tolist(), strict=True)
    with torch.inference_mode():
        found = [
            torch.cat([part.cpu().float() for part in _running(model, values)])
            for values in (sequences.values[start : start + length] for start, length in rows)
        ]
    model.train(was_training)
    return found


def _running(model: ActionClassifier, values: Tensor) -> Iterator[Tensor]:
    """The logits about each row of a sequence (T, D), in blocks (N, C).

    A model of instants reads PIECE rows at once and carries its state; another one all rows.
    """
    device = next(model.parameters()).device
    if not model.instant:
        yield model.running(values.float()[None].to(device))[0]
        return
    state = model.initial_state(1)
    held, early = values[-1:].expand(model.lookahead, -1), model.lookahead
    for rows in (*values.split(PIECE), held):  # type: ignore[no-untyped-call]
        if len(rows):
            logits, state = model.advance(rows.float()[None].to(device), state)
            yield logits[0, early:]
            early = max(0, early - len(rows))


def score_answers(
    model: ActionClassifier, sequences: SequenceSet, max_frames: int, flip: bool = False
) -> tuple[Tensor, Tensor]:
    """Every answer whose truth is known: probabilities (M, C) and targets (M,) or (M, C).

    One a clip, or one a row where rows have targets.
    """
    if sequences.step_labels is None:
        return score_clips(model, sequences, max_frames, flip=flip), sequences.labels
    logits, targets = step_logits(model, sequences)
    return model.probabilities(logits), targets


def is_right(scores: Tensor, labels: Tensor) -> Tensor:
    """Whether each answer is right: (N, C), targets (N,) -> (N,) bool.

    With many, (N, C): whether exactly the classes that are shown have 1/2 or more.
    """
    if labels.ndim == 1:
        return scores.argmax(-1) == labels
    return ((scores >= 0.5) == labels.bool()).all(-1)


def surprise(scores: Tensor, labels: Tensor) -> Tensor:
    """Minus the logarithm of the probability of what is true, (N,) float64; of many classes the
    mean. scores (N, C), targets (N,) or (N, C).
    """
    if labels.ndim == 1:
        return -scores.gather(1, labels[:, None])[:, 0].clamp_min(1e-9).double().log()
    likely = torch.where(labels.bool(), scores, 1 - scores)
    return -likely.clamp_min(1e-9).double().log().mean(1)
