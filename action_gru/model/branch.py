"""A branch of the classifier: a recurrent cell with its projections and head, or a linear one.

Each has two forms, `forward` over whole sequences and `step` over one frame with carried state,
which give the same logits. Knows nothing of how several are averaged.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from action_gru.model.cells import CELLS
from action_gru.model.packing import Dropout, Rows
from action_gru.model.pooling import TREND, LastPooling, pooling_module
from action_gru.model.recurrence import build_cell, run_packed

State = tuple[Tensor, ...]


@dataclass(frozen=True)
class StateTensor:
    """One tensor of the state. shape: without the batch, which is the last axis but one.

    start: what every element is before the first frame; minus infinity for a running maximum.
    """

    name: str
    shape: tuple[int, ...]
    start: float

    @property
    def batch_axis(self) -> int:
        return len(self.shape) - 1

    def initial(self, batch_size: int, device: torch.device) -> Tensor:
        """Before the first frame of B streams."""
        shape = (*self.shape[:-1], batch_size, self.shape[-1])
        return torch.full(shape, self.start, device=device)

    def to_json(self) -> dict[str, Any]:
        """JSON has no infinity: start is the text '-inf' then, which float() reads."""
        start = self.start if self.start > float("-inf") else "-inf"
        return {
            "name": self.name,
            "shape": list(self.shape),
            "batch_axis": self.batch_axis,
            "start": start,
        }


class _Branch(nn.Module):
    """Pools of one or more sequences, and the state of each."""

    def pools(self) -> Sequence[LastPooling]:
        raise NotImplementedError

    def state(self) -> list[StateTensor]:
        """The tensors that `step` carries, in order."""
        return [
            StateTensor(f"pool{place}_{name}", (width,), start)
            for place, pool in enumerate(self.pools())
            for name, (width, start) in pool.start.items()
        ]

    def _step_pools(self, rows: Sequence[Tensor], state: State) -> tuple[Tensor, State]:
        """One step (B, H) for each pool -> what they hold side by side, the state to carry."""
        vectors: list[Tensor] = []
        after: State = ()
        for pool, row in zip(self.pools(), rows, strict=True):
            own, state = state[: len(pool.start)], state[len(pool.start) :]
            vector, carried = pool.step(row, own)
            vectors.append(vector)
            after += carried
        return torch.cat(vectors, -1), after


class RecurrentBranch(_Branch):
    """Some views, read by one cell: features (B, T, sum of view_dims) -> logits (B, C).

    Each view is projected, normalised and dropped out on its own, so that a wide or loud one does
    not drown another. The head reads the pooled hidden states beside the mean and the maximum of
    the projections: a path around the cell for data in which order does not matter. Without a cell
    the head reads the pooled projections alone. instant: it reads the newest projections instead,
    because over hours a mean freezes and a maximum only grows.
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
        instant: bool = False,
    ) -> None:
        super().__init__()
        self.view_dims = list(view_dims)
        self.projections = nn.ModuleList(
            nn.Sequential(
                nn.Linear(dim, projection_size),
                nn.LayerNorm(projection_size),
                nn.GELU(),
                Dropout(dropout),
            )
            for dim in view_dims
        )
        width = projection_size * len(view_dims)
        self.cell_name, self.cell = cell, None
        if cell != "none":
            self.cell = build_cell(cell, width, hidden_size, num_layers, bidirectional, dropout)
        hidden = width if self.cell is None else hidden_size * (1 + bidirectional)
        self.pool_hidden = pooling_module(pooling, hidden)
        around = ["last"] if instant else ["mean", "max"]
        around = [] if self.cell is None else around
        self.pool_around = nn.ModuleList(pooling_module(kind, width) for kind in around)
        pooled = hidden + width * len(around)
        self.head = nn.Sequential(Dropout(head_dropout), nn.Linear(pooled, num_classes))

    def pools(self) -> Sequence[LastPooling]:
        return cast(Sequence[LastPooling], [self.pool_hidden, *self.pool_around])

    def state(self) -> list[StateTensor]:
        """The cell's own tensors, then those of the pools."""
        if self.cell is None:
            return super().state()
        shape, names = (self.cell.num_layers, self.cell.hidden_size), CELLS[self.cell_name].state
        cells = [StateTensor(f"cell{number}", shape, 0.0) for number in range(len(names))]
        return cells + super().state()

    def forward(self, features: Tensor, lengths: Tensor) -> Tensor:
        """features (B, T, D), lengths (B,) -> logits (B, C)."""
        # A GPU counts padding sooner than it sorts.
        if self.training and features.device.type == "cpu" and self._reads_packed:
            projected, hidden = self._packed_states(features, lengths)
        else:
            projected = self.project(features)
            hidden = self.hidden_states(projected, lengths)
        pooled = [self.pool_hidden(hidden, lengths)]
        pooled += [pool(projected, lengths) for pool in self.pool_around]
        logits: Tensor = self.head(torch.cat(pooled, -1))
        return logits

    def _packed_states(self, features: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """`project` and `hidden_states` of the valid steps alone: the padding, a quarter of a batch
        and more, costs no products.
        """
        rows = Rows.of(lengths, features.shape[1])
        parts = torch.split(rows.pack(features), self.view_dims, dim=-1)
        projected = torch.cat(
            [
                cast(Dropout, layer[3])(layer[:3](part), rows)
                for layer, part in zip(cast(list[Any], self.projections), parts, strict=True)
            ],
            -1,
        )
        padded = rows.pad(projected)
        if self.cell is None:
            return padded, padded
        return padded, rows.pad(run_packed(self.cell, projected, rows.sizes))

    @property
    def _reads_packed(self) -> bool:
        """Cells of torch.nn do, or there is none; ours would sort once more."""
        return self.cell is None or isinstance(self.cell, nn.RNNBase)

    def advance(self, features: Tensor, state: State) -> tuple[Tensor, State]:
        """Like `running`, from a carried state: (B, T, D) -> (B, T, C), the state to carry.

        Of a branch whose pools carry nothing.
        """
        projected = self.project(features)
        hidden, carried = self._recur(projected, state)
        rows = [hidden] + [projected] * len(self.pool_around)
        return self.head(torch.cat(rows, -1)), carried

    def running(self, features: Tensor) -> Tensor:
        """The logits after each step, (B, T, D) -> (B, T, C), as `step` gives them."""
        projected = self.project(features)
        lengths = torch.full((len(features),), features.shape[1])
        first, *others = self.pools()
        pooled = [first.running(self.hidden_states(projected, lengths))]
        pooled += [pool.running(projected) for pool in others]
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
        if not self.cell.bidirectional:
            # Padding comes after every valid step: it cannot reach them.
            hidden: Tensor = self.cell(projected)[0]
            return hidden
        packed = nn.utils.rnn.pack_padded_sequence(
            projected, lengths.cpu(), batch_first=True, enforce_sorted=False
        )
        padded, _ = nn.utils.rnn.pad_packed_sequence(
            self.cell(packed)[0], batch_first=True, total_length=projected.shape[1]
        )
        return padded

    def step(self, feature: Tensor, state: State) -> tuple[Tensor, State]:
        """feature (B, D), state of the frames before -> logits (B, C) so far, state to carry."""
        projected = self.project(feature)
        hidden, carried = self._recur(projected[:, None], state)
        rows = [hidden[:, 0]] + [projected] * len(self.pool_around)
        pooled, after = self._step_pools(rows, state[len(carried) :])
        logits: Tensor = self.head(pooled)
        return logits, carried + after

    def _recur(self, projected: Tensor, state: State) -> tuple[Tensor, State]:
        """(B, T, P) and the state, of which the cell's tensors come first -> (B, T, H), the cell's
        state to carry.
        """
        if self.cell is None:
            return projected, ()
        count = len(CELLS[self.cell_name].state)
        hidden, after = self.cell(projected, state[:count] if count > 1 else state[0])
        return hidden, after if count > 1 else (after,)


class LinearBranch(_Branch):
    """Linear in what pools hold after each step: (B, T, D), (B,) -> logits (B, C).

    Mean and maximum over time of each view; with trend also how it goes over time, of views with
    spread also the minimum and the deviation. Solved in closed form
    (`action_gru.training.linear`), never by gradient descent: of a few hundred clips it remembers
    less by heart than a cell does.
    """

    weight: Tensor
    bias: Tensor
    spread_columns: Tensor

    def __init__(
        self,
        view_dims: Sequence[int],
        num_classes: int,
        spread: Sequence[bool],
        trend: bool = False,
    ) -> None:
        super().__init__()
        self._moments = TREND if trend else 1
        self._view_dims, self._spread = list(view_dims), list(spread)
        dim = sum(view_dims)
        is_wide = [
            wide for wide, width in zip(spread, view_dims, strict=True) for _ in range(width)
        ]
        # Not by torch.cat: without memory ("meta") it imports torch's compiler, a second of it.
        columns = torch.tensor([x for x in range(dim) if is_wide[x]], dtype=torch.long)
        self.register_buffer("spread_columns", columns, persistent=False)
        self._pools = [pooling_module(kind, dim) for kind in ("trend" if trend else "mean", "max")]
        if self.has_spread:
            self._pools += [pooling_module(kind, len(columns)) for kind in ("max", "mean")]
        width = (self._moments + 1) * dim + 2 * len(columns)
        self.register_buffer("weight", torch.zeros(num_classes, width))
        self.register_buffer("bias", torch.zeros(num_classes))

    @property
    def has_spread(self) -> bool:
        return any(self._spread)

    def pools(self) -> Sequence[LastPooling]:
        return self._pools

    def forward(self, features: Tensor, lengths: Tensor) -> Tensor:
        """features (B, T, D), lengths (B,) -> logits (B, C)."""
        return linear(self.pool(features, lengths), self.weight, self.bias)

    def running(self, features: Tensor) -> Tensor:
        """The logits after each step, (B, T, D) -> (B, T, C), as `step` gives them."""
        rows = zip(self._pools, self._inputs(features), strict=True)
        pooled = torch.cat([pool.running(row) for pool, row in rows], -1)
        return linear(self._describe(pooled), self.weight, self.bias)

    def pool(self, features: Tensor, lengths: Tensor) -> Tensor:
        """(B, T, D), (B,) -> the descriptor (B, P) of each sequence."""
        rows = zip(self._pools, self._inputs(features), strict=True)
        return self._describe(torch.cat([pool(row, lengths) for pool, row in rows], -1))

    def step(self, feature: Tensor, state: State) -> tuple[Tensor, State]:
        """feature (B, D), state of the frames before -> logits (B, C) so far, state to carry."""
        pooled, after = self._step_pools(self._inputs(feature), state)
        return linear(self._describe(pooled), self.weight, self.bias), after

    def view_columns(self) -> list[list[Tensor]]:
        """For each view the columns of a descriptor of all that it may be read by, fewest first:
        those without its trend, and all of them.
        """
        dim, count, columns = sum(self._view_dims), self._moments + 1, []
        low = count * dim
        for own, is_wide in zip(self._by_view(), self._spread, strict=True):
            wide = []
            if is_wide:
                first = torch.arange(low, low + len(own))
                wide = [first, first + len(self.spread_columns)]
                low += len(own)
            choices = [(0, count - 1), range(count)] if self._moments > 1 else [range(count)]
            columns.append(
                [torch.cat([*(own + place * dim for place in some), *wide]) for some in choices]
            )
        return columns

    def _by_view(self) -> list[Tensor]:
        """The columns of each view in a step."""
        columns = iter(range(sum(self._view_dims)))
        return [torch.tensor([next(columns) for _ in range(dim)]) for dim in self._view_dims]

    def _inputs(self, features: Tensor) -> list[Tensor]:
        """What each pool reads of (..., D)."""
        if not self.has_spread:
            return [features, features]
        wide = features[..., self.spread_columns]
        return [features, features, -wide, wide.square()]

    def _describe(self, pooled: Tensor) -> Tensor:
        """What the pools hold, (..., P) -> mean, trend, maximum, minimum, deviation."""
        if not self.has_spread:
            return pooled
        dim, count = sum(self._view_dims), len(self.spread_columns)
        parts = [self._moments * dim, dim, count, count]
        moments, largest, negated, squares = torch.split(pooled, parts, -1)
        variance = squares - moments[..., self.spread_columns].square()  # the means come first
        # Rounding may leave a constant with a variance a little below zero.
        return torch.cat([moments, largest, -negated, variance.clamp_min(1e-12).sqrt()], -1)
