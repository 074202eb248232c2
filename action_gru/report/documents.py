"""The text files of a report: Markdown, one HTML page, JSON. Knows nothing of models."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from html import escape as escape_html
from pathlib import Path
from typing import Any

from markdown_it import MarkdownIt

from action_gru.core.errors import ConfigError
from action_gru.core.files import write_or_raise
from action_gru.core.text import counted, name_some
from action_gru.report import metrics
from action_gru.report.metrics import ClassMetrics, IntArray, LabelMetrics

CONFUSIONS_SHOWN = 10
QUARANTINE_SHOWN = 10
SMALL_SUPPORT = 5
LEAKAGE_HINT = "**Leakage was allowed: see the notes.**"
LEAKAGE_NOTE = (
    "**Leakage was allowed**: training and test clips may share a group, so the score may say "
    "little about new videos."
)

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
@media (prefers-color-scheme: dark) { body { color: #ddd; background: #15181d; }
  th, td { border-color: #3a3f47; } img { background: #fff; } }
@media (max-width: 84rem) { table { font-size: 0.76rem; } th, td { padding: 0.2rem 0.35rem; } }
"""
# Nothing is loaded and nothing runs, whatever the file names hold.
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


def replace_file(path: Path, content: bytes) -> None:
    """Write beside the target, then move over it. Raises ConfigError when that fails."""
    failed, mend = "the report cannot be written", "name a folder you may write to"
    write_or_raise(path, content, ConfigError, failed, mend)


def json_text(values: Mapping[str, object]) -> str:
    """Strict JSON without NaN: one line a key, and one line an item of a list."""

    def block(value: object) -> str:
        items = value if isinstance(value, list) and value else [value]
        lines = [json.dumps(item, ensure_ascii=False, allow_nan=False) for item in items]
        return lines[0] if items is not value else "[\n  " + ",\n  ".join(lines) + "\n ]"

    body = ",\n".join(f" {json.dumps(key)}: {block(value)}" for key, value in values.items())
    return f"{{\n{body}\n}}\n"


def escape(text: str) -> str:
    """Escape Markdown in foreign text and put it on one line."""
    return re.sub(r"([\\`*_|<>\[\]#$~&])", r"\\\1", " ".join(text.split()))


def percent(share: float | None) -> str:
    """0.6831 -> 68.3%."""
    return NONE if share is None else f"{100 * share:.1f}%"


def figure_text(value: float | None, digits: int = 3) -> str:
    """0.12345 -> 0.123."""
    return NONE if value is None else f"{value:.{digits}f}"


def paragraphs(*parts: str) -> str:
    """The parts with a blank line between them; empty ones are left out."""
    return "\n\n".join(part for part in parts if part)


def picture(name: str, title: str = "") -> str:
    """The line that shows NAME.png."""
    return f"![{escape(title) or name}]({name}.png)"


def bullets(lines: Iterable[str]) -> str:
    """One list item a line; empty ones are left out."""
    return "\n".join(f"- {line}" for line in lines if line) or "None."


def table(header: Sequence[str], rows: Iterable[Sequence[object]], align: str = "l") -> str:
    """A Markdown table; align has one letter a column, l or r, and r where letters are missing."""
    rule = ["---:" if letter == "r" else "---" for letter in align.ljust(len(header), "r")]
    cells = [header, rule, *([escape(str(cell)) for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(row)} |" for row in cells)


def class_sections(
    confusion: IntArray, classes: Sequence[str], over: str = "", noun: str = "clip"
) -> tuple[str, str]:
    """The tables of the classes and of the largest confusions. confusion (C, C), rows are true.

    noun: what was counted.
    """
    per_class = metrics.per_class_metrics(confusion, classes)
    rows = [
        [row.label, row.support, percent(row.precision), percent(row.recall), percent(row.f1)]
        for row in per_class
    ]
    lines = []
    for count, row, column in metrics.largest_confusions(confusion)[:CONFUSIONS_SHOWN]:
        times, support = "once" if count == 1 else f"{count} times", per_class[row].support
        lines.append(
            f"**{escape(classes[row])}** was taken for **{escape(classes[column])}** {times}, of "
            f"{counted(support, noun)}."
        )
    return (
        f"## Classes{over}\n\n" + table(["class", f"{noun}s", "precision", "recall", "F1"], rows),
        f"## Most frequent confusions{over}\n\n" + bullets(lines),
    )


def data_notes(
    per_class: Sequence[ClassMetrics | LabelMetrics],
    clips: int,
    quarantined: Mapping[str, str],
    leakage_allowed: bool,
    figure: str = "top-1",
) -> list[str]:
    """Return what limits the figures: leakage, few clips, unread clips; '' where nothing does.

    figure: which one a clip moves. per_class: rows with a label and a support.
    """
    empty = [row.label for row in per_class if row.support == 0]
    scarce = [row.label for row in per_class if 0 < row.support < SMALL_SUPPORT]
    unread = [
        f"Not read, so not in the score: {escape(path)} ({escape(why)})"
        for path, why in quarantined.items()
    ]
    left_out = len(unread[QUARANTINE_SHOWN:])
    return [
        LEAKAGE_NOTE if leakage_allowed else "",
        f"Few clips: one clip more or less moves {figure} by {percent(1 / clips)}."
        if clips < 100
        else "",
        f"No clip, so left out of the class averages: {escape(name_some(empty))}." if empty else "",
        f"Fewer than {SMALL_SUPPORT} clips, so a rough figure: {escape(name_some(scarce))}."
        if scarce
        else "",
        *unread[:QUARANTINE_SHOWN],
        f"{left_out} more clips not read: see report.json." if left_out else "",
    ]


def html_page(markdown: str, title: str, folder: Path) -> str:
    """One HTML file that needs nothing else. folder: where the pictures are that it names.

    Raw HTML in the Markdown is shown as text, so a file name cannot become markup.
    """

    def embed(renderer: Any, tokens: Any, index: int, options: Any, env: Any) -> str:
        path = folder / tokens[index].attrs["src"]
        kind = "jpeg" if path.suffix == ".jpg" else "png"
        data = base64.b64encode(path.read_bytes()).decode()
        tokens[index].attrSet("src", f"data:image/{kind};base64,{data}")
        return str(renderer.image(tokens, index, options, env))

    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    parser.add_render_rule("image", embed)
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        '<meta name="viewport" content="width=device-width">\n'
        f"<title>{escape_html(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n"
        f"{parser.render(markdown)}</body>\n</html>\n"
    )
