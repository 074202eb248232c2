"""Solves the classifier's closed-form branch, and finds how much say it earns.

Ridge regression of the classes on the mean and the maximum over time (Hoerl and Kennard 1970), a
view by itself. Each part of the clips is also scored by a fit without it, whole groups at a time:
these scores show how far the fit can be trusted on clips of new groups. Knows nothing of the loop.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, one_hot

from action_gru.features.sequences import SequenceSet
from action_gru.model import ActionClassifier

# Above this many rows the halves of clips are left out: there are clips enough.
MAX_ROWS = 20_000
# A cell always has a say: kappa of few clips is a rough figure.
RIDGE = 1e-3  # larger is smoother
MAX_SHARE = 0.9
SHARPNESS = torch.logspace(-1, 2, 61)


def solve_linear(
    model: ActionClassifier,
    train: SequenceSet,
    folds: Sequence[int],
    max_frames: int,
) -> None:
    """Fill the model's closed-form branch and the shares. folds (N,): the part of each clip.

    The branch's share is Cohen's kappa of its left-out answers: 0 for guessing, 1 for no error.
    Views weigh in, there and among the trained branches, by the odds kappa / (1 - kappa) of theirs.
    With one part only nothing can be left out, and the branch gets no say.
    """
    assert model.linear is not None
    if len(set(folds)) < 2:
        return
    rows, clips, whole = _descriptors(model, train, max_frames)
    targets = one_hot(train.labels, model.num_classes).float()
    fold_of = torch.tensor(list(folds))
    columns = _columns(model.read_dims)
    fits = [fit_ridge(rows[:, view], targets[clips]) for view in columns]
    answers = torch.stack(
        [_left_out(rows[:, view], clips, whole, targets, fold_of) for view in columns]
    )
    odds = torch.stack([_kappa(answer, train.labels) for answer in answers]).clamp(0.01, 0.99)
    weights = odds / (1 - odds) / (odds / (1 - odds)).sum()
    together = (answers * weights[:, None, None]).sum(0)
    sharpness = _sharpness(together, train.labels)
    model.linear.bias.zero_()
    for view, weight, (matrix, offset) in zip(columns, weights * sharpness, fits, strict=True):
        model.linear.weight[:, view] = weight * matrix.T
        model.linear.bias += weight * offset
    model.linear_share.copy_(_kappa(together, train.labels).clamp_max(MAX_SHARE))
    if len(model.streams) == len(weights):
        model.shares.copy_(weights)


def fit_ridge(rows: Tensor, targets: Tensor, ridge: float = RIDGE) -> tuple[Tensor, Tensor]:
    """rows (N, P), targets (N, C) -> matrix (P, C), offset (C,): targets ~ rows @ matrix + offset.

    ridge: the penalty, as a share of the mean squared length of a centred row.
    """
    centre, level = rows.mean(0), targets.mean(0)
    x, y = rows - centre, targets - level
    penalty = ridge * x.square().sum().clamp_min(1e-6)
    if len(x) < x.shape[1]:  # the smaller of two equal systems
        matrix = x.T @ torch.linalg.solve(x @ x.T + penalty * torch.eye(len(x)), y)
    else:
        matrix = torch.linalg.solve(x.T @ x + penalty * torch.eye(x.shape[1]), x.T @ y)
    return matrix, level - centre @ matrix


def _descriptors(
    model: ActionClassifier, train: SequenceSet, max_frames: int
) -> tuple[Tensor, Tensor, Tensor]:
    """rows (N, 2 D) of every clip, its mirrored copy and three halves of each; clips (N,): whose;
    whole (N,) bool: not a half.
    """
    assert model.linear is not None
    kept, whose, is_whole = [], [], []
    for clip, start, length, whole in _stretches(train, max_frames):
        for part in torch.arange(len(clip)).split(256):  # type: ignore[no-untyped-call]
            standard = model.standardise(train.gather(start[part], length[part]))
            kept.append(model.linear.pool(standard, length[part]))
        whose.append(clip)
        is_whole.append(torch.full((len(clip),), whole))
    return torch.cat(kept), torch.cat(whose), torch.cat(is_whole)


def _stretches(
    train: SequenceSet, max_frames: int
) -> Iterator[tuple[Tensor, Tensor, Tensor, bool]]:
    """(clip, start, length, whole) of the stretches to learn from, plain and mirrored."""
    sides = [False, True] if train.flip_offset else [False]
    for flipped in sides:
        clip, start, length = train.read_windows(max_frames, flipped)
        yield clip, start, length, True
        if len(clip) * len(sides) * 4 > MAX_ROWS:
            continue
        half = (length + 1) // 2
        for later in (0, (length - half) // 2, length - half):
            yield clip, start + later, half, False


def _columns(view_dims: Sequence[int]) -> list[Tensor]:
    """The columns of each view in a descriptor of all: its means, then its maxima."""
    total, low, columns = sum(view_dims), 0, []
    for dim in view_dims:
        means = torch.arange(low, low + dim)
        columns.append(torch.cat([means, means + total]))
        low += dim
    return columns


def _left_out(rows: Tensor, clips: Tensor, whole: Tensor, targets: Tensor, folds: Tensor) -> Tensor:
    """Each clip's answer by a fit without its fold, averaged over its whole copies: (N, C)."""
    total, count = torch.zeros_like(targets), torch.zeros(len(targets), 1)
    for fold in sorted(set(folds.tolist())):
        inside = folds[clips] == fold
        matrix, offset = fit_ridge(rows[~inside], targets[clips[~inside]])
        asked = inside & whole
        total.index_add_(0, clips[asked], rows[asked] @ matrix + offset)
        count.index_add_(0, clips[asked], torch.ones(int(asked.sum()), 1))
    return total / count


def _kappa(answers: Tensor, labels: Tensor) -> Tensor:
    """Cohen's kappa (1960) of the top answers, at least 0: (N, C), (N,) -> ()."""
    classes = answers.shape[1]
    given = answers.argmax(1)
    agreed = (given == labels).float().mean()
    shares = [x.bincount(minlength=classes) / len(labels) for x in (given, labels)]
    chance = (shares[0] * shares[1]).sum()
    return ((agreed - chance) / (1 - chance).clamp_min(1e-9)).clamp_min(0)


def _sharpness(answers: Tensor, labels: Tensor) -> Tensor:
    """The factor that makes the answers' softmax most likely: temperature scaling (Guo et al.
    2017), on left-out clips.
    """
    losses = torch.stack([cross_entropy(answers * factor, labels) for factor in SHARPNESS])
    return SHARPNESS[losses.argmin()]
