"""How much of a cell's state survives k steps, by its gradient. Knows no training.

The norm of d h_T / d state_(T - k), the quantity whose decay makes long lags unlearnable (Bengio,
Simard and Frasconi 1994; Pascanu, Mikolov and Bengio 2013, section 2.1).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from action_gru.model.recurrence import Recurrent

SEQUENCES = 128


def gradient_norm(cell: Recurrent, start: Tensor, rest: Tensor) -> float:
    """The root mean square over sequences of |d h_T / d state_0|_F / sqrt(H).

    start (B, 1, C): what led to state_0 (h, and c of an LSTM); rest (B, k, C): what came after. 1
    is a state that is carried unchanged. The Frobenius norm is estimated with one random projection
    a sequence: E |v^T J|^2 = |J|_F^2 for v of independent unit normals (Hutchinson 1990).
    """
    with torch.no_grad():
        state = cell(start)[1]
    parts = state if isinstance(state, tuple) else (state,)
    for part in parts:
        part.requires_grad_(True)
    last = cell(rest, parts if len(parts) > 1 else parts[0])[0][:, -1]
    generator = torch.Generator().manual_seed(0)
    direction = torch.randn(last.shape, generator=generator, dtype=last.dtype)
    gradients = torch.autograd.grad((last * direction).sum(), parts)
    squares = torch.stack([gradient.double().square().sum() for gradient in gradients]).sum()
    return float((squares / len(start) / last.shape[1]).sqrt())


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
