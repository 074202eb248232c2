"""A trained run reads measured rows: whole, or one by one.

    from action_gru import SequenceRecognizer

    recognizer = SequenceRecognizer.load("runs/turbofan")
    stream = recognizer.stream()
    for time, row in rows:
        print(stream.push(row, time).scores["soon"])

Rows of many things on a pipe: `series/watch.py`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
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
from action_gru.core.errors import CheckpointError, DataError
from action_gru.core.machine import pick_device
from action_gru.dataset.channels import ChannelValues
from action_gru.features.sequences import SequenceSet
from action_gru.series.recording import preparer_of
from action_gru.streaming.states import Lookahead, OverlappingWindows, reset_rows
from action_gru.timeline import Prediction
from action_gru.training import Checkpoint, load_checkpoint
from action_gru.training.document import check_reads_rows
from action_gru.training.runs import find_model
from action_gru.training.scoring import score_clips

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
        self._newest = torch.empty(0)
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
        if self._windows is not None:
            with torch.inference_mode():  # as the state was made
                reset_rows(self._state, self._windows.restarting(time), self._fresh)
        feature = self._preparer.push(values[None], np.array([time]))[0]
        self._newest = torch.from_numpy(feature).to(self._device)
        return self._answer(self._ahead.push(time))

    @property
    def is_early(self) -> bool:
        """Does the newest answer of a model that reads ahead rest on fewer rows than it waits for?
        Such answers are about the first row, and another one about it comes.
        """
        return not self._ahead.is_full

    def finish(self) -> Iterator[Prediction]:
        """At the end: the answers about the last rows, for which a model with `model.lookahead`
        waits for rows that do not come; the last row stands for them.
        """
        left, ahead = self._ahead.left(), self._recognizer.model.lookahead
        for place in range(len(left) - ahead, len(left)) if left else ():
            prediction = self._answer(left[max(place, 0)])
            if place >= 0:
                yield prediction

    def _answer(self, about: float) -> Prediction:
        """The answer about an instant, by one more step with the newest row."""
        assert self.time is not None
        model, first = self._recognizer.model, 0
        if self._windows is not None:
            first = self._windows.oldest_first()[0]
        with torch.inference_mode():
            rows = self._newest.expand(self._count, -1)
            logits, self._state = model.step(rows, self._state)
            scores = model.probabilities(logits[first]).cpu().numpy()
        self.prediction = Prediction.from_probabilities(
            self._recognizer.classes,
            scores,
            self.time,
            thresholds=self._recognizer.checkpoint.thresholds,
            about_s=about if model.lookahead else None,
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
