"""Appends each message to a file as a whole line: JSON, or CSV with one header."""

from __future__ import annotations

import csv
import fcntl
import io
import json
import os
from pathlib import Path

from action_gru.apps.sinks.message import Message
from action_gru.apps.sinks.worker import SinkDownError
from action_gru.core.errors import ConfigError

COLUMNS = (
    "id", "state", "source", "label", "score", "start_s", "end_s", "start_utc", "end_utc",
    "person", "left", "top", "right", "bottom", "model",
)  # fmt: skip


class JsonlSink:
    """One JSON object a line."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def deliver(self, item: Message, is_old: bool) -> None:
        _append(self._path, json.dumps(item) + "\n")

    def look_after(self) -> None:
        """Nothing: the file is opened for each line, so it may be moved meanwhile."""

    def close(self) -> None:
        """Nothing is open."""


class CsvSink(JsonlSink):
    """One row a message, with the columns of COLUMNS. Raises ConfigError for a file of others."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        if path.is_file() and path.stat().st_size:
            with path.open(encoding="utf-8", errors="replace") as file:
                first = file.readline().rstrip("\r\n")
            if first != ",".join(COLUMNS):
                raise ConfigError(f"{path}: has other columns than events; name another file")

    def deliver(self, item: Message, is_old: bool) -> None:
        box = item.get("box") or (None,) * 4
        row = item | dict(zip(("left", "top", "right", "bottom"), box, strict=True))
        _append(self._path, _line([row.get(name) for name in COLUMNS]), head=_line(COLUMNS))


def _line(cells: object) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(cells)  # type: ignore[arg-type]
    return text.getvalue()


def _append(path: Path, line: str, head: str = "") -> None:
    """The line as a whole, or nothing; head: what an empty file begins with.

    Raises SinkDownError. A last line that a crash of the machine has torn stays, on its own.
    """
    try:
        with path.open("a+b", buffering=0) as file:
            fcntl.flock(file, fcntl.LOCK_EX)  # another process may append, too
            before = file.seek(0, os.SEEK_END)
            if before == 0:
                line = head + line
            elif os.pread(file.fileno(), 1, before - 1) != b"\n":
                line = "\n" + line
            try:
                left = memoryview(line.encode())
                while left:  # a disk that fills up takes a part first, and then fails
                    left = left[file.write(left) :]
                os.fsync(file.fileno())
            except OSError:
                os.ftruncate(file.fileno(), before)
                raise
    except OSError as error:
        raise SinkDownError(f"{path} cannot be written ({error.strerror or error})") from error
