"""Reads rows as they arrive and says when a warning is raised or cleared. Never reads back.

One carried state an id, the least recently seen forgotten first when there are too many.
"""

from __future__ import annotations

import io
import json
import sys
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from action_gru.config.inputs import SOON
from action_gru.core.csv_dialect import encoding_of, open_csv
from action_gru.core.errors import DataError
from action_gru.core.progress import Reporter
from action_gru.series.long_table import Row, RowReader, long_columns
from action_gru.series.recognizer import RowStream, SequenceRecognizer
from action_gru.timeline import Alarm
from action_gru.training.document import alarm_class

BAD_ROWS_NAMED, MOST_IDS = 20, 10_000


@dataclass
class WatchSummary:
    """What was read, in rows, and what came of it."""

    rows: int = 0
    bad_rows: int = 0
    missing_values: int = 0
    ids: int = 0
    forgotten_ids: int = 0
    raised: int = 0
    cleared: int = 0


class Watcher:
    """The streams and alarms of all ids. alarm, threshold: by default `soon`, as trained."""

    def __init__(
        self,
        recognizer: SequenceRecognizer,
        alarm: str | None = None,
        threshold: float | None = None,
        max_ids: int = MOST_IDS,
    ) -> None:
        self.recognizer, self.max_ids = recognizer, max_ids
        trained = recognizer.warns_from
        self.alarm_class = alarm_class(alarm, recognizer.classes, trained is not None)
        self.threshold = threshold or (trained if self.alarm_class == SOON else None) or 0.5
        self.summary = WatchSummary()
        self._streams: OrderedDict[str, tuple[RowStream, Alarm]] = OrderedDict()

    def take(self, row: Row) -> dict[str, object] | None:
        """The event that a row makes, if it makes one. Raises DataError for a row out of order."""
        stream, alarm = self._stream(row.id)
        answer = stream.push(row.values, row.time)
        score = float(answer.probabilities([self.alarm_class])[0])
        change = alarm.push(score)
        if change is None:
            return None
        self.summary.raised += change == "raised"
        self.summary.cleared += change == "cleared"
        return {
            "event": change,
            "id": row.id,
            "time": row.time,
            "class": self.alarm_class,
            "score": round(score, 4),
            "rows": stream.rows,
        }

    def _stream(self, name: str) -> tuple[RowStream, Alarm]:
        if name not in self._streams:
            self.summary.ids += 1
            self._streams[name] = self.recognizer.stream(), Alarm(self.threshold)
            if len(self._streams) > self.max_ids:
                self._streams.popitem(last=False)
                self.summary.forgotten_ids += 1
        self._streams.move_to_end(name)
        return self._streams[name]


def watch(
    source: str,
    run: Path,
    overrides: list[str],
    reporter: Reporter,
    alarm: str | None = None,
    threshold: float | None = None,
    max_ids: int = MOST_IDS,
    as_json: bool = False,
) -> WatchSummary:
    """Print one line an event until the rows end; the counts. Further arguments: see `Watcher`."""
    with reporter.doing("loading the model"):
        recognizer = SequenceRecognizer.load(run, overrides=overrides)
    watcher = Watcher(recognizer, alarm, threshold, max_ids)
    name = "stdin" if source == "-" else source
    with _lines(source) as lines:
        reader = RowReader(lines, long_columns(recognizer.config.series), recognizer.channels, name)
        for row in reader:
            if isinstance(row, str):
                _name_bad(row, reader.bad, reporter)
                continue
            try:
                event = watcher.take(row)
            except DataError as error:
                reader.bad += 1
                _name_bad(f"{name}, id '{row.id}': {error}", reader.bad, reporter)
                continue
            if event is not None:
                print(json.dumps(event) if as_json else _sentence(event), flush=True)
    summary = watcher.summary
    summary.rows, summary.bad_rows = reader.rows, reader.bad
    summary.missing_values = reader.missing
    if as_json:
        print(json.dumps({"summary": asdict(summary)}), flush=True)
    return summary


def _name_bad(problem: str, count: int, reporter: Reporter) -> None:
    if count <= BAD_ROWS_NAMED:
        reporter.warn(f"left out {problem}")
    if count == BAD_ROWS_NAMED:
        reporter.warn("further bad rows are counted and no longer named")


def _sentence(event: dict[str, object]) -> str:
    verb = "warning" if event["event"] == "raised" else "cleared"
    return f"{verb}  {event['id']}  time {event['time']:g}  {event['class']} {event['score']:.2f}"


@contextmanager
def _lines(source: str) -> Iterator[Iterable[str]]:
    """The lines of a file, or those that come in on a pipe, each as soon as it is whole."""
    if source == "-":
        if isinstance(sys.stdin, io.TextIOWrapper):  # a letter that is none costs its row only
            head = sys.stdin.buffer.peek(4)[:4]
            sys.stdin.reconfigure(encoding=encoding_of(head), errors="replace")
        yield iter(sys.stdin.readline, "")
        return
    try:
        with open_csv(Path(source), errors="replace") as file:
            yield file
    except OSError as error:
        raise DataError(
            f"{source}: cannot be read ({error.strerror}); name a CSV, or - for stdin"
        ) from error
