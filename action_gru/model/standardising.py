"""What a model takes out of its input before it reads it: the statistics of the training split."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import layer_norm


class StandardisedInput(nn.Module):
    """Views side by side, (..., D) with D = sum of view_dims, by the training split's statistics.

    normalisation frame: each view's vector is layer-normalised (Ba et al. 2016) before the mean and
    one common scale of the training split are taken out; channel: each column is standardised by
    itself, and a missing value (NaN) reads as the column's mean. channel_views: the numbers of
    views that are standardised by channel in any case. flag_missing: beside each column stands
    whether it is missing. The statistics travel with the weights.

    read_dims: the columns of each view that `standardise` gives, by_frame: how each is normalised.
    """

    feature_mean: Tensor
    feature_scale: Tensor

    def __init__(
        self,
        view_dims: Sequence[int],
        normalisation: str,
        channel_views: Sequence[int],
        flag_missing: bool,
    ) -> None:
        super().__init__()
        self.view_dims, self.flag_missing = list(view_dims), flag_missing
        self.read_dims = [dim * (1 + flag_missing) for dim in view_dims]
        views = range(len(view_dims))
        self.by_frame = [normalisation == "frame" and x not in channel_views for x in views]
        self.register_buffer("feature_mean", torch.zeros(sum(view_dims)))
        self.register_buffer("feature_scale", torch.ones(sum(view_dims)))

    def fit_statistics(self, features: Tensor, chunk: int = 256) -> None:
        """Take the mean and scale of the training features from now on. features (N, D).

        A missing value counts for nothing; a column without any value is left out.
        """
        total = torch.zeros(features.shape[1], dtype=torch.float64)
        squares, count = torch.zeros_like(total), torch.zeros_like(total)
        # Sums of squares around a first guess of the mean: a column may be far from zero.
        guess = self._normalise_frames(features[:chunk].float()).nanmean(0).nan_to_num()
        for low in range(0, len(features), chunk):  # small enough for the processor's own memory
            part = self._normalise_frames(features[low : low + chunk].float()) - guess
            if all(self.by_frame):  # nothing is missing
                count += len(part)
            else:
                known = ~part.isnan()
                part = part.where(known, 0.0)
                count += known.sum(0)
            total += part.sum(0)
            squares += part.square_().sum(0)
        count.clamp_min_(1)
        variance = (squares / count - (total / count).square()).clamp_min(0)
        mean = total / count + guess
        parts = zip(torch.split(variance, self.view_dims), self.by_frame, strict=True)
        variance = torch.cat([x.mean().expand_as(x) if frame else x for x, frame in parts])
        self.feature_mean.copy_(mean)
        deviation = variance.sqrt()
        # A feature that never moved in training says nothing: it is left out, not blown up. What
        # rounding to float32 makes of a large constant is no movement.
        still = deviation <= (1e-6 * mean.abs()).maximum(self._still_below())
        self.feature_scale.copy_(torch.where(still, 0.0, 1.0 / deviation))

    def _still_below(self) -> Tensor:
        """Which deviation of a column is none: (D,).

        Layer-normalised embeddings are near one; a measured quantity may be small by its unit.
        """
        pairs = zip(self.view_dims, self.by_frame, strict=True)
        return torch.cat([torch.full((dim,), 1e-5 if frame else 1e-12) for dim, frame in pairs])

    def standardise(self, features: Tensor) -> Tensor:
        """(..., D) -> (..., sum of read_dims): as the branches read them, by the training data's
        statistics.
        """
        standard = (self._normalise_frames(features) - self.feature_mean) * self.feature_scale
        if all(self.by_frame):
            return standard
        missing = features.isnan()
        standard = standard.masked_fill(missing, 0.0)
        if not self.flag_missing:
            return standard
        flags = missing.to(standard.dtype)
        parts = zip(*(torch.split(x, self.view_dims, -1) for x in (standard, flags)), strict=True)
        return torch.cat([side for pair in parts for side in pair], -1)

    def _normalise_frames(self, features: Tensor) -> Tensor:
        """(..., D) -> (..., D): each view's vector to mean 0 and deviation 1, if so configured."""
        if not any(self.by_frame):
            return features
        parts = zip(torch.split(features, self.view_dims, dim=-1), self.by_frame, strict=True)
        return torch.cat([layer_norm(x, x.shape[-1:]) if frame else x for x, frame in parts], -1)
