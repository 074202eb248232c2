"""Class probabilities of clips, windows and mirrored copies averaged, or row by row.

Knows no labels.
"""

from __future__ import annotations

import torch
from torch import Tensor

from action_gru.calibration import average_windows
from action_gru.dataset import SequenceSet
from action_gru.model import ActionClassifier


def score_clips(
    model: ActionClassifier,
    sequences: SequenceSet,
    max_frames: int,
    batch_size: int = 256,
    flip: bool = False,
) -> Tensor:
    """Softmax probabilities of each clip, (N, C) float32 on the CPU.

    A clip longer than max_frames is read in equal windows and their probabilities are averaged;
    with flip the mirrored copy's too. Calibrated if the model is.
    """
    clips, logits = window_logits(model, sequences, max_frames, batch_size, flip)
    return average_windows(clips, logits, len(sequences))


def window_logits(
    model: ActionClassifier,
    sequences: SequenceSet,
    max_frames: int,
    batch_size: int = 256,
    flip: bool = False,
) -> tuple[Tensor, Tensor]:
    """The logits of every window and mirrored copy: whose clip it is (M,), (M, C) on the CPU."""
    device = next(model.parameters()).device
    passes = [False, True] if flip and sequences.flip_offset else [False]
    whose, logits = [], []
    was_training = model.training
    model.eval()
    with torch.inference_mode():
        for flipped in passes:
            clip, start, length = sequences.read_windows(max_frames, flipped)
            for part in torch.arange(len(clip)).split(batch_size):  # type: ignore[no-untyped-call]
                features = sequences.gather(start[part], length[part]).to(device)
                logits.append(model(features, length[part].to(device)).cpu().float())
                whose.append(clip[part])
    model.train(was_training)
    return torch.cat(whose), torch.cat(logits)


def score_steps(model: ActionClassifier, sequences: SequenceSet) -> list[Tensor]:
    """Softmax probabilities after each row of each sequence: N of (T, C) float32 on the CPU."""
    device = next(model.parameters()).device
    was_training = model.training
    model.eval()
    with torch.inference_mode():
        found = [
            model.running(sequences.values[start : start + length].float()[None].to(device))[0]
            .softmax(-1)
            .cpu()
            for start, length in zip(
                sequences.starts.tolist(), sequences.lengths.tolist(), strict=True
            )
        ]
    model.train(was_training)
    return found


def score_answers(
    model: ActionClassifier, sequences: SequenceSet, max_frames: int, flip: bool = False
) -> tuple[Tensor, Tensor]:
    """Every answer that has a true class: probabilities (M, C) and classes (M,).

    One a clip, or one a row where every row has a class.
    """
    if sequences.step_labels is None:
        return score_clips(model, sequences, max_frames, flip=flip), sequences.labels
    rows = zip(sequences.starts.tolist(), sequences.lengths.tolist(), strict=True)
    labels = [sequences.step_labels[start : start + length] for start, length in rows]
    return torch.cat(score_steps(model, sequences)), torch.cat(labels)
