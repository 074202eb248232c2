"""The sequence classifier: projections, a recurrent cell, pooling over time, a head.

Reads (B, T, D) sequences of anything: two concepts, a batch of sequences and this file, suffice to
change it. Every causal choice has two forms, `forward` over whole sequences and `step` over one
frame with carried state, which give the same logits.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import layer_norm

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
    """What one stream carries from frame to frame.

    cell: (), (h,) or (h, c), each (L, B, H). around: running mean and maximum of the projections.
    """

    cell: tuple[Tensor, ...]
    hidden: Pooled
    around: tuple[Pooled, ...]


State = tuple[StreamState, ...]


class Pooling(nn.Module):
    """One vector for a sequence: (B, T, H) -> (B, H).

    last: the newest step. max: the largest value of each unit. mean and attention: a weighted mean
    with weights exp(score); the score is 0, or learned and linear (Bahdanau et al. 2015, without a
    query). Their streaming form is the online softmax of Milakov and Gimelshein (2018), which
    never overflows.
    """

    def __init__(self, kind: str, size: int) -> None:
        super().__init__()
        self.kind = kind
        self.score = nn.Linear(size, 1) if kind == "attention" else None

    def forward(self, hidden: Tensor, lengths: Tensor) -> Tensor:
        """hidden (B, T, H), lengths (B,) -> (B, H). Steps after a length count for nothing."""
        if self.kind == "last":
            return hidden[torch.arange(len(hidden), device=hidden.device), lengths - 1]
        if self.kind == "max":
            return hidden.masked_fill(_beyond(hidden, lengths)[..., None], -torch.inf).amax(1)
        return (hidden * self.weights(hidden, lengths)[..., None]).sum(1)

    def weights(self, hidden: Tensor, lengths: Tensor) -> Tensor:
        """Share of each step in a weighted mean, (B, T), summing to 1 over the valid steps."""
        return self._scores(hidden).masked_fill(_beyond(hidden, lengths), -torch.inf).softmax(1)

    def step(self, hidden: Tensor, state: Pooled | None) -> tuple[Tensor, Pooled]:
        """Take in one step (B, H): the pooled vector so far (B, H), and the state to carry."""
        score = self._scores(hidden)[:, None]
        if state is None or self.kind == "last":
            return hidden, Pooled(hidden, torch.ones_like(score), score)
        if self.kind == "max":
            largest = torch.maximum(state.total, hidden)
            return largest, state._replace(total=largest)
        peak = torch.maximum(state.peak, score)
        kept, added = (state.peak - peak).exp(), (score - peak).exp()
        total, weight = state.total * kept + hidden * added, state.weight * kept + added
        return total / weight, Pooled(total, weight, peak)

    def _scores(self, hidden: Tensor) -> Tensor:
        if self.score is None:
            return hidden.new_zeros(hidden.shape[:-1])
        scores: Tensor = self.score(hidden).squeeze(-1)
        return scores


def _beyond(hidden: Tensor, lengths: Tensor) -> Tensor:
    """Which steps lie after the end of their sequence: (B, T, H), (B,) -> (B, T) bool."""
    return torch.arange(hidden.shape[1], device=hidden.device) >= lengths[:, None]


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
        pooled, hidden_state = self.pool_hidden.step(hidden, state.hidden if state else None)
        past = state.around if state else (None,) * len(self.pool_around)
        around = [
            pool.step(projected, before)  # type: ignore[operator]
            for pool, before in zip(self.pool_around, past, strict=True)
        ]
        logits = self.head(torch.cat([pooled, *(vector for vector, _ in around)], -1))
        return logits, StreamState(carried, hidden_state, tuple(after for _, after in around))


def fuse(stream_logits: Tensor) -> Tensor:
    """Logits whose softmax is the mean of the streams' probabilities: (B, S, C) -> (B, C)."""
    return stream_logits.log_softmax(-1).logsumexp(1) - math.log(stream_logits.shape[1])


class ActionClassifier(nn.Module):
    """Class logits of (B, T, D) sequences, D = sum of view_dims.

    fusion late: each view has a stream of its own and their probabilities are averaged; early:
    one stream reads all views. normalisation frame: each view's vector is layer-normalised (Ba et
    al. 2016) before the mean and one common scale of the training split are taken out; channel:
    each column is standardised by itself. The statistics travel with the weights.
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
        dropout: float = 0.3,
        head_dropout: float = 0.5,
        fusion: str = "late",
        normalisation: str = "frame",
    ) -> None:
        super().__init__()
        self.view_dims = list(view_dims)
        self.normalisation = normalisation
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
                head_dropout,
            )
            for group in groups
        )
        self.register_buffer("feature_mean", torch.zeros(sum(view_dims)))
        self.register_buffer("feature_scale", torch.ones(sum(view_dims)))

    def fit_statistics(self, features: Tensor, chunk: int = 65_536) -> None:
        """Take the mean and scale of the training features from now on. features (N, D)."""
        total = torch.zeros(features.shape[1], dtype=torch.float64)
        squares = torch.zeros_like(total)
        for low in range(0, len(features), chunk):
            part = self._normalise_frames(features[low : low + chunk].float()).double()
            total += part.sum(0)
            squares += part.square().sum(0)
        mean = total / len(features)
        variance = (squares / len(features) - mean.square()).clamp_min(0)
        if self.normalisation == "frame":
            parts = torch.split(variance, self.view_dims)
            variance = torch.cat([part.mean().expand_as(part) for part in parts])
        self.feature_mean.copy_(mean)
        deviation = variance.sqrt()
        # A feature that never moved in training says nothing: it is left out, not blown up.
        self.feature_scale.copy_(torch.where(deviation < 1e-5, 0.0, 1.0 / deviation))

    def forward(self, features: Tensor, lengths: Tensor) -> Tensor:
        """features (B, T, D), lengths (B,) -> logits (B, C)."""
        return fuse(self.stream_logits(features, lengths))

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
        logits = fuse(torch.stack([logits for logits, _ in outcomes], 1))
        return logits, tuple(carried for _, carried in outcomes)

    def _standardise(self, features: Tensor) -> Tensor:
        return (self._normalise_frames(features) - self.feature_mean) * self.feature_scale

    def _normalise_frames(self, features: Tensor) -> Tensor:
        """(..., D) -> (..., D): each view's vector to mean 0 and deviation 1, if so configured."""
        if self.normalisation != "frame":
            return features
        parts = torch.split(features, self.view_dims, dim=-1)
        return torch.cat([layer_norm(part, part.shape[-1:]) for part in parts], -1)
