"""Solves the classifier's closed-form branch, and finds how much say it earns.

Ridge regression of the classes on the mean and the maximum over time (Hoerl and Kennard 1970), a
view by itself. Each part of the clips is also scored by a fit without it, whole groups at a time:
these scores choose what the fit reads and learns from, and show how far it can be trusted on clips
of new groups. Knows nothing of the loop.
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
RIDGE = 1e-3  # larger is smoother
MAX_SHARE = 0.9  # a cell always has a say: kappa of few clips is a rough figure
FACTOR_PENALTY = 0.02
SHARPNESS = torch.logspace(-1, 2, 61)


def solve_linear(
    model: ActionClassifier,
    train: SequenceSet,
    folds: Sequence[int],
    max_frames: int,
) -> None:
    """Fill the model's closed-form branch and the shares. folds (N,): the part of each clip.

    Left-out clips choose for each view whether its trend is read, and whether halves of clips are
    learnt from, too. The branch's share is Cohen's kappa of its left-out answers: 0 for guessing, 1
    for no error. Its views are weighed so that these answers are most likely; the trained branches
    alike, but for as large a part as the branch's share by the odds kappa / (1 - kappa) of their
    view's: of answers that are hardly better than guessing the odds are noise. With one part only
    nothing can be left out, and the branch gets no say.
    """
    assert model.linear is not None
    if len(set(folds)) < 2:
        return
    rows, clips, whole = _descriptors(model, train, max_frames)
    targets = one_hot(train.labels, model.num_classes).float()
    fold_of = torch.tensor(list(folds))
    columns, fits, left_out = [], [], []
    for choices in model.linear.view_columns():
        best = None
        # Half of an action may look like another one, which left-out clips tell.
        for used in [whole] if bool(whole.all()) else [whole, torch.ones_like(whole)]:
            for view in choices:
                ridge = Ridge(rows[used][:, view], targets[clips[used]])
                answers = _left_out(ridge, clips[used], whole[used], targets, fold_of)
                loss = float(_losses(answers, train.labels).min())
                if best is None or loss < best[0]:
                    best = loss, view, ridge, answers
        assert best is not None
        columns.append(best[1])
        fits.append(best[2].fit())
        left_out.append(best[3])
    answers = torch.stack(left_out)
    weights = _weights(answers, train.labels)
    together = (answers * weights[:, None, None]).sum(0)
    model.linear.weight.zero_()
    model.linear.bias.zero_()
    for view, weight, (matrix, offset) in zip(columns, weights, fits, strict=True):
        model.linear.weight[:, view] = weight * matrix.T
        model.linear.bias += weight * offset
    share = _kappa(together, train.labels).clamp_max(MAX_SHARE)
    model.linear_share.copy_(share)
    if len(model.group_dims) == len(columns):
        kappas = torch.stack([_kappa(answer, train.labels) for answer in answers])
        odds = kappas.clamp(0.01, 0.99) / (1 - kappas.clamp(0.01, 0.99))
        shares = share * odds / odds.sum() + (1 - share) / len(odds)
        copies = len(model.streams) // len(odds)
        model.shares.copy_(shares.repeat(copies) / copies)


class Ridge:
    """Ridge regressions on parts of the same rows, which share the products of these rows.

    rows (N, P), targets (N, C). ridge: the penalty, as a share of the mean squared length of a
    centred row. A fit of some rows needs their products alone, of which those of the other rows and
    of the means come out by subtraction: one product of all rows serves a fit and its folds.
    """

    def __init__(self, rows: Tensor, targets: Tensor, ridge: float = RIDGE) -> None:
        # Around the mean of all rows, so that centring a part takes away little: float32 is enough.
        self.centre, self.targets, self.ridge = rows.mean(0), targets, ridge
        self.rows = rows - self.centre
        self.is_dual = len(rows) < rows.shape[1]  # the smaller of two equal systems
        self.products = self.rows @ self.rows.T if self.is_dual else self.rows.T @ self.rows

    def fit(self, used: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """matrix (P, C), offset (C,) from the used rows: targets ~ rows @ matrix + offset.

        used (M,): the numbers of the rows; None: all.
        """
        used = torch.arange(len(self.rows)) if used is None else used
        rows, targets = self.rows[used], self.targets[used]
        middle, level = rows.mean(0), targets.mean(0)
        if self.is_dual:
            matrix = rows.T @ self._dual(used, targets - level)
        else:
            is_other = torch.ones(len(self.rows), dtype=torch.bool)
            is_other[used] = False
            others = self.rows[is_other]
            products = self.products - others.T @ others
            products -= len(rows) * middle.outer(middle)
            matrix = self._solve(products, rows.T @ (targets - level))
        return matrix, level - (self.centre + middle) @ matrix

    def answers(self, used: Tensor, asked: Tensor) -> Tensor:
        """What a fit of the used rows says of the asked ones: (M,), (A,) -> (A, C)."""
        if not self.is_dual:
            matrix, offset = self.fit(used)
            return (self.rows[asked] + self.centre) @ matrix + offset
        level = self.targets[used].mean(0)
        weights = self._dual(used, self.targets[used] - level)
        found = self.products[asked][:, used] @ weights
        # Less what it says of the mean of the used rows.
        return found - self.products[used][:, used].mean(0) @ weights + level

    def _dual(self, used: Tensor, targets: Tensor) -> Tensor:
        """The weight of each used row in the matrix: targets (M, C), centred -> (M, C)."""
        products = self.products[used][:, used]
        mean = products.mean(0)
        centred = products - mean - mean[:, None] + mean.mean()
        weights = self._solve(centred, targets)
        return weights - weights.mean(0)  # of centred rows: those of the rows as they are

    def _solve(self, system: Tensor, right: Tensor) -> Tensor:
        """The solution of a positive semidefinite system (K, K) with its penalty: (K, C) -> (K, C).

        Of rows that are nearly one, what the subtractions left is rounding; so the penalty is at
        least that of rows with a hundredth of the spread of all.
        """
        spread = system.trace().maximum(0.01 * self.products.trace()).clamp_min(1e-6)
        factor = torch.linalg.cholesky(system + self.ridge * spread * torch.eye(len(system)))
        return torch.cholesky_solve(right, factor)


def fit_ridge(rows: Tensor, targets: Tensor, ridge: float = RIDGE) -> tuple[Tensor, Tensor]:
    """A single fit of `Ridge`: (N, P), (N, C) -> matrix (P, C), offset (C,)."""
    return Ridge(rows, targets, ridge).fit()


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
            standard = train.gather(start[part], length[part])
            if not train.is_standard:
                standard = model.standardise(standard)
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


def _left_out(ridge: Ridge, clips: Tensor, whole: Tensor, targets: Tensor, folds: Tensor) -> Tensor:
    """Each clip's answer by a fit without its fold, averaged over its whole copies: (N, C)."""
    total, count = torch.zeros_like(targets), torch.zeros(len(targets), 1)
    for fold in sorted(set(folds.tolist())):
        inside = folds[clips] == fold
        asked = (inside & whole).nonzero()[:, 0]
        total.index_add_(0, clips[asked], ridge.answers((~inside).nonzero()[:, 0], asked))
        count.index_add_(0, clips[asked], torch.ones(len(asked), 1))
    return total / count


def _kappa(answers: Tensor, labels: Tensor) -> Tensor:
    """Cohen's kappa (1960) of the top answers, at least 0: (N, C), (N,) -> ()."""
    classes = answers.shape[1]
    given = answers.argmax(1)
    agreed = (given == labels).float().mean()
    shares = [x.bincount(minlength=classes) / len(labels) for x in (given, labels)]
    chance = (shares[0] * shares[1]).sum()
    return ((agreed - chance) / (1 - chance).clamp_min(1e-9)).clamp_min(0)


def _weights(answers: Tensor, labels: Tensor) -> Tensor:
    """How much each view's answers count, (V,): answers (V, N, C), labels (N,).

    Each is sharpened as its own left-out answers earn it, and counts 1 / V of that; then a factor
    for each view makes the softmax of the sum most likely. A penalty holds the factors near 1: a
    few clips tell little about them.
    """
    sharp = torch.stack([_sharpness(answer, labels) for answer in answers]).double()
    start, scores = sharp / len(answers), answers.double()
    factors = torch.zeros_like(start, requires_grad=True)
    optimizer = torch.optim.LBFGS([factors], max_iter=100, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimizer.zero_grad()
        weighed = (scores * (start * factors.exp())[:, None, None]).sum(0)
        value = _loss(weighed, labels) + FACTOR_PENALTY * factors.square().sum()
        value.backward()  # type: ignore[no-untyped-call]
        return value

    optimizer.step(loss)  # type: ignore[no-untyped-call]
    return (start * factors.detach().exp()).float()


def _sharpness(answers: Tensor, labels: Tensor) -> Tensor:
    """The factor that makes the answers' softmax most likely: temperature scaling (Guo et al.
    2017), on left-out clips.
    """
    return SHARPNESS[_losses(answers, labels).argmin()]


def _losses(answers: Tensor, labels: Tensor) -> Tensor:
    """The cross-entropy of the answers at each of SHARPNESS."""
    return torch.stack([_loss(answers * factor, labels) for factor in SHARPNESS])


def _loss(logits: Tensor, labels: Tensor) -> Tensor:
    """The cross-entropy, with targets as if one clip more had been wrong (Platt 1999): few clips
    without an error do not prove that there will be none.
    """
    return cross_entropy(logits, labels, label_smoothing=1 / (len(labels) + 2))
