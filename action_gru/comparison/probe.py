"""The long-memory probe: how far back a cell can be taught to remember, and why not further.

The latch problem of Bengio, Simard and Frasconi (1994, section 3) with several classes: the label
is shown once, in the first step; noise follows; the answer is asked for at the end. Knows nothing
of video, features or the user's data.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, one_hot

from action_gru.model import CELLS

LAGS = (4, 8, 16, 32, 64, 128, 256, 512)
SOLVED = 0.95
CLASSES = 4
NOISE = 0.3
TEST_SEQUENCES = 500
ASK_EVERY = 25  # training steps between two looks at whether it is solved
GRADIENT_SEQUENCES = 64


@dataclass(frozen=True)
class ProbeSettings:
    """How the probe is run, for all cells alike. lags, ascending: noise steps after the label."""

    lags: tuple[int, ...] = LAGS
    hidden_size: int = 32
    batch_size: int = 32
    steps: int = 400
    learning_rate: float = 5e-3
    seeds: int = 3
    cells: tuple[str, ...] = tuple(CELLS)


@dataclass
class ProbeResult:
    """What one cell did. accuracy: by lag, one figure a seed, up to the first lag not solved.

    gradient_before, gradient_after: by lag k, the mean over the seeds of |d h_T / d state_(T-k)|,
    where 1 is a state that is carried unchanged; untrained, and trained at `trained_lag`.
    """

    cell: str
    accuracy: dict[int, list[float]] = field(default_factory=dict)
    gradient_before: dict[int, float] = field(default_factory=dict)
    gradient_after: dict[int, float] = field(default_factory=dict)
    trained_lag: int = 0

    def mean_accuracy(self, lag: int) -> float:
        return sum(self.accuracy[lag]) / len(self.accuracy[lag])

    @property
    def largest_solved(self) -> int | None:
        """The largest lag up to which every lag has a mean accuracy of at least SOLVED."""
        solved = [lag for lag in self.accuracy if self.mean_accuracy(lag) >= SOLVED]
        return max(solved, default=None)

    @property
    def first_failed(self) -> int | None:
        failed = [lag for lag in self.accuracy if self.mean_accuracy(lag) < SOLVED]
        return min(failed, default=None)


class Latch(nn.Module):
    """A cell and a linear answer from its last hidden state: (B, T, C) -> (B, C)."""

    def __init__(self, cell: str, hidden_size: int) -> None:
        super().__init__()
        self.cell = CELLS[cell](CLASSES, hidden_size, batch_first=True)
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
    kept: dict[tuple[str, int], list[Latch]] = {}
    results = [ProbeResult(cell) for cell in settings.cells]
    for result in results:
        for lag in settings.lags:
            models = [_train(settings, result.cell, lag, seed) for seed in range(settings.seeds)]
            kept[result.cell, lag] = models
            result.accuracy[lag] = [_accuracy(model, lag) for model in models]
            advance(f"{result.cell}, lag {lag}: {result.mean_accuracy(lag):.2f}")
            if result.first_failed is not None:
                break
    ends = [result.first_failed or settings.lags[-1] for result in results]
    for result in results:
        result.trained_lag = min(ends)
        fresh = [_fresh(settings, result.cell, seed) for seed in range(settings.seeds)]
        result.gradient_before = gradient_norms(fresh, settings.lags)
        result.gradient_after = gradient_norms(kept[result.cell, min(ends)], settings.lags)
    return results


def _fresh(settings: ProbeSettings, cell: str, seed: int) -> Latch:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Latch(cell, settings.hidden_size)


def _train(settings: ProbeSettings, cell: str, lag: int, seed: int) -> Latch:
    """Adam on batches of at most `lag` noise steps; ends early once a check is solved for good."""
    model = _fresh(settings, cell, seed)
    generator = torch.Generator().manual_seed(1000 * lag + seed)
    optimizer = torch.optim.Adam(model.parameters(), lr=settings.learning_rate)
    for step in range(1, settings.steps + 1):
        inputs, labels = draw_sequences(settings.batch_size, lag, generator)
        loss = cross_entropy(model(inputs), labels)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    return model


def _accuracy(model: Latch, lag: int) -> float:
    inputs, labels = draw_sequences(TEST_SEQUENCES, lag, torch.Generator().manual_seed(-1))
    with torch.inference_mode():
        return float((model(inputs).argmax(1) == labels).float().mean())
