"""Reads the rows of many things as they arrive, from a file or a pipe, and warns.

One state an id is kept; where there are too many, the least recently seen is forgotten.
"""

from __future__ import annotations

import io
import json
import sys
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from action_gru.config.inputs import SOON
from action_gru.core.csv_dialect import encoding_of, open_csv
from action_gru.core.errors import DataError
from action_gru.core.progress import Reporter
from action_gru.series import long_table
from action_gru.series.recognizer import RowStream, SequenceRecognizer
from action_gru.timeline import Alarm, Prediction
from action_gru.training.document import alarm_class

BAD_ROWS_NAMED, MOST_IDS = 20, 10_000


@dataclass
class WatchSummary:
    """How many rows were read, and what they gave."""

    rows: int = 0
    bad_rows: int = 0
    missing_values: int = 0
    ids: int = 0
    forgotten_ids: int = 0
    raised: int = 0
    cleared: int = 0
    interrupted: bool = False


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

    def take(self, row: long_table.Row) -> dict[str, object] | None:
        """The event that a row causes, if any. Raises DataError for a row out of order."""
        stream, alarm = self._stream(row.id)
        prediction = stream.push(row.values, row.time)
        self.summary.rows += 1  # not one that was refused: that is a bad row
        self.summary.missing_values += int(np.isnan(row.values).sum())
        return None if stream.is_early else self._event(row.id, stream, alarm, prediction)

    def finish(self) -> Iterator[dict[str, object]]:
        """At the end: the events in the last rows of each id that is kept, for a model that reads
        ahead.
        """
        for name, (stream, alarm) in self._streams.items():
            for prediction in stream.finish():
                if event := self._event(name, stream, alarm, prediction):
                    yield event

    def _event(
        self, name: str, stream: RowStream, alarm: Alarm, prediction: Prediction
    ) -> dict[str, object] | None:
        """The change of an alarm by an answer, at the row that the answer is about."""
        score = float(prediction.probabilities([self.alarm_class])[0])
        change = alarm.push(score)
        if change is None:
            return None
        self.summary.raised += change == "raised"
        self.summary.cleared += change == "cleared"
        return {
            "event": change,
            "id": name,
            "time": stream.time if prediction.about_s is None else prediction.about_s,
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
    """Print one line an event until the rows end or ctrl-C; the counts. Further arguments: see
    `Watcher`.
    """

    def tell(event: dict[str, object] | None) -> None:
        if event is not None:
            print(json.dumps(event) if as_json else _sentence(event), flush=True)

    with reporter.doing("loading the model"):
        recognizer = SequenceRecognizer.load(run, overrides=overrides)
    watcher = Watcher(recognizer, alarm, threshold, max_ids)
    summary, name = watcher.summary, "stdin" if source == "-" else source
    series, channels = recognizer.config.series, recognizer.channels
    try:
        with _lines(source) as lines:
            for row in long_table.arriving_rows(lines, series, channels, name):
                if isinstance(row, str):
                    _leave_out(row, summary, reporter)
                    continue
                try:
                    tell(watcher.take(row))
                except DataError as error:
                    _leave_out(f"{name}, id '{row.id}': {error}", summary, reporter)
        for event in watcher.finish():
            tell(event)
    except KeyboardInterrupt:
        summary.interrupted = True
    if as_json:
        print(json.dumps({"summary": asdict(summary)}), flush=True)
    return summary


def _leave_out(problem: str, summary: WatchSummary, reporter: Reporter) -> None:
    summary.bad_rows += 1
    if summary.bad_rows <= BAD_ROWS_NAMED:
        reporter.warn(f"left out {problem}")
    if summary.bad_rows == BAD_ROWS_NAMED:
        reporter.warn("further bad rows are counted and no longer named")


def _sentence(event: dict[str, object]) -> str:
    verb = "warning" if event["event"] == "raised" else "cleared"
    return f"{verb}  {event['id']}  time {event['time']:g}  {event['class']} {event['score']:.2f}"


@contextmanager
def _lines(source: str) -> Iterator[Iterable[str]]:
    """The lines of a file, or those that arrive on a pipe, each as soon as it is whole."""
    if source == "-":
        if isinstance(sys.stdin, io.TextIOWrapper):  # a byte that is no text costs its row only
            head = sys.stdin.buffer.peek(4)[:4]
            sys.stdin.reconfigure(encoding=encoding_of(head), errors="replace")
        yield iter(sys.stdin.readline, "")
        return
    with ExitStack() as stack:
        try:
            file = stack.enter_context(open_csv(Path(source), errors="replace"))
        except OSError as error:
            raise DataError(
                f"{source}: cannot be read ({error.strerror}); name a CSV, or - for stdin"
            ) from error
        yield file
