"""An evaluation in one or two sentences for people. Takes figures as they are."""

from __future__ import annotations

import math

import numpy as np

from action_gru.phrases import name_or_count
from action_gru.report.metrics import Metrics

# A confusion is named if it is no slip: so many clips, and so large a share of the true class's.
NAMED_CLIPS, NAMED_SHARE = 2, 0.25
MOST_CONFUSIONS = 2


def closing_sentence(
    metrics: Metrics, interval: tuple[float, float] | None, beats_guessing: bool, clips: str
) -> str:
    """'Right on 5 of 7 new clips (37 to 94 %); punch looks like kick (2 of 3).'

    clips: what they are called, such as 'new clips'. Classes of which no clip was scored follow.
    """
    right = int(metrics.confusion_matrix.trace())
    text = f"Right on {right} of {metrics.clips} {clips} ({_bounds(interval)})"
    if not beats_guessing:
        text += ", which is not shown to be better than guessing"
    text += "".join(f"; {confusion}" for confusion in _confusions(metrics)) + "."
    absent = metrics.classes_without_clips
    if absent:
        whom = name_or_count(absent, len(metrics.classes))
        text += f" There is no clip of {whom} among them: the score says nothing of "
        text += "it." if len(absent) == 1 else "these."
    return text


def _bounds(interval: tuple[float, float] | None) -> str:
    """Rounded outwards, so that the words promise no more than the figures."""
    if interval is None:
        return "no interval: all are of one group"
    low, high = interval
    return f"{math.floor(100 * low)} to {math.ceil(100 * high)} %"


def _confusions(metrics: Metrics) -> list[str]:
    counts, classes = metrics.confusion_matrix, metrics.classes
    wrong = counts * ~np.eye(len(classes), dtype=bool)
    largest = np.argsort(-wrong, axis=None, kind="stable")[:MOST_CONFUSIONS]
    found = []
    for row, column in zip(*np.unravel_index(largest, wrong.shape), strict=True):
        count, support = int(wrong[row, column]), int(counts[row].sum())
        if count >= NAMED_CLIPS and count >= NAMED_SHARE * support:
            found.append(f"{classes[row]} looks like {classes[column]} ({count} of {support})")
    return found
