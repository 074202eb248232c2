"""What reads a sequence: a recurrent cell with its projections and head, or a linear classifier.

Each has two forms, `forward` over whole sequences and `step` over one frame with carried state,
which give the same logits. Knows nothing of how several are averaged.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from action_gru.model.pooling import Pooled, Pooling

# A further cell is called as torch's are, cell(x (B, T, P), state (L, B, H)) -> (hidden (B, T, H),
# state), and has their num_layers, hidden_size and bidirectional. Its gates are not shown.
CELLS: dict[str, type[nn.RNN] | type[nn.LSTM] | type[nn.GRU]] = {
    "rnn": nn.RNN,
    "lstm": nn.LSTM,
    "gru": nn.GRU,
}


class StreamState(NamedTuple):
    """What one stream carries from frame to frame.

    cell: (), (h,) or (h, c), each (L, B, H). around: running mean and maximum of the projections.
    """

    cell: tuple[Tensor, ...]
    hidden: Pooled
    around: tuple[Pooled, ...]


class SequenceStream(nn.Module):
    """Some views, read by one cell: features (B, T, sum of view_dims) -> logits (B, C).

    Each view is projected, normalised and dropped out on its own, so that a wide or loud one does
    not drown another. The head reads the pooled hidden states beside the mean and the maximum of
    the projections: where order says nothing, this way around the cell is there. Without a cell
    the head reads the pooled projections alone.
    """

    def __init__(
        self,
        view_dims: Sequence[int],
        num_classes: int,
        cell: str,
        projection_size: int,
        hidden_size: int,
        num_layers: int,
        bidirectional: bool,
        pooling: str,
        dropout: float,
        head_dropout: float,
    ) -> None:
        super().__init__()
        self.view_dims = list(view_dims)
        self.projections = nn.ModuleList(
            nn.Sequential(
                nn.Linear(dim, projection_size),
                nn.LayerNorm(projection_size),
                nn.GELU(),
                nn.Dropout(dropout),
            )
            for dim in view_dims
        )
        self.width = width = projection_size * len(view_dims)
        self.cell = (
            CELLS[cell](
                width,
                hidden_size,
                num_layers,
                batch_first=True,
                bidirectional=bidirectional,
                dropout=dropout if num_layers > 1 else 0.0,
            )
            if cell != "none"
            else None
        )
        hidden = width if self.cell is None else hidden_size * (1 + bidirectional)
        self.pool_hidden = Pooling(pooling, hidden)
        around = [] if self.cell is None else ["mean", "max"]
        self.pool_around = nn.ModuleList(Pooling(kind, width) for kind in around)
        pooled = hidden + width * len(around)
        self.head = nn.Sequential(nn.Dropout(head_dropout), nn.Linear(pooled, num_classes))

    def forward(self, features: Tensor, lengths: Tensor) -> Tensor:
        """features (B, T, D), lengths (B,) -> logits (B, C)."""
        projected = self.project(features)
        pooled = [self.pool_hidden(self.hidden_states(projected, lengths), lengths)]
        pooled += [pool(projected, lengths) for pool in self.pool_around]
        logits: Tensor = self.head(torch.cat(pooled, -1))
        return logits

    def running(self, features: Tensor) -> Tensor:
        """The logits after each step, (B, T, D) -> (B, T, C), as `step` gives them."""
        projected = self.project(features)
        lengths = torch.full((len(features),), features.shape[1])
        pooled = [self.pool_hidden.running(self.hidden_states(projected, lengths))]
        pooled += [pool.running(projected) for pool in self.pool_around]  # type: ignore[operator]
        logits: Tensor = self.head(torch.cat(pooled, -1))
        return logits

    def project(self, features: Tensor) -> Tensor:
        """(..., D) -> (..., views * projection_size)."""
        parts = torch.split(features, self.view_dims, dim=-1)
        projected = [layer(part) for layer, part in zip(self.projections, parts, strict=True)]
        return torch.cat(projected, -1)

    def hidden_states(self, projected: Tensor, lengths: Tensor) -> Tensor:
        """(B, T, P) -> (B, T, H). Steps after a length hold nothing of use."""
        if self.cell is None:
            return projected
        if (
            not self.cell.bidirectional
        ):  # padding comes after every valid step: it cannot reach them
            hidden: Tensor = self.cell(projected)[0]
            return hidden
        packed = nn.utils.rnn.pack_padded_sequence(
            projected, lengths.cpu(), batch_first=True, enforce_sorted=False
        )
        padded, _ = nn.utils.rnn.pad_packed_sequence(
            self.cell(packed)[0], batch_first=True, total_length=projected.shape[1]
        )
        return padded

    def initial(self, batch_size: int) -> StreamState:
        """The state of B streams before their first frame."""
        device = next(self.parameters()).device
        hidden = projected = torch.zeros(batch_size, self.width, device=device)
        cell: tuple[Tensor, ...] = ()
        if self.cell is not None:
            layers, size = self.cell.num_layers, self.cell.hidden_size
            count = 2 if isinstance(self.cell, nn.LSTM) else 1
            cell = tuple(torch.zeros(layers, batch_size, size, device=device) for _ in range(count))
            hidden = cell[0][-1]
        around = tuple(pool.initial(projected) for pool in self.pool_around)  # type: ignore[operator]
        return StreamState(cell, self.pool_hidden.initial(hidden), around)

    def step(self, feature: Tensor, state: StreamState) -> tuple[Tensor, StreamState]:
        """feature (B, D), state of the frames before -> logits (B, C) so far, state to carry."""
        projected = self.project(feature)
        hidden, carried = projected, state.cell
        if self.cell is not None:
            before = state.cell if len(state.cell) > 1 else state.cell[0]
            output, after = self.cell(projected[:, None], before)
            hidden, carried = output[:, 0], after if isinstance(after, tuple) else (after,)
        pooled, hidden_state = self.pool_hidden.step(hidden, state.hidden)
        around = [
            pool.step(projected, before)  # type: ignore[operator]
            for pool, before in zip(self.pool_around, state.around, strict=True)
        ]
        logits = self.head(torch.cat([pooled, *(vector for vector, _ in around)], -1))
        return logits, StreamState(carried, hidden_state, tuple(after for _, after in around))


class LinearStream(nn.Module):
    """Linear in the mean and the maximum over time: (B, T, D), (B,) -> logits (B, C).

    Solved in closed form (`action_gru.training.linear`), never by gradient descent: of a few
    hundred clips it remembers less by heart than a cell does.
    """

    weight: Tensor
    bias: Tensor

    def __init__(self, dim: int, num_classes: int) -> None:
        super().__init__()
        self.dim = dim
        self.pools = nn.ModuleList(Pooling(kind, dim) for kind in ("mean", "max"))
        self.register_buffer("weight", torch.zeros(num_classes, 2 * dim))
        self.register_buffer("bias", torch.zeros(num_classes))

    def forward(self, features: Tensor, lengths: Tensor) -> Tensor:
        """features (B, T, D), lengths (B,) -> logits (B, C)."""
        return linear(self.pool(features, lengths), self.weight, self.bias)

    def running(self, features: Tensor) -> Tensor:
        """The logits after each step, (B, T, D) -> (B, T, C), as `step` gives them."""
        pooled = [pool.running(features) for pool in self.pools]  # type: ignore[operator]
        return linear(torch.cat(pooled, -1), self.weight, self.bias)

    def pool(self, features: Tensor, lengths: Tensor) -> Tensor:
        """(B, T, D), (B,) -> (B, 2 D): the mean over time beside the maximum."""
        return torch.cat([pool(features, lengths) for pool in self.pools], -1)

    def initial(self, batch_size: int) -> StreamState:
        """The state of B streams before their first frame."""
        start = torch.zeros(batch_size, self.dim, device=self.weight.device)
        mean, largest = (pool.initial(start) for pool in self.pools)  # type: ignore[operator]
        return StreamState((), mean, (largest,))

    def step(self, feature: Tensor, state: StreamState) -> tuple[Tensor, StreamState]:
        """feature (B, D), state of the frames before -> logits (B, C) so far, state to carry."""
        before = (state.hidden, *state.around)
        (mean, hidden), (largest, around) = (
            pool.step(feature, past)  # type: ignore[operator]
            for pool, past in zip(self.pools, before, strict=True)
        )
        logits = linear(torch.cat([mean, largest], -1), self.weight, self.bias)
        return logits, StreamState((), hidden, (around,))
