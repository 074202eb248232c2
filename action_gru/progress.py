"""Progress bars and messages on stderr; stdout stays free for the answer. Knows no stage."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

Advance = Callable[..., None]


class Reporter:
    """Tells a person how the work goes. quiet says nothing but warnings, mute not even those."""

    def __init__(self, quiet: bool = True, mute: bool = False) -> None:
        self.quiet, self.mute = quiet or mute, mute
        self._console = Console(file=sys.stderr, highlight=False)

    def say(self, text: str) -> None:
        """One line of news."""
        if not self.quiet:
            self._console.print(text, markup=False, soft_wrap=True)

    def warn(self, text: str) -> None:
        """Something the user must know, shown even when quiet."""
        if not self.mute:
            self._console.print(f"warning: {text}", markup=False, style="yellow", soft_wrap=True)

    @contextmanager
    def bar(self, title: str, total: int) -> Iterator[Advance]:
        """A bar over `total` steps; call the given function once a step, with note="..." beside it.

        The time left is shown too. On a stream that is no terminal only the last state is written.
        """
        columns = [
            TextColumn("{task.description:<8}"),
            BarColumn(bar_width=14),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}", markup=False),
        ]
        progress = Progress(*columns, console=self._console, disable=self.quiet)
        with progress:
            task = progress.add_task(title, total=total, note="")

            def advance(steps: float = 1, **fields: Any) -> None:
                progress.update(task, advance=steps, **fields)

            yield advance
