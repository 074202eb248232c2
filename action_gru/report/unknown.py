"""How well scores tell known classes from an unknown one. Knows nothing of models."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from statistics import fmean

from action_gru.report.confidence import known_unknown_auroc
from action_gru.report.files import json_text, replace_file
from action_gru.report.markdown import NONE, escape, table


@dataclass(frozen=True)
class ClassLeftOut:
    """Top scores of held-out clips, by models that never saw the class."""

    label: str
    known: tuple[float, ...]  # clips of the classes that the models know
    unknown: tuple[float, ...]  # clips of the class

    @cached_property
    def auroc(self) -> float | None:
        """How often a known clip scores above an unknown one; 0.5 is chance."""
        return known_unknown_auroc(self.known, self.unknown)


@dataclass(frozen=True)
class UnknownReport:
    """Each class left out once."""

    run_name: str
    data: str
    classes: tuple[ClassLeftOut, ...]

    @property
    def mean_auroc(self) -> float | None:
        """Over the classes that have clips."""
        known = [row.auroc for row in self.classes if row.auroc is not None]
        return fmean(known) if known else None

    def to_json(self) -> dict[str, object]:
        """Plain values for json.dumps."""
        return {
            "run": self.run_name,
            "data": self.data,
            "mean_auroc": self.mean_auroc,
            "classes": [
                {
                    "label": row.label,
                    "auroc": row.auroc,
                    "known_clips": len(row.known),
                    "unknown_clips": len(row.unknown),
                }
                for row in self.classes
            ],
        }


def write_unknown_report(report: UnknownReport, folder: Path) -> Path:
    """Write report.json and report.md, each atomically; gives report.json's path."""
    rows = [
        [row.label, str(len(row.unknown)), str(len(row.known)), _figure(row.auroc)]
        for row in report.classes
    ]
    text = (
        f"# {escape(report.run_name)}: classes left out\n\n{escape(report.data)}\n\n"
        f"Mean AUROC of known against unknown: **{_figure(report.mean_auroc)}** (0.5: chance).\n\n"
        + table(["class left out", "its clips", "known clips", "AUROC"], rows, align="lrrr")
        + "\n\nFor each class and fold a model that never saw the class reads held-out clips. "
        "AUROC: how often its top score is higher for a clip of a class that it knows. Scores are "
        "not calibrated here.\n"
    )
    replace_file(folder / "report.md", text.encode())
    replace_file(folder / "report.json", json_text(report.to_json()).encode())
    return folder / "report.json"


def _figure(value: float | None) -> str:
    return NONE if value is None else f"{value:.3f}"
