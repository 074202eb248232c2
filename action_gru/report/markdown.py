"""Turns scores into Markdown, and Markdown into one HTML page. Knows nothing of models."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping, Sequence
from html import escape as escape_html
from pathlib import Path
from typing import Any

from markdown_it import MarkdownIt

from action_gru.core.text import name_some
from action_gru.report.metrics import ClassMetrics, IntArray, largest_confusions
from action_gru.report.statistics import Interval

CONFUSIONS_SHOWN = 10
QUARANTINE_SHOWN = 10
SMALL_SUPPORT = 5

NONE = "n/a"

BASELINE_NAMES = {
    "majority": "always the most frequent training class",
    "mean_pooled": "mean-pooled features, no recurrence",
}

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 84rem; margin: 2rem auto; padding: 0 1rem;
  color: #222; background: #fff; }
table { border-collapse: collapse; display: block; overflow-x: auto; font-size: 0.9rem; }
th, td { padding: 0.25rem 0.55rem; border-bottom: 1px solid #ddd; text-align: left;
  white-space: nowrap; }
th { white-space: normal; vertical-align: bottom; }
[style="text-align:right"] { font-variant-numeric: tabular-nums; }
img { max-width: 100%; height: auto; }
p, li { max-width: 52rem; }
p:has(img) { max-width: none; }
@media (max-width: 84rem) { table { font-size: 0.76rem; } th, td { padding: 0.2rem 0.35rem; } }
"""
# Nothing is loaded and nothing runs, whatever the file names hold.
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


def escape(text: str) -> str:
    """Escape Markdown in foreign text and put it on one line."""
    return re.sub(r"([\\`*_|<>\[\]#$~&])", r"\\\1", " ".join(text.split()))


def percent(share: float | None) -> str:
    """0.6831 -> 68.3%."""
    return NONE if share is None else f"{100 * share:.1f}%"


def figure_text(value: float | None, digits: int = 3) -> str:
    """0.12345 -> 0.123."""
    return NONE if value is None else f"{value:.{digits}f}"


def bullets(lines: Sequence[str]) -> str:
    """One list item a line."""
    return "\n".join(f"- {line}" for line in lines) if lines else "None."


def table(header: Sequence[str], rows: Sequence[Sequence[str]], align: str) -> str:
    """A Markdown table; align has one letter a column, l or r."""
    rule = ["---:" if letter == "r" else "---" for letter in align]
    cells = [list(header), rule, *([escape(cell) for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(row)} |" for row in cells)


def baseline_name(name: str) -> str:
    """A baseline's key in words."""
    return BASELINE_NAMES.get(name, name)


def score_table(
    top1: float,
    interval: Interval | None,
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


def _verdict(top1: float, interval: Interval | None, name: str, score: float | None) -> str:
    if score is None:
        return ""
    if top1 <= score:
        return f"**No better than the baseline** “{baseline_name(name)}”."
    if interval and interval[0] <= score:
        return f"The lead over “{baseline_name(name)}” is within the interval: it may be chance."
    return ""


def class_table(per_class: Sequence[ClassMetrics]) -> str:
    """One row a class, in the order of the class list."""
    rows = [
        [row.label, str(row.support), percent(row.precision), percent(row.recall), percent(row.f1)]
        for row in per_class
    ]
    return table(["class", "clips", "precision", "recall", "F1"], rows, align="lrrrr")


def confusions(confusion: IntArray, classes: Sequence[str]) -> str:
    """The largest cells off the diagonal, in words. confusion (C, C), rows are true."""
    lines = []
    for count, row, column in largest_confusions(confusion)[:CONFUSIONS_SHOWN]:
        times, support = "once" if count == 1 else f"{count} times", int(confusion[row].sum())
        lines.append(
            f"**{escape(classes[row])}** was taken for **{escape(classes[column])}** {times}, of "
            f"{support} clip{'s' * (support != 1)}."
        )
    return bullets(lines)


def data_notes(
    per_class: Sequence[ClassMetrics],
    clips: int,
    quarantined: Mapping[str, str],
    leakage_allowed: bool,
) -> list[str]:
    """Return what limits the figures: leakage, few clips, unread clips."""
    notes = []
    if leakage_allowed:
        notes.append(
            "**Leakage was allowed**: training and test clips may share a group, "
            "so the score may say little about new videos."
        )
    if clips < 100:
        notes.append(f"Few clips: one clip more or less moves top-1 by {percent(1 / clips)}.")
    empty = [row.label for row in per_class if row.support == 0]
    scarce = [row.label for row in per_class if 0 < row.support < SMALL_SUPPORT]
    if empty:
        notes.append(f"No clip, so left out of the class averages: {escape(name_some(empty))}.")
    if scarce:
        names = escape(name_some(scarce))
        notes.append(f"Fewer than {SMALL_SUPPORT} clips, so a rough figure: {names}.")
    shown = list(quarantined.items())[:QUARANTINE_SHOWN]
    notes += [
        f"Not read, so not in the score: {escape(path)} ({escape(why)})" for path, why in shown
    ]
    if len(quarantined) > len(shown):
        notes.append(f"{len(quarantined) - len(shown)} more clips not read: see report.json.")
    return notes


def html_page(markdown: str, title: str, folder: Path) -> str:
    """One HTML file that needs nothing else. folder: where the pictures are that it names.

    Raw HTML in the Markdown is shown as text, so a file name cannot become markup.
    """

    def picture(renderer: Any, tokens: Any, index: int, options: Any, env: Any) -> str:
        data = base64.b64encode((folder / tokens[index].attrs["src"]).read_bytes()).decode()
        tokens[index].attrSet("src", f"data:image/png;base64,{data}")
        return str(renderer.image(tokens, index, options, env))

    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    parser.add_render_rule("image", picture)
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        '<meta name="viewport" content="width=device-width">\n'
        f"<title>{escape_html(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n"
        f"{parser.render(markdown)}</body>\n</html>\n"
    )
