"""A report's figures as values of Python. Knows no model, and writes nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from action_gru.report.documents import figure_text
from action_gru.timeline.tables import data_frame, html_table

# What is told of a class, where its report has it.
PER_CLASS = ("support", "instants", "precision", "recall", "f1", "ap", "average_precision")


@dataclass(frozen=True, repr=False)
class Evaluation(Mapping[str, Any]):
    """The keys and values of report.json: evaluation["top1"]; see docs/evaluation.md."""

    figures: Mapping[str, Any]

    def __getitem__(self, key: str) -> Any:
        return self.figures[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self.figures)

    def __len__(self) -> int:
        return len(self.figures)

    @property
    def sentence(self) -> str:
        """What the figures say, in one sentence."""
        return str(self.figures["sentence"])

    def to_frame(self, library: str | None = None) -> Any:
        """A row a class. See `data_frame`."""
        rows = self._rows()
        names = ["label", *self._columns()]
        return data_frame({name: [row.get(name) for row in rows] for name in names}, library)

    def __repr__(self) -> str:
        return f"Evaluation({self.sentence})"

    def _repr_html_(self) -> str:
        columns = self._columns()
        cells = [
            [row["label"], *(_cell(row.get(name)) for name in columns)] for row in self._rows()
        ]
        return html_table(("class", *columns), cells, self.sentence)

    def _rows(self) -> list[Mapping[str, Any]]:
        return list(self.figures.get("per_class", ()))

    def _columns(self) -> list[str]:
        rows = self._rows()
        return [name for name in PER_CLASS if any(name in row for row in rows)]


def _cell(value: Any) -> str:
    return figure_text(value) if value is None or isinstance(value, float) else str(value)
