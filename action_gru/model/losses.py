"""The losses a classifier is trained by, each a function and an entry in `LOSSES`.

A loss gets logits (N, C), classes (N,), the weight of each class (C,) or None, and the share of
each target that is spread over all classes. It returns the mean over the answers, weighted by
their classes, as a scalar. Imports torch inside the functions, so that a config is checked without
it.

With several labels at once (`data.labels: many`) the same name in `BINARY_LOSSES` gets targets
(N, C), 0 or 1, and how much more a class counts where it is shown, (C,) or None; the smoothing
draws each target towards 1/2. It returns the mean over answers and classes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    Loss = Callable[[Tensor, Tensor, Tensor | None, float], Tensor]

FOCUS = 2.0  # gamma; the value that Lin et al. found best


def _cross_entropy(
    logits: Tensor, labels: Tensor, weights: Tensor | None, smoothing: float
) -> Tensor:
    from torch.nn.functional import cross_entropy

    return cross_entropy(logits, labels, weights, label_smoothing=smoothing)


def _focal(logits: Tensor, labels: Tensor, weights: Tensor | None, smoothing: float) -> Tensor:
    """Lin et al. 2017 (arXiv 1708.02002), equation 4: easy answers count for little."""
    from torch.nn.functional import cross_entropy

    losses = cross_entropy(logits, labels, reduction="none", label_smoothing=smoothing)
    likely = logits.softmax(-1).gather(1, labels[:, None]).squeeze(1)
    share = (1 - likely) ** FOCUS
    each = logits.new_ones(len(labels)) if weights is None else weights[labels]
    return (each * share * losses).sum() / each.sum()


LOSSES: dict[str, Loss] = {"cross_entropy": _cross_entropy, "focal": _focal}


def _binary_cross_entropy(
    logits: Tensor, labels: Tensor, weights: Tensor | None, smoothing: float
) -> Tensor:
    from torch.nn.functional import binary_cross_entropy_with_logits

    targets = _smoothed(labels, logits, smoothing)
    return binary_cross_entropy_with_logits(logits, targets, pos_weight=weights)


def _binary_focal(
    logits: Tensor, labels: Tensor, weights: Tensor | None, smoothing: float
) -> Tensor:
    """Lin et al. 2017, equation 4, as they state it: for two classes."""
    from torch.nn.functional import binary_cross_entropy_with_logits

    losses = binary_cross_entropy_with_logits(
        logits, _smoothed(labels, logits, smoothing), pos_weight=weights, reduction="none"
    )
    likely = (logits * (2 * labels - 1)).sigmoid()
    return ((1 - likely) ** FOCUS * losses).mean()


def _smoothed(labels: Tensor, logits: Tensor, smoothing: float) -> Tensor:
    return labels.to(logits.dtype) * (1 - smoothing) + smoothing / 2


BINARY_LOSSES: dict[str, Loss] = {"cross_entropy": _binary_cross_entropy, "focal": _binary_focal}
