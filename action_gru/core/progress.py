"""Progress and messages on stderr; stdout stays free for the answer. Knows no stage.

Nothing is silent for long: whatever takes its time says so again and again, by a thread of its own.
"""

from __future__ import annotations

import logging
import sys
import threading
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

from action_gru.core.logs import is_json, log

Advance = Callable[..., None]
# A person waits no more than two seconds for a sign. In a file, lines get rarer as time goes by.
QUICKEST_S, SLOWEST_S = 1.8, 10.0
LOOK_EVERY_S = 0.1
WIPE = "\r\x1b[2K"


class _Stage:
    """What is done just now. total: of so many steps, if they are counted."""

    def __init__(self, title: str, total: float | None = None) -> None:
        self.title, self.total = title, total
        self.done: float = 0
        self.note = ""
        self.began_s = time.monotonic()

    def advance(self, steps: float = 1, **fields: Any) -> None:
        self.done += steps
        self.total = fields.get("total", self.total)
        self.note = str(fields.get("note", self.note))

    def text(self) -> str:
        lasted_s = time.monotonic() - self.began_s
        if self.total is None:
            return f"{self.title} ... {lasted_s:.0f} s"
        note = f", {self.note}" if self.note else ""
        return f"{self.title}: {self.done:g} of {self.total:g}{note}, {lasted_s:.0f} s"

    def fields(self) -> dict[str, Any]:
        counted = {"done": self.done, "total": self.total, "note": self.note}
        return {"stage": self.title} | (counted if self.total is not None else {})

    def gap_s(self) -> float:
        """How long it may be silent."""
        if is_json():
            return SLOWEST_S
        lasted_s = time.monotonic() - self.began_s
        return min(max(QUICKEST_S, lasted_s / 10), SLOWEST_S)


class Reporter:
    """Tells a person how the work goes; a program, where log lines are JSON (see `logs`).

    quiet says nothing but warnings and errors, mute not even those. fields: what stands in the
    text, for programs.
    """

    def __init__(self, quiet: bool = True, mute: bool = False) -> None:
        self.quiet, self.mute = quiet or mute, mute
        self._console = Console(file=sys.stderr, highlight=False)
        self._stages: list[_Stage] = []
        self._told_s = time.monotonic()
        self._is_line_open = False  # on a terminal a sign of life is written over by what follows

    def say(self, text: str, /, **fields: Any) -> None:
        """One line of news."""
        if self.quiet:
            return
        self._begin_line()
        if is_json():
            log(logging.INFO, text, **fields)
        else:
            self._console.print(text, markup=False, soft_wrap=True)

    def warn(self, text: str, /, **fields: Any) -> None:
        """Something the user must know, shown even when quiet."""
        if self.mute:
            return
        self._begin_line()
        if is_json():
            log(logging.WARNING, text, **fields)
        else:
            self._console.print(f"warning: {text}", markup=False, style="yellow", soft_wrap=True)

    def fail(self, text: str, /, **fields: Any) -> None:
        """What went wrong with one of several things, shown even when quiet."""
        if self.mute:
            return
        self._begin_line()
        if is_json():
            log(logging.ERROR, text, **fields)
        else:
            print(f"error: {text}", file=sys.stderr)

    @contextmanager
    def doing(self, title: str) -> Iterator[None]:
        """Work without steps to count: after two seconds its title is shown, with the time."""
        with self._stage(_Stage(title)):
            yield

    @contextmanager
    def bar(self, title: str, total: int) -> Iterator[Advance]:
        """A bar over `total` steps; call the given function once a step, with note="..." beside it.

        The time left is shown too. On a stream that is no terminal, and in a log, it is a line at
        the start, one now and then, and one at the end.
        """
        if self._is_terminal() and not self.quiet:
            yield from self._drawn_bar(title, total)
            return
        stage = _Stage(title, total)
        with self._stage(stage):
            self._show(stage)
            yield stage.advance
            self._show(stage)

    def _drawn_bar(self, title: str, total: int) -> Iterator[Advance]:
        columns = [
            TextColumn("{task.description:<8}"),
            BarColumn(bar_width=14),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}", markup=False),
        ]
        self._begin_line()
        stage = _Stage(title, total)
        self._stages.append(stage)  # the stage around it is silent meanwhile
        try:
            with Progress(*columns, console=self._console) as progress:
                task = progress.add_task(title, total=total, note="")

                def advance(steps: float = 1, **fields: Any) -> None:
                    progress.update(task, advance=steps, **fields)

                yield advance
        finally:
            self._stages.remove(stage)
            self._told_s = time.monotonic()

    @contextmanager
    def _stage(self, stage: _Stage) -> Iterator[None]:
        """While it lasts a thread shows the stage, whenever nothing else was told for its gap."""
        if self.quiet:
            yield
            return
        self._told_s = time.monotonic()
        self._stages.append(stage)
        over = threading.Event()
        threading.Thread(target=self._keep_showing, args=(stage, over), daemon=True).start()
        try:
            yield
        finally:
            over.set()
            self._stages.remove(stage)
            self._begin_line()

    def _keep_showing(self, stage: _Stage, over: threading.Event) -> None:
        while not over.wait(LOOK_EVERY_S):
            is_innermost = self._stages[-1:] == [stage]
            gap_s = QUICKEST_S if self._is_terminal() else stage.gap_s()
            if is_innermost and time.monotonic() - self._told_s >= gap_s:
                self._show(stage)

    def _show(self, stage: _Stage) -> None:
        if self.quiet:
            return
        if not self._is_terminal():
            self.say(stage.text(), **stage.fields())
            return
        self._begin_line()
        self._console.print(stage.text(), markup=False, end="", soft_wrap=True)
        self._is_line_open = True

    def _begin_line(self) -> None:
        """Whatever is written next stands on a line of its own."""
        self._told_s = time.monotonic()
        if self._is_line_open:
            self._is_line_open = False
            self._console.file.write(WIPE)

    def _is_terminal(self) -> bool:
        return self._console.is_terminal and not is_json()
