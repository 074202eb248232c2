"""What `check` found, as text, JSON and one HTML page with thumbnails. Opens no video."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from action_gru.core.text import counted
from action_gru.dataset.advice import ADVICE, PROBLEM, ClassRow, Finding
from action_gru.report import documents as md

CLIPS_SHOWN = 6  # of a finding, on the page
CLASSES_SHOWN, EXAMPLES = 30, 4  # on the page; clips of each class
JPEG_QUALITY = 80
HEADINGS = {PROBLEM: "Problems", ADVICE: "Advice"}

Image = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class AdviceReport:
    """summary: one line on the data. unit: of ClassRow's minutes, as a heading. thumbnails: (H, W,
    3) RGB by clip name. about: what is said of a clip beside its name. examples: clips by class.
    """

    data: str
    summary: str
    classes: Sequence[ClassRow]
    findings: Sequence[Finding]
    notes: Sequence[str] = ()
    thumbnails: Mapping[str, Image] = field(default_factory=dict)
    about: Mapping[str, str] = field(default_factory=dict)
    examples: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def of(self, severity: str) -> list[Finding]:
        return [finding for finding in self.findings if finding.severity == severity]

    @property
    def verdict(self) -> str:
        """'2 problems, 1 advice'."""
        problems, advice = (len(self.of(severity)) for severity in (PROBLEM, ADVICE))
        return (
            f"{counted(problems, 'problem')}, {advice} advice" if problems else f"{advice} advice"
        )

    def to_json(self) -> dict[str, object]:
        return {
            "data": self.data,
            "summary": self.summary,
            "problems": len(self.of(PROBLEM)),
            "advice": len(self.of(ADVICE)),
            "classes": [asdict(row) | {"splits": dict(row.splits)} for row in self.classes],
            "findings": [asdict(finding) for finding in self.findings],
            "notes": list(self.notes),
        }

    def text(self) -> str:
        """For a terminal: the table of the classes, the findings, the verdict last."""
        findings = [
            f"{f.severity}: {f.what}\n  got   {f.got}\n  mend  {f.mend}" for f in self.findings
        ]
        notes = [f"note: {note}" for note in self.notes]
        return "\n\n".join(
            [self.summary, _aligned(*self._table()), *findings, *notes, self.verdict]
        )

    def markdown(self, pictures: Mapping[str, str] | None = None) -> str:
        """pictures: the file of each thumbnail, by clip name."""
        pictures = pictures or {}
        header, rows = self._table()
        sections = [
            text
            for severity, heading in HEADINGS.items()
            if self.of(severity)
            for text in [f"## {heading}", *(self._section(f, pictures) for f in self.of(severity))]
        ]
        rows_of = {
            label: " ".join(f"![]({pictures[name]})" for name in names if name in pictures)
            for label, names in list(self.examples.items())[:CLASSES_SHOWN]
        }
        looks = [f"**{md.escape(label)}**\n\n{row}" for label, row in rows_of.items() if row]
        return md.paragraphs(
            f"# Check of {md.escape(self.data)}",
            f"**{self.verdict}.** {md.escape(self.summary)}",
            *sections,
            "## Classes",
            md.table(header, rows),
            *(["## What the classes look like", *looks] if looks else []),
            *(["## Notes", md.bullets(map(md.escape, self.notes))] if self.notes else []),
        )

    def write_page(self, path: Path) -> None:
        """One HTML file that loads nothing. Raises ConfigError where it cannot be written."""
        with tempfile.TemporaryDirectory() as folder:
            pictures = {}
            for number, (name, image) in enumerate(self._pictures().items()):
                pictures[name] = f"{number}.jpg"
                _write_jpeg(Path(folder) / pictures[name], image)
            page = md.html_page(self.markdown(pictures), f"Check of {self.data}", Path(folder))
        md.replace_file(path, page.encode())

    def _table(self) -> tuple[list[str], list[list[str]]]:
        splits = list(self.classes[0].splits) if self.classes else []
        has_minutes = any(row.minutes is not None for row in self.classes)
        header = ["class", "clips", "groups", *(["minutes"] if has_minutes else []), *splits]
        rows = []
        for row in self.classes:
            digits = 2 if row.minutes and row.minutes < 0.1 else 1  # else seconds would read 0.0
            minutes = [md.figure_text(row.minutes, digits)] if has_minutes else []
            counts = [str(row.splits[name]) for name in splits]
            rows.append([row.label, str(row.clips), str(row.groups), *minutes, *counts])
        return header, rows

    def _section(self, finding: Finding, pictures: Mapping[str, str]) -> str:
        clips = [
            f"![]({pictures[name]})  \n{line}" if name in pictures else line
            for name in finding.clips[:CLIPS_SHOWN]
            for line in [md.escape(": ".join(filter(None, [name, self.about.get(name)])))]
        ]
        got, mend = md.escape(finding.got), md.escape(finding.mend)
        return md.paragraphs(
            f"### {md.escape(finding.what[:1].upper() + finding.what[1:])}",
            f"{got}.",
            f"**Mend:** {mend}.",
            *clips,
        )

    def _pictures(self) -> dict[str, Image]:
        """The thumbnails that the page shows."""
        names = [name for finding in self.findings for name in finding.clips[:CLIPS_SHOWN]]
        for examples in list(self.examples.values())[:CLASSES_SHOWN]:
            names += examples
        return {name: self.thumbnails[name] for name in names if name in self.thumbnails}


def _write_jpeg(path: Path, image: Image) -> None:
    options = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]
    _, data = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), options)
    path.write_bytes(data.tobytes())


def _aligned(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns side by side, the first to the left and the others to the right."""
    table = [header, *rows]
    widths = [max(len(row[column]) for row in table) for column in range(len(header))]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if column else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in table
    )
