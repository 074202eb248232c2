"""The sequence classifier: projections, a recurrent cell, pooling over time, a head.

Reads (B, T, D) sequences of anything: two concepts, a batch of sequences and this file, suffice to
change it. Every causal choice has two forms, `forward` over whole sequences and `step` over one
frame with carried state, which give the same logits.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from action_gru.errors import ConfigError

CELLS: dict[str, type[nn.RNN] | type[nn.LSTM] | type[nn.GRU]] = {
    "rnn": nn.RNN,
    "lstm": nn.LSTM,
    "gru": nn.GRU,
}


class Pooled(NamedTuple):
    """A pooling's running state: weighted sum (B, H), sum of weights and top score (B, 1)."""

    total: Tensor
    weight: Tensor
    peak: Tensor


class StreamState(NamedTuple):
    """What one stream carries from frame to frame; cell is (), (h,) or (h, c), each (L, B, H)."""

    cell: tuple[Tensor, ...]
    hidden: Pooled
    projected: Pooled


State = tuple[StreamState, ...]


class Pooling(nn.Module):
    """Weighted mean over time, with weights exp(score): (B, T, H) -> (B, H).

    mean: score 0. attention: a learned linear score (Bahdanau et al. 2015, without a query).
    last: only the newest step. The streaming form is the online softmax of Milakov and
    Gimelshein (2018), so that it never overflows.
    """

    def __init__(self, kind: str, size: int) -> None:
        super().__init__()
        self.kind = kind
        self.score = nn.Linear(size, 1) if kind == "attention" else None

    def forward(self, hidden: Tensor, lengths: Tensor) -> Tensor:
        """hidden (B, T, H), lengths (B,) -> (B, H). Steps after a length count for nothing."""
        if self.kind == "last":
            return hidden[torch.arange(len(hidden), device=hidden.device), lengths - 1]
        return (hidden * self.weights(hidden, lengths)[..., None]).sum(1)

    def weights(self, hidden: Tensor, lengths: Tensor) -> Tensor:
        """Share of each step in the pooled vector, (B, T), summing to 1 over the valid steps."""
        steps = torch.arange(hidden.shape[1], device=hidden.device)
        scores = self._scores(hidden).masked_fill(steps >= lengths[:, None], -torch.inf)
        return scores.softmax(1)

    def step(self, hidden: Tensor, state: Pooled | None) -> tuple[Tensor, Pooled]:
        """Take in one step (B, H): the pooled vector so far (B, H), and the state to carry."""
        score = self._scores(hidden)[:, None]
        if state is None or self.kind == "last":
            return hidden, Pooled(hidden, torch.ones_like(score), score)
        peak = torch.maximum(state.peak, score)
        kept, added = (state.peak - peak).exp(), (score - peak).exp()
        total, weight = state.total * kept + hidden * added, state.weight * kept + added
        return total / weight, Pooled(total, weight, peak)

    def _scores(self, hidden: Tensor) -> Tensor:
        if self.score is None:
            return hidden.new_zeros(hidden.shape[:-1])
        scores: Tensor = self.score(hidden).squeeze(-1)
        return scores


class SequenceStream(nn.Module):
    """Some views, read by one cell: features (B, T, sum of view_dims) -> logits (B, C).

    Each view is projected, normalised and dropped out on its own, so that a wide or loud one does
    not drown another. The head reads the pooled hidden states beside the mean of the projections:
    where order says nothing, the way around the cell is there.
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
    ) -> None:
        super().__init__()
        self.view_dims = list(view_dims)
        self.projections = nn.ModuleList(
            nn.Sequential(
                nn.Dropout(dropout / 2),
                nn.Linear(dim, projection_size),
                nn.LayerNorm(projection_size),
                nn.GELU(),
                nn.Dropout(dropout),
            )
            for dim in view_dims
        )
        width = projection_size * len(view_dims)
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
        self.pool_projected = Pooling("mean", width)
        self.head = nn.Sequential(nn.Dropout(dropout), nn.Linear(hidden + width, num_classes))

    def forward(self, features: Tensor, lengths: Tensor) -> Tensor:
        """features (B, T, D), lengths (B,) -> logits (B, C)."""
        projected = self.project(features)
        pooled = self.pool_hidden(self.hidden_states(projected, lengths), lengths)
        around = self.pool_projected(projected, lengths)
        logits: Tensor = self.head(torch.cat([pooled, around], -1))
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

    def step(self, feature: Tensor, state: StreamState | None) -> tuple[Tensor, StreamState]:
        """feature (B, D), state of the frames before -> logits (B, C) so far, state to carry."""
        projected = self.project(feature)
        hidden, carried = projected, ()
        if self.cell is not None:
            before = state.cell if state else ()
            unwrapped = (before if len(before) > 1 else before[0]) if before else None
            output, after = self.cell(projected[:, None], unwrapped)
            hidden, carried = output[:, 0], after if isinstance(after, tuple) else (after,)
        pooled, hidden_state = self.pool_hidden.step(hidden, state and state.hidden)
        around, projected_state = self.pool_projected.step(projected, state and state.projected)
        logits = self.head(torch.cat([pooled, around], -1))
        return logits, StreamState(carried, hidden_state, projected_state)


class ActionClassifier(nn.Module):
    """Class logits of (B, T, D) sequences, D = sum of view_dims.

    fusion late: each view has a stream of its own and the logits are averaged; early: one stream
    reads all views. Features are standardised by the statistics of the training split, which
    travel with the weights.
    """

    feature_mean: Tensor
    feature_scale: Tensor

    def __init__(
        self,
        view_dims: Sequence[int],
        num_classes: int,
        cell: str = "gru",
        projection_size: int = 128,
        hidden_size: int = 128,
        num_layers: int = 1,
        bidirectional: bool = False,
        pooling: str = "attention",
        dropout: float = 0.5,
        fusion: str = "late",
    ) -> None:
        super().__init__()
        self.view_dims = tuple(view_dims)
        self.num_classes = num_classes
        self.can_stream = not bidirectional
        groups = [[dim] for dim in view_dims] if fusion == "late" else [list(view_dims)]
        self.group_dims = [sum(group) for group in groups]
        self.streams = nn.ModuleList(
            SequenceStream(
                group,
                num_classes,
                cell,
                projection_size,
                hidden_size,
                num_layers,
                bidirectional,
                pooling,
                dropout,
            )
            for group in groups
        )
        self.register_buffer("feature_mean", torch.zeros(sum(view_dims)))
        self.register_buffer("feature_scale", torch.ones(sum(view_dims)))

    def set_statistics(self, mean: Tensor, deviation: Tensor) -> None:
        """Standardise features by these from now on. mean, deviation (D,)."""
        self.feature_mean.copy_(mean)
        # A feature that never moved in training says nothing: it is kept near zero, not blown up.
        self.feature_scale.copy_(1.0 / deviation.clamp_min(1e-3))

    def forward(self, features: Tensor, lengths: Tensor) -> Tensor:
        """features (B, T, D), lengths (B,) -> logits (B, C)."""
        return self.stream_logits(features, lengths).mean(1)

    def stream_logits(self, features: Tensor, lengths: Tensor) -> Tensor:
        """The logits of each stream by itself: (B, T, D), (B,) -> (B, S, C)."""
        parts = torch.split(self._standardise(features), self.group_dims, dim=-1)
        return torch.stack(
            [stream(part, lengths) for stream, part in zip(self.streams, parts, strict=True)], 1
        )

    def step(self, feature: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """One frame (B, D) and the state of those before -> logits (B, C) so far, state to carry.

        After T calls the logits equal `forward` on those T frames. Raises ConfigError for a
        bidirectional model, which needs the end of the clip.
        """
        if not self.can_stream:
            raise ConfigError(
                "model.bidirectional: a model that reads the clip backwards cannot run live; "
                "train one with model.bidirectional=false"
            )
        parts = torch.split(self._standardise(feature), self.group_dims, dim=-1)
        before = state or (None,) * len(parts)
        outcomes = [
            stream.step(part, carried)  # type: ignore[operator]
            for stream, part, carried in zip(self.streams, parts, before, strict=True)
        ]
        logits = torch.stack([logits for logits, _ in outcomes], 1).mean(1)
        return logits, tuple(carried for _, carried in outcomes)

    def _standardise(self, features: Tensor) -> Tensor:
        return (features - self.feature_mean) * self.feature_scale
