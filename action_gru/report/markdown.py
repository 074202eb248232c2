"""Turns scores into readable Markdown. Knows nothing of files and takes no decision."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from action_gru.phrases import name_some
from action_gru.report.metrics import ClassMetrics, IntArray

CONFUSIONS_SHOWN = 10
QUARANTINE_SHOWN = 10
SMALL_SUPPORT = 5

NONE = "n/a"

BASELINE_NAMES = {
    "majority": "always the most frequent training class",
    "mean_pooled": "mean-pooled features, no recurrence",
}


def escape(text: str) -> str:
    """Show foreign text as it is: one line, no Markdown in it."""
    return re.sub(r"([\\`*_|<>\[\]#$~])", r"\\\1", " ".join(text.split()))


def percent(share: float | None) -> str:
    """0.6831 -> 68.3%."""
    return NONE if share is None else f"{100 * share:.1f}%"


def bullets(lines: Sequence[str]) -> str:
    """One list item a line."""
    return "\n".join(f"- {line}" for line in lines) if lines else "None."


def table(header: Sequence[str], rows: Sequence[Sequence[str]], align: str) -> str:
    """A Markdown table; align has one letter a column, l or r."""
    rule = ["---:" if letter == "r" else "---" for letter in align]
    cells = [list(header), rule, *([escape(cell) for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(row)} |" for row in cells)


def score_table(
    top1: float,
    interval: tuple[float, float] | None,
    baselines: Mapping[str, float | None],
    notes: Mapping[str, str],
) -> str:
    """The score, its interval and its baselines, and what the comparison says."""
    bounds = f"{percent(interval[0])} to {percent(interval[1])}" if interval else NONE
    rows = [["this model", percent(top1), bounds, ""]]
    rows += [
        [baseline_name(name), percent(score), "", notes.get(name, "")]
        for name, score in baselines.items()
    ]
    lines = [table(["", "top-1", "95% interval", "note"], rows, align="lrrl")]
    lines += [_verdict(top1, interval, name, score) for name, score in baselines.items()]
    return "\n\n".join(line for line in lines if line)


def baseline_name(name: str) -> str:
    """A baseline's key in words."""
    return BASELINE_NAMES.get(name, name)


def class_table(per_class: Sequence[ClassMetrics]) -> str:
    """One row a class, in the order of the class list."""
    rows = [
        [row.label, str(row.support), percent(row.precision), percent(row.recall), percent(row.f1)]
        for row in per_class
    ]
    return table(["class", "clips", "precision", "recall", "F1"], rows, align="lrrrr")


def confusions(confusion: IntArray, classes: Sequence[str]) -> str:
    """The largest cells off the diagonal, in words. confusion (C, C), rows are true."""
    wrong = [
        (int(count), row, column)
        for (row, column), count in _cells(confusion)
        if row != column and count
    ]
    wrong.sort(key=lambda cell: (-cell[0], cell[1], cell[2]))
    lines = [
        f"**{escape(classes[row])}** was taken for **{escape(classes[column])}** "
        f"{_times(count)}, of {_clips(int(confusion[row].sum()))}."
        for count, row, column in wrong[:CONFUSIONS_SHOWN]
    ]
    return bullets(lines)


def data_notes(
    per_class: Sequence[ClassMetrics],
    clips: int,
    quarantined: Mapping[str, str],
    leakage_allowed: bool,
) -> list[str]:
    """What a reader must know before believing the figures."""
    notes = []
    if leakage_allowed:
        notes.append(
            "**Leakage was allowed**: training and test clips may share a group, "
            "so the score may say little about new videos."
        )
    if clips < 100:
        notes.append(f"Few clips: one clip more or less moves top-1 by {percent(1 / clips)}.")
    notes += _support_notes(per_class)
    shown = list(quarantined.items())[:QUARANTINE_SHOWN]
    notes += [
        f"Not read, so not in the score: {escape(path)} ({escape(why)})" for path, why in shown
    ]
    if len(quarantined) > len(shown):
        notes.append(f"{len(quarantined) - len(shown)} more clips not read: see report.json.")
    return notes


def _support_notes(per_class: Sequence[ClassMetrics]) -> list[str]:
    empty = [row.label for row in per_class if row.support == 0]
    scarce = [row.label for row in per_class if 0 < row.support < SMALL_SUPPORT]
    notes = []
    if empty:
        notes.append(f"No clip, so left out of the class averages: {escape(name_some(empty))}.")
    if scarce:
        names = escape(name_some(scarce))
        notes.append(f"Fewer than {SMALL_SUPPORT} clips, so a rough figure: {names}.")
    return notes


def _verdict(
    top1: float, interval: tuple[float, float] | None, name: str, score: float | None
) -> str:
    if score is None:
        return ""
    if top1 <= score:
        return f"**No better than the baseline** “{baseline_name(name)}”."
    if interval and interval[0] <= score:
        return f"The lead over “{baseline_name(name)}” is within the interval: it may be chance."
    return ""


def _cells(confusion: IntArray) -> list[tuple[tuple[int, int], int]]:
    return [
        ((row, column), int(count))
        for row, counts in enumerate(confusion)
        for column, count in enumerate(counts)
    ]


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def _clips(count: int) -> str:
    return "1 clip" if count == 1 else f"{count} clips"
