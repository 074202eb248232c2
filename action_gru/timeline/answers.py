"""The answers to several videos, in the order in which they were given."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, overload

from action_gru.core.text import counted
from action_gru.timeline.events import Prediction
from action_gru.timeline.tables import data_frame, html_table

SHOWN = 20  # rows of a table on a page, and lines of a text


@dataclass(frozen=True, repr=False)
class Predictions(Sequence[Prediction]):
    """A sequence of answers. sources: what each is of. problems: by source, why there is none.

    warnings: by source, what to know before believing its answer.
    """

    sources: tuple[str, ...]
    answers: tuple[Prediction, ...]
    problems: Mapping[str, str] = field(default_factory=dict)
    warnings: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @overload
    def __getitem__(self, index: int) -> Prediction: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Prediction]: ...
    def __getitem__(self, index: int | slice) -> Prediction | Sequence[Prediction]:
        return self.answers[index]

    def __len__(self) -> int:
        return len(self.answers)

    def __iter__(self) -> Iterator[Prediction]:
        return iter(self.answers)

    @property
    def labels(self) -> list[str]:
        """The label of each."""
        return [answer.label for answer in self.answers]

    def to_frame(self, library: str | None = None) -> Any:
        """A row a video: source, label, score, unsure. See `data_frame`."""
        return data_frame(
            {
                "source": list(self.sources),
                "label": self.labels,
                "score": [answer.score for answer in self.answers],
                "unsure": [answer.unsure for answer in self.answers],
            },
            library,
        )

    def __repr__(self) -> str:
        lines = [f"  {' '.join(row)}" for row in self._rows()[:SHOWN]]
        more = len(self) - SHOWN
        return "\n".join([self._title(), *lines, *([f"  ... {more} more"] if more > 0 else [])])

    def _repr_html_(self) -> str:
        return html_table(("video", "answer", "score"), self._rows()[:SHOWN], self._title())

    def _title(self) -> str:
        bad = f", {len(self.problems)} not read" if self.problems else ""
        return f"{counted(len(self), 'answer')}{bad}"

    def _rows(self) -> list[tuple[str, str, str]]:
        return [
            (source, answer.display_label, f"{answer.score:.3f}")
            for source, answer in zip(self.sources, self.answers, strict=True)
        ]
