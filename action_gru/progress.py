"""Progress bars and messages on stderr; stdout stays free for the answer. Knows no stage."""

from __future__ import annotations

import logging
import sys
import time
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

from action_gru.logs import is_json, log

Advance = Callable[..., None]
LOGGED_EVERY_S = 10.0  # a bar that is a log


class Reporter:
    """Tells a person how the work goes; a program, where log lines are JSON (see `logs`).

    quiet says nothing but warnings and errors, mute not even those. fields: what stands in the
    text, for programs.
    """

    def __init__(self, quiet: bool = True, mute: bool = False) -> None:
        self.quiet, self.mute = quiet or mute, mute
        self._console = Console(file=sys.stderr, highlight=False)

    def say(self, text: str, /, **fields: Any) -> None:
        """One line of news."""
        if self.quiet:
            return
        if is_json():
            log(logging.INFO, text, **fields)
        else:
            self._console.print(text, markup=False, soft_wrap=True)

    def warn(self, text: str, /, **fields: Any) -> None:
        """Something the user must know, shown even when quiet."""
        if self.mute:
            return
        if is_json():
            log(logging.WARNING, text, **fields)
        else:
            self._console.print(f"warning: {text}", markup=False, style="yellow", soft_wrap=True)

    def fail(self, text: str, /, **fields: Any) -> None:
        """What went wrong with one of several things, shown even when quiet."""
        if self.mute:
            return
        if is_json():
            log(logging.ERROR, text, **fields)
        else:
            print(f"error: {text}", file=sys.stderr)

    @contextmanager
    def bar(self, title: str, total: int) -> Iterator[Advance]:
        """A bar over `total` steps; call the given function once a step, with note="..." beside it.

        The time left is shown too. On a stream that is no terminal only the last state is written;
        a log has a line every ten seconds and one at the end.
        """
        if is_json():
            yield from self._logged_bar(title, total)
            return
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

    def _logged_bar(self, title: str, total: int) -> Iterator[Advance]:
        done: float = 0
        told_s = time.monotonic()

        def tell(note: str = "") -> None:
            nonlocal told_s
            told_s = time.monotonic()
            self.say(
                f"{title}: {done:g} of {total}", stage=title, done=done, total=total, note=note
            )

        def advance(steps: float = 1, **fields: Any) -> None:
            nonlocal done
            done += steps
            if time.monotonic() - told_s >= LOGGED_EVERY_S:
                tell(str(fields.get("note", "")))

        yield advance
        tell()
