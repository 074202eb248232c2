"""A trained run reads measured rows: whole, one by one, or as the lines of a pipe (`watch`).

    from action_gru import SequenceRecognizer

    recognizer = SequenceRecognizer.load("runs/turbofan")
    stream = recognizer.stream()
    for time, row in rows:
        print(stream.push(row, time).scores["soon"])

`watch` keeps one state an id and forgets the least recently seen where there are too many.
"""

from __future__ import annotations

import io
import json
import math
import sys
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from action_gru.config import Config, build_config
from action_gru.config.inputs import SOON
from action_gru.core.arguments import (
    number_given,
    numbers_given,
    overrides_given,
    path_given,
)
from action_gru.core.csv_dialect import encoding_of, open_csv
from action_gru.core.errors import CheckpointError, DataError
from action_gru.core.machine import pick_device
from action_gru.core.progress import Reporter
from action_gru.dataset.channels import ChannelValues
from action_gru.features.sequences import SequenceSet
from action_gru.series import long_table
from action_gru.series.recording import preparer_of
from action_gru.streaming.states import Lookahead, OverlappingWindows, reset_rows
from action_gru.timeline import Alarm, Prediction
from action_gru.training import Checkpoint, load_checkpoint
from action_gru.training.document import alarm_class, check_reads_rows
from action_gru.training.runs import find_model
from action_gru.training.scoring import score_clips

BAD_ROWS_NAMED, MOST_IDS = 20, 10_000
Row = Mapping[str, float] | Sequence[float] | NDArray[np.float32]


class SequenceRecognizer:
    """A trained model of measured channels."""

    def __init__(self, checkpoint: Checkpoint, config: Config, device: str = "auto") -> None:
        check_reads_rows(checkpoint.features)
        self.checkpoint, self.config = checkpoint, config
        self.classes, self.channels = checkpoint.classes, checkpoint.channels
        self.model = checkpoint.build().to(pick_device(device))

    @classmethod
    def load(
        cls, run: str | Path | None = None, device: str = "auto", overrides: Sequence[str] = ()
    ) -> SequenceRecognizer:
        """A run folder, a run's name in ./runs or a checkpoint file; by default the newest run.

        Raises CheckpointError where there is none.
        """
        what = "a run is a folder, a name in ./runs or a file"
        named = None if run is None else str(path_given(run, what, CheckpointError))
        path = find_model(named, of_video=False)
        changes = [f"training.device={device}", *overrides_given(overrides)]
        checkpoint = load_checkpoint(path)
        return cls(checkpoint, build_config(checkpoint.config, changes), device)

    @property
    def warns_from(self) -> float | None:
        """The probability of `soon` from which to warn; None for a model without a horizon."""
        return warns_from(self.classes, self.config)

    def classify(
        self, values: NDArray[np.float32], times: NDArray[np.float64] | None = None
    ) -> Prediction:
        """The scores of all classes for a whole sequence (T, D), NaN where a value is missing.

        times (T,): the rows' times, by default 0, 1, 2, ...; `series.elapsed` reads them.
        """
        rows = numbers_given(values, "values", np.float32)
        if rows.ndim != 2 or rows.shape[1] != len(self.channels):
            raise DataError(
                f"a sequence of this model is (T, {len(self.channels)}), got {rows.shape}; its "
                f"channels are {', '.join(self.channels)}"
            )
        if not len(rows):
            raise DataError("a sequence has at least one row, got none")
        given = np.arange(len(rows)) if times is None else times
        instants = numbers_given(given, "times", np.float64)
        if instants.shape != (len(rows),):
            raise DataError(f"{len(rows)} rows need as many times, got {instants.shape}")
        series = self.config.series
        views = preparer_of(series, self.channels).views(rows, instants)
        steps = torch.zeros(len(rows)) if series.targets_each_row else None
        entries = [ChannelValues(view, instants) for view in views]
        sequences = SequenceSet([entries], [0], None, steps)
        max_frames = int(self.checkpoint.sampling["max_frames"])
        scores = score_clips(self.model, sequences, max_frames)[0]
        limits = self.checkpoint.thresholds
        return Prediction.from_probabilities(self.classes, scores.numpy(), thresholds=limits)

    def stream(self) -> RowStream:
        """A new sequence: push its rows, get the answer after each."""
        return RowStream(self)


def warns_from(classes: Sequence[str], config: Config) -> float | None:
    """The probability of `soon` from which to warn; None for a model without a horizon."""
    has_end = SOON in classes and config.series.horizon is not None
    return config.series.threshold if has_end else None


class RowStream:
    """One sequence whose rows arrive one by one. Cost and memory of a row do not grow.

    The answer is based on all rows so far. A model that was trained on windows (`series.window`)
    uses the last (states - 1) / states to 1 times that time instead: staggered states. That of a
    model with `model.lookahead` is about the row so many before (`Prediction.centre_s`); the first
    ones are about the first row, and rest on fewer.
    """

    def __init__(self, recognizer: SequenceRecognizer) -> None:
        self._recognizer = recognizer
        series, states = recognizer.config.series, recognizer.config.stream.states
        self._preparer = preparer_of(series, recognizer.channels)
        self._windows = OverlappingWindows(states, series.window) if series.window else None
        self._count = states if self._windows else 1
        self._fresh = recognizer.model.initial_state(1)
        self._state = recognizer.model.initial_state(self._count)
        self._device = next(recognizer.model.parameters()).device
        self._ahead = Lookahead(recognizer.model.lookahead)
        self.rows = 0
        self.time: float | None = None
        self.prediction: Prediction | None = None

    def push(self, row: Row, time: float) -> Prediction:
        """Take in one row, by channel name or in the order of `channels`; the newest answer.

        NaN is a missing value. Raises DataError for another number of channels, for infinity, and
        for a time that is not after the row before; the stream is then as it was.
        """
        values = self._values(row)
        if number_given(time, "time", "the rows' clock", DataError, -math.inf) is None:
            raise DataError("time: the row's instant, a number; got None")
        if self.time is not None and not time > self.time:
            raise DataError(f"time {time:g} is not after {self.time:g}, that of the row before")
        self.time, self.rows = time, self.rows + 1
        answering = 0
        feature = self._preparer.push(values[None], np.array([time]))[0]
        with torch.inference_mode():
            if self._windows is not None:
                reset_rows(self._state, self._windows.restarting(time), self._fresh)
                answering = self._windows.oldest_first()[0]
            logits, self._state = self._recognizer.model.step(
                torch.from_numpy(feature).to(self._device).expand(self._count, -1), self._state
            )
            scores = self._recognizer.model.probabilities(logits[answering]).cpu().numpy()
        about = self._ahead.push(time)
        self.prediction = Prediction.from_probabilities(
            self._recognizer.classes,
            scores,
            time,
            thresholds=self._recognizer.checkpoint.thresholds,
            about_s=about if self._recognizer.model.lookahead else None,
        )
        return self.prediction

    def _values(self, row: Row) -> NDArray[np.float32]:
        channels = self._recognizer.channels
        if isinstance(row, Mapping):
            if lacking := [name for name in channels if name not in row]:
                raise DataError(f"the row has no channel {', '.join(lacking[:5])}")
            row = [row[name] for name in channels]
        values = numbers_given(row, "row", np.float32)
        if values.shape != (len(channels),) or np.isinf(values).any():
            raise DataError(
                f"a row has {len(channels)} finite numbers, NaN where one is missing; got "
                f"{values.shape}"
            )
        return values


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
        score = float(stream.push(row.values, row.time).probabilities([self.alarm_class])[0])
        self.summary.rows += 1  # not one that was refused: that is a bad row
        self.summary.missing_values += int(np.isnan(row.values).sum())
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
    summary, name = watcher.summary, "stdin" if source == "-" else source
    with _lines(source) as lines:
        rows = long_table.arriving_rows(lines, recognizer.config.series, recognizer.channels, name)
        for row in rows:
            if isinstance(row, str):
                _leave_out(row, summary, reporter)
                continue
            try:
                event = watcher.take(row)
            except DataError as error:
                _leave_out(f"{name}, id '{row.id}': {error}", summary, reporter)
                continue
            if event is not None:
                print(json.dumps(event) if as_json else _sentence(event), flush=True)
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
    try:
        with open_csv(Path(source), errors="replace") as file:
            yield file
    except OSError as error:
        raise DataError(
            f"{source}: cannot be read ({error.strerror}); name a CSV, or - for stdin"
        ) from error
