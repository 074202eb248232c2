"""Progress, messages and log lines on stderr; stdout stays free for the answer. Knows no stage.

Whatever takes long says so again and again, by a thread of its own. As JSON, one object a line:
{"time": "2026-11-24T20:15:00.123+00:00", "level": "warning", "logger": "action_gru",
 "message": "left out a.mp4: ...", "clip": "a.mp4", ...}
"""

from __future__ import annotations

import json
import logging
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from action_gru.core.text import harmless

LOGGER = logging.getLogger("action_gru")
Advance = Callable[..., None]
# A person waits no more than two seconds for a sign. In a file, lines get rarer as time goes by.
QUICKEST_S, SLOWEST_S = 1.8, 10.0
LOOK_EVERY_S = 0.1
WIPE = "\r\x1b[2K"
LOOKS = {logging.INFO: ("", None), logging.WARNING: ("warning: ", "yellow")}


class JsonLines(logging.Formatter):
    """A record as one line of JSON. extra={"fields": ...} becomes keys of its own."""

    def format(self, record: logging.LogRecord) -> str:
        first = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        document = first | getattr(record, "fields", {}) | first
        if record.exc_info:
            document["traceback"] = self.formatException(record.exc_info)
        return json.dumps(document, default=str)


def log_as_json() -> None:
    """From here on every log line, Python's warnings too, is JSON on stderr."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    logging.captureWarnings(True)
    LOGGER.setLevel(logging.INFO)


def is_json() -> bool:
    """Are log lines JSON?"""
    return any(isinstance(handler.formatter, JsonLines) for handler in logging.root.handlers)


def log(level: int, message: str, /, **fields: Any) -> None:
    """One line; fields: what JSON can hold."""
    LOGGER.log(level, message, extra={"fields": fields})


@dataclass(eq=False)
class _Stage:
    """The work in progress. total: the number of its steps, if they are counted."""

    title: str
    total: float | None = None
    done: float = 0
    note: str = ""
    began_s: float = field(default_factory=time.monotonic)

    def advance(self, steps: float = 1, **fields: Any) -> None:
        self.done += steps
        self.total = fields.get("total", self.total)
        self.note = str(fields.get("note", self.note))

    def text(self) -> str:
        lasted_s = time.monotonic() - self.began_s
        if not self.total:  # not counted, or not known yet
            return f"{self.title} ... {lasted_s:.0f} s"
        note = f", {self.note}" if self.note else ""
        return f"{self.title}: {self.done:g} of {self.total:g}{note}, {lasted_s:.0f} s"

    def fields(self) -> dict[str, Any]:
        counted = {"done": self.done, "total": self.total, "note": self.note}
        return {"stage": self.title} | (counted if self.total is not None else {})

    def gap_s(self) -> float:
        """How long it may be silent."""
        lasted_s = time.monotonic() - self.began_s
        return SLOWEST_S if is_json() else min(max(QUICKEST_S, lasted_s / 10), SLOWEST_S)


class Reporter:
    """Shows progress and messages to a person, or as JSON after `log_as_json`.

    quiet shows warnings and errors only, mute nothing. fields: the values in the text, for JSON.
    """

    def __init__(self, quiet: bool = True, mute: bool = False) -> None:
        from rich.console import Console

        self.quiet, self.mute = quiet or mute, mute
        self._console = Console(file=sys.stderr, highlight=False, emoji=False)
        self._stages: list[_Stage] = []
        self._shown_s = time.monotonic()
        self._is_line_open = False  # on a terminal the next message overwrites a sign of life

    def info(self, text: str, /, **fields: Any) -> None:
        """One line of news."""
        if not self.quiet:
            self._write(logging.INFO, text, fields)

    def warn(self, text: str, /, **fields: Any) -> None:
        """What the user must know, shown even when quiet."""
        if not self.mute:
            self._write(logging.WARNING, text, fields)

    def fail(self, text: str, /, **fields: Any) -> None:
        """What went wrong with one of several things, shown even when quiet."""
        if not self.mute:
            self._write(logging.ERROR, text, fields)

    def _write(self, level: int, text: str, fields: dict[str, Any]) -> None:
        self._begin_line()
        if is_json():
            log(level, text, **fields)
        else:
            start, style = LOOKS.get(level, ("error: ", None))
            self._console.print(
                harmless(f"{start}{text}"), markup=False, style=style, soft_wrap=True
            )

    @contextmanager
    def doing(self, title: str) -> Iterator[None]:
        """Work without steps to count: after two seconds its title is shown, with the time."""
        with self._stage(_Stage(title)):
            yield

    @contextmanager
    def bar(self, title: str, total: int) -> Iterator[Advance]:
        """A bar over `total` steps; call the yielded function once a step, note="..." beside it.

        On a stream that is no terminal, and in a log, it is a line at the start, one now and then,
        and one at the end.
        """
        stage = _Stage(title, total)
        if self._is_terminal() and not self.quiet:
            with self._drawn_bar(stage) as advance:
                yield advance
            return
        with self._stage(stage):
            self._show(stage)
            yield stage.advance
            self._show(stage)

    @contextmanager
    def _drawn_bar(self, stage: _Stage) -> Iterator[Advance]:
        from rich import progress

        columns = [
            progress.TextColumn("{task.description:<8}"),
            progress.BarColumn(bar_width=14),
            progress.MofNCompleteColumn(),
            progress.TimeElapsedColumn(),
            progress.TextColumn("left"),
            progress.TimeRemainingColumn(),
            progress.TextColumn("{task.fields[note]}", markup=False),
        ]
        self._begin_line()
        self._stages.append(stage)  # the stage around it is silent meanwhile
        try:
            with progress.Progress(*columns, console=self._console) as drawn:
                task = drawn.add_task(stage.title, total=stage.total, note="")
                yield lambda steps=1, **fields: drawn.update(task, advance=steps, **fields)
        finally:
            self._stages.remove(stage)
            self._shown_s = time.monotonic()

    @contextmanager
    def _stage(self, stage: _Stage) -> Iterator[None]:
        """Meanwhile a thread shows the stage whenever nothing else was shown for its gap."""
        if self.quiet:
            yield
            return
        self._shown_s = time.monotonic()
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
            gap_s = QUICKEST_S if self._is_terminal() else stage.gap_s()
            if self._stages[-1:] == [stage] and time.monotonic() - self._shown_s >= gap_s:
                self._show(stage)

    def _show(self, stage: _Stage) -> None:
        if not self._is_terminal():
            self.info(stage.text(), **stage.fields())
        elif not self.quiet:
            self._begin_line()
            self._console.print(stage.text(), markup=False, end="", soft_wrap=True)
            self._is_line_open = True

    def _begin_line(self) -> None:
        """Put the next message on a line of its own."""
        self._shown_s = time.monotonic()
        if self._is_line_open:
            self._is_line_open = False
            self._console.file.write(WIPE)

    def _is_terminal(self) -> bool:
        return self._console.is_terminal and not is_json()


class SharedBar(Reporter):
    """One bar over work in several threads: a reporter for each of them, whose bars add to it.

    Beside it stand the notes of the work whose own bar has the same title. A context manager.
    """

    def __init__(self, of: Reporter, title: str, parts: int) -> None:
        """parts: how many bars there will be; those to come are taken to be as long as others."""
        super().__init__(of.quiet, of.mute)
        self._of, self._title, self._parts = of, title, parts
        self._total = self._begun = 0
        self._open = ExitStack()
        self._adding = threading.Lock()

    def __enter__(self) -> SharedBar:
        self._advance = self._open.enter_context(self._of.bar(self._title, 0))
        return self

    def __exit__(self, *exception: Any) -> None:
        self._open.close()

    def _write(self, level: int, text: str, fields: dict[str, Any]) -> None:
        self._of._write(level, text, fields)

    @contextmanager
    def bar(self, title: str, total: int) -> Iterator[Advance]:
        with self._adding:
            self._total, self._begun = self._total + total, self._begun + 1
            whole = self._total * max(self._parts, self._begun) // self._begun
            self._advance(0, total=whole)

        def advance(steps: float = 1, note: str = "") -> None:
            with self._adding:
                self._advance(steps, **({"note": note} if title == self._title else {}))

        yield advance
