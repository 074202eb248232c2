"""The classifier: standardised views, the branches that read them, their average.

Reads (B, T, D) sequences of anything. Knows nothing of where they come from.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.functional import logsigmoid

from action_gru.core.errors import ConfigError
from action_gru.model.branch import LinearBranch, RecurrentBranch, State, StateTensor
from action_gru.model.standardising import StandardisedInput


def fuse(branch_logits: Tensor, shares: Tensor | None = None, many: bool = False) -> Tensor:
    """Logits whose softmax is the branches' probabilities, averaged: (B, S, C) -> (B, C).

    shares (S,): the weight of each branch, summing to 1; None weighs all alike. many: the sigmoid
    of the logits is that average, class by class.
    """
    if shares is None:
        shares = branch_logits.new_full((branch_logits.shape[1],), 1 / branch_logits.shape[1])
    weights = shares.log()[:, None]
    if not many:
        return (branch_logits.log_softmax(-1) + weights).logsumexp(1)
    shown = (logsigmoid(branch_logits) + weights).logsumexp(1)
    return shown - (logsigmoid(-branch_logits) + weights).logsumexp(1)


def pool_opinions(trained: Tensor, linear: Tensor, share: Tensor) -> Tensor:
    """Weighted average of log probabilities (Genest and Zidek 1986): (B, C), (B, C), () -> (B, C).

    Unlike an average of probabilities it lets an undecided opinion leave the choice to the other.
    """
    return (1 - share) * trained.log_softmax(-1) + share * linear.log_softmax(-1)


class ActionClassifier(StandardisedInput):
    """Class logits of (B, T, D) sequences, D = sum of view_dims.

    fusion late: each view has a branch of its own and their probabilities are averaged; early:
    one branch reads all views. normalisation, channel_views, flag_missing: see `StandardisedInput`.

    closed_form: adds a LinearBranch over all views, with a share in the answer of linear_share;
    until it is solved, that is 0. trend: it reads how each value goes over time, too; spread: of
    views by channel the minimum and the deviation over time. shares (S,) weighs the trained ones.

    many: a sequence may show several classes or none, and each has a probability of its own.
    instant: an answer is about its frame, in a video of any length: the head reads the newest
    hidden state beside the newest projections, and `forward` averages the probabilities over all
    frames.
    lookahead: of a model of instants, an answer is about the frame so many before the newest one.
    `step` and `advance` answer when that frame is read; `running` and `forward`, which hold all
    frames, put each answer at the frame it is about, and repeat the last frame for those at the
    end.

    ensemble: so many branches of each view or of all, which differ by their first weights.

    temperature: what `forward`, `running` and `step` divide the logits by; 1 until a calibration
    says better.
    """

    shares: Tensor
    linear_share: Tensor

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
        closed_form: bool = False,
        flag_missing: bool = False,
        channel_views: Sequence[int] = (),
        spread: bool = False,
        trend: bool = False,
        many: bool = False,
        instant: bool = False,
        lookahead: int = 0,
        ensemble: int = 1,
    ) -> None:
        super().__init__(view_dims, normalisation, channel_views, flag_missing)
        if many and closed_form:
            raise ConfigError("model.closed_form: does not go with data.labels=many")
        self.many = many
        self.num_classes, self.instant, self.lookahead = num_classes, instant, lookahead
        self.can_stream = not bidirectional
        self.temperature = 1.0
        groups = [[dim] for dim in self.read_dims] if fusion == "late" else [self.read_dims]
        self.group_dims = [sum(group) for group in groups]
        self.streams = nn.ModuleList(
            RecurrentBranch(
                group,
                num_classes,
                cell,
                projection_size,
                hidden_size,
                num_layers,
                bidirectional,
                "last" if instant else pooling,
                dropout,
                head_dropout,
                instant,
            )
            for group in groups * ensemble
        )
        self.linear: LinearBranch | None = None
        if closed_form:
            wide = [spread and not by_frame for by_frame in self.by_frame]
            self.linear = LinearBranch(self.read_dims, num_classes, wide, trend)
            self.register_buffer("shares", torch.full((len(self.streams),), 1 / len(self.streams)))
            self.register_buffer("linear_share", torch.zeros(()))
        self._counts = [len(branch.state()) for branch in self.branches()]

    def forward(self, features: Tensor, lengths: Tensor) -> Tensor:
        """features (B, T, D), lengths (B,) -> logits (B, C)."""
        if self.instant:
            return self._mean_answer(features, lengths)
        standard = self.standardise(features)
        logits = self.trained_logits(standard, lengths)
        if self.linear is None:
            return self.fuse(logits) / self.temperature
        answer = self._with_linear(logits, self.linear(standard, lengths))
        return answer / self.temperature

    def probabilities(self, logits: Tensor) -> Tensor:
        """(..., C) -> (..., C): softmax, or with many the sigmoid of each class by itself."""
        return logits.sigmoid() if self.many else logits.softmax(-1)

    def fuse(self, branch_logits: Tensor) -> Tensor:
        """Logits of the averaged probabilities of the trained branches: (B, S, C) -> (B, C)."""
        return fuse(branch_logits, many=self.many)

    def branch_logits(self, features: Tensor, lengths: Tensor) -> Tensor:
        """The logits of each trained branch by itself: (B, T, D), (B,) -> (B, S, C)."""
        return self.trained_logits(self.standardise(features), lengths)

    def running(self, features: Tensor) -> Tensor:
        """The logits about each step, as `step` gives them `lookahead` steps later: (B, T, D) ->
        (B, T, C).
        """
        held = features[:, -1:].expand(-1, self.lookahead, -1)
        standard = self.standardise(torch.cat([features, held], 1))
        stacked = self.trained_running(standard)[:, self.lookahead :]
        rows = stacked.flatten(0, 1)  # every step of every sequence as one batch
        logits = (
            self.fuse(rows)
            if self.linear is None
            else self._with_linear(rows, self.linear.running(standard).flatten(0, 1))
        )
        return logits.reshape(*features.shape[:2], self.num_classes) / self.temperature

    def advance(self, features: Tensor, state: State) -> tuple[Tensor, State]:
        """The logits after each step, from a carried state: (B, T, D) -> (B, T, C), the state to
        carry.

        Of a model of instants without a closed form: its pools carry nothing.
        """
        self._check_streams()
        rows, after = [], State()
        parts = self.parts(self.standardise(features))
        for branch, part, count in zip(self.branches(), parts, self._counts, strict=True):
            logits, carried = cast(RecurrentBranch, branch).advance(part, state[:count])
            rows.append(logits)
            after, state = after + carried, state[count:]
        fused = self.fuse(torch.stack(rows, 2).flatten(0, 1))
        return fused.reshape(*features.shape[:2], self.num_classes) / self.temperature, after

    def _mean_answer(self, features: Tensor, lengths: Tensor) -> Tensor:
        """Logits of the mean over the frames of their probabilities: (B, T, D), (B,) -> (B, C)."""
        steps = torch.arange(features.shape[1], device=features.device)
        ends = lengths.to(steps.device)[:, None]
        inside = (steps < ends)[..., None]
        if self.lookahead:  # what follows a sequence is its last frame, as `running` goes on
            last = steps.minimum(ends - 1)[..., None].expand_as(features)
            features = features.gather(1, last)
        shown = self.probabilities(self.running(features)) * inside
        mean = shown.sum(1) / inside.sum(1)
        return mean.logit(1e-6) if self.many else mean.clamp_min(1e-12).log()

    def trained_running(self, standard: Tensor) -> Tensor:
        """The logits after each step of each trained branch by itself, of standardised features:
        (B, T, D) -> (B, T, S, C).
        """
        self._check_streams()
        parts = self.parts(standard)
        pairs = zip(self.branches()[: len(parts)], parts, strict=True)
        return torch.stack([branch.running(part) for branch, part in pairs], 2)

    def trained_logits(self, standard: Tensor, lengths: Tensor) -> Tensor:
        """`branch_logits` of features that are standardised already."""
        pairs = zip(self.streams, self.parts(standard), strict=True)
        return torch.stack([branch(part, lengths) for branch, part in pairs], 1)

    def parts(self, standard: Tensor) -> list[Tensor]:
        """What each trained branch reads of standardised features (..., D)."""
        split = torch.split(standard, self.group_dims, dim=-1)
        return [*split] * (len(self.streams) // len(split))

    def _with_linear(self, branch_logits: Tensor, linear: Tensor) -> Tensor:
        """(B, S, C), (B, C) -> (B, C)."""
        return pool_opinions(fuse(branch_logits, self.shares), linear, self.linear_share)

    def branches(self) -> list[RecurrentBranch | LinearBranch]:
        """The trained ones, then the closed-form one where there is one."""
        trained = cast(list[RecurrentBranch], list(self.streams))
        return [*trained, *([] if self.linear is None else [self.linear])]

    def state(self) -> list[StateTensor]:
        """The tensors that `step` carries, in order: streamN_cellM or streamN_poolM_NAME each."""
        return [
            replace(tensor, name=f"stream{index}_{tensor.name}")
            for index, branch in enumerate(self.branches())
            for tensor in branch.state()
        ]

    def initial_state(self, batch_size: int) -> State:
        """The state of B streams before their first frame."""
        device = self.feature_mean.device
        return tuple(tensor.initial(batch_size, device) for tensor in self.state())

    def step(self, feature: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """One frame (B, D) and the state of those before -> logits (B, C) so far, state to carry.

        After T calls the logits equal `forward` on those T frames. Raises ConfigError for a
        bidirectional model, which needs the end of the clip.
        """
        self._check_streams()
        standard = self.standardise(feature)
        parts = [*self.parts(standard), standard]  # the last: linear
        state = self.initial_state(len(feature)) if state is None else state
        rows = []
        after: State = ()
        for branch, part, count in zip(self.branches(), parts, self._counts, strict=False):
            logits, carried = branch.step(part, state[:count])
            rows.append(logits)
            after, state = after + carried, state[count:]
        stacked, count = torch.stack(rows, 1), len(self.streams)
        if self.linear is None:
            return self.fuse(stacked) / self.temperature, after
        return self._with_linear(stacked[:, :count], stacked[:, count]) / self.temperature, after

    def _check_streams(self) -> None:
        if not self.can_stream:
            raise ConfigError(
                "model.bidirectional: a model that reads the clip backwards cannot run live; "
                "train one with model.bidirectional=false"
            )


class FlatStep(nn.Module):
    """`ActionClassifier.step` for other runtimes: (feature, *state) -> (logits, *state).

    Raises ConfigError for a bidirectional model.
    """

    def __init__(self, model: ActionClassifier) -> None:
        super().__init__()
        if not model.can_stream:
            raise ConfigError(
                "model.bidirectional: a model that reads the clip backwards has no one-step form "
                "and cannot be exported; train one with model.bidirectional=false"
            )
        self.model = model
        self.state = tuple(model.state())

    def forward(self, feature: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        """feature (B, D), the tensors of `state` -> logits (B, C), the tensors to carry."""
        logits, after = self.model.step(feature, state)
        return logits, *after
