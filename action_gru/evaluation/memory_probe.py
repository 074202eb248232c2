"""The long-memory probe: how far back a cell can be trained to remember, and why not further.

The latch problem of Bengio, Simard and Frasconi (1994, section 3) with several classes: the first
step shows the label, noise follows, the cell answers at the end. Uses no data of the user.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import fmean

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, one_hot

from action_gru.model import CELLS, build_cell
from action_gru.model.recurrence import Recurrent

LAGS = (4, 8, 16, 32, 64, 128, 256, 512)
SOLVED = 0.95
CLASSES = 4
NOISE = 0.3  # its deviation; the label is a 1
SHORTEST_LAG = 4  # in training
TEST_SEQUENCES, GRADIENT_SEQUENCES = 500, 128
TEST_SEED = 987_654_321  # no training draws from it


@dataclass(frozen=True)
class ProbeSettings:
    """How the probe is run, for all cells alike. lags, ascending: noise steps after the label."""

    lags: tuple[int, ...] = LAGS
    hidden_size: int = 32
    batch_size: int = 32
    steps: int = 400
    learning_rate: float = 5e-3
    seeds: int = 3
    cells: tuple[str, ...] = field(default_factory=lambda: tuple(CELLS))


@dataclass
class ProbeResult:
    """What one cell did. accuracy_by_seed: by lag, one figure a seed, up to the first not solved.

    gradient_before, gradient_after: by lag k, the norm of d h_T / d state_(T-k) as `mean_norms`
    measures it, 1 for a state that is carried unchanged; untrained, and trained at `trained_lag`.
    """

    cell: str
    accuracy_by_seed: dict[int, list[float]] = field(default_factory=dict)
    gradient_before: dict[int, float] = field(default_factory=dict)
    gradient_after: dict[int, float] = field(default_factory=dict)
    trained_lag: int = 0

    def mean_accuracy(self, lag: int) -> float:
        return fmean(self.accuracy_by_seed[lag])

    @property
    def largest_solved(self) -> int | None:
        """The largest lag with a mean accuracy of at least SOLVED."""
        solved = [lag for lag in self.accuracy_by_seed if self.mean_accuracy(lag) >= SOLVED]
        return max(solved, default=None)

    @property
    def first_failed(self) -> int | None:
        failed = [lag for lag in self.accuracy_by_seed if self.mean_accuracy(lag) < SOLVED]
        return min(failed, default=None)


class Latch(nn.Module):
    """An untrained cell and a linear answer from its last hidden state: (B, T, C) -> (B, C).

    The same seed gives the same weights.
    """

    def __init__(self, cell: str, hidden_size: int, seed: int) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.cell = build_cell(cell, CLASSES, hidden_size)
            self.answer = nn.Linear(hidden_size, CLASSES)

    def forward(self, sequences: Tensor) -> Tensor:
        logits: Tensor = self.answer(self.cell(sequences)[0][:, -1])
        return logits


def draw_sequences(count: int, lag: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """(count, lag + 1, C) inputs, their labels (count,): the label one-hot, then noise."""
    labels = torch.randint(CLASSES, (count,), generator=generator)
    inputs = NOISE * torch.randn(count, lag + 1, CLASSES, generator=generator)
    inputs[:, 0] = one_hot(labels, CLASSES).float()
    return inputs, labels


def run_probe(
    settings: ProbeSettings, advance: Callable[[str], None] = lambda note: None
) -> list[ProbeResult]:
    """Each cell at growing lags, up to the first it fails at; then the gradients.

    Each lag is learned from scratch, with the same budget of steps and the same sequences for all
    cells. Gradients after training are those of the smallest lag that some cell failed at (or of
    the largest): the one lag at which they can be compared.
    """
    seeds, kept = range(settings.seeds), {}
    results = [ProbeResult(cell) for cell in settings.cells]
    for result in results:
        for lag in settings.lags:
            models = [train_latch(settings, result.cell, lag, seed) for seed in seeds]
            kept[result.cell, lag] = [model.cell for model in models]
            result.accuracy_by_seed[lag] = [accuracy_at(model, lag) for model in models]
            advance(f"{result.cell}, lag {lag}: {result.mean_accuracy(lag):.2f}")
            if result.first_failed is not None:
                break
    shared = min(result.first_failed or settings.lags[-1] for result in results)
    generator = torch.Generator().manual_seed(TEST_SEED)
    sequences, _ = draw_sequences(GRADIENT_SEQUENCES, settings.lags[-1], generator)
    for result in results:
        fresh = [Latch(result.cell, settings.hidden_size, seed).cell for seed in seeds]
        result.trained_lag = shared
        result.gradient_before = mean_norms(fresh, sequences, settings.lags)
        result.gradient_after = mean_norms(kept[result.cell, shared], sequences, settings.lags)
    return results


def train_latch(settings: ProbeSettings, cell: str, lag: int, seed: int) -> Latch:
    """A cell trained with Adam, on lags up to the wanted one.

    The lag of each batch is drawn evenly in its logarithm: with the longest alone no cell finds a
    beginning in such a budget.
    """
    model = Latch(cell, settings.hidden_size, seed)
    generator = torch.Generator().manual_seed(1000 * lag + seed)
    optimizer = torch.optim.Adam(model.parameters(), lr=settings.learning_rate)
    shortest = min(SHORTEST_LAG, lag)
    for _ in range(settings.steps):
        drawn = float(torch.rand((), generator=generator))
        steps = round(shortest * (lag / shortest) ** drawn)
        inputs, labels = draw_sequences(settings.batch_size, steps, generator)
        loss = cross_entropy(model(inputs), labels)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    return model


def accuracy_at(model: Latch, lag: int) -> float:
    """The share of fresh sequences of exactly this lag that are answered right."""
    inputs, labels = draw_sequences(TEST_SEQUENCES, lag, torch.Generator().manual_seed(TEST_SEED))
    with torch.inference_mode():
        return float((model(inputs).argmax(1) == labels).float().mean())


def gradient_norm(cell: Recurrent, start: Tensor, rest: Tensor) -> float:
    """The root mean square over sequences of |d h_T / d state_0|_F / sqrt(H).

    Its decay over k steps is what makes long lags unlearnable (Bengio et al. 1994; Pascanu, Mikolov
    and Bengio 2013, section 2.1). start (B, 1, C): what led to state_0 (h, and c of an LSTM); rest
    (B, k, C): what came after. 1 is a state that is carried unchanged. The Frobenius norm is
    estimated with one random projection a sequence: E |v^T J|^2 = |J|_F^2 for v of independent unit
    normals (Hutchinson 1990).
    """
    with torch.no_grad():
        state = cell(start)[1]
    parts = state if isinstance(state, tuple) else (state,)
    for part in parts:
        part.requires_grad_(True)
    last = cell(rest, state)[0][:, -1]
    generator = torch.Generator().manual_seed(0)
    direction = torch.randn(last.shape, generator=generator, dtype=last.dtype)
    gradients = torch.autograd.grad((last * direction).sum(), parts)
    squares = sum(float(gradient.double().square().sum()) for gradient in gradients)
    return float((squares / len(start) / last.shape[1]) ** 0.5)


def mean_norms(
    cells: Sequence[Recurrent], sequences: Tensor, lags: Sequence[int]
) -> dict[int, float]:
    """By lag, the geometric mean over cells, for sequences (B, T, C) of more than max(lags) steps.

    Decay is a matter of powers: one cell of ten times the gradient must not hide two that lost it.
    """
    means = {}
    for lag in lags:
        start, rest = sequences[:, :1], sequences[:, 1 : 1 + lag]
        norms = torch.tensor([gradient_norm(cell, start, rest) for cell in cells])
        means[lag] = float(norms.double().clamp_min(1e-45).log().mean().exp())
    return means
