"""The Python API for measured sequences: a trained run reads rows, whole or as they arrive.

    from action_gru import SequenceRecognizer

    recognizer = SequenceRecognizer.load("runs/turbofan")
    stream = recognizer.stream()
    for time, row in rows:
        print(stream.push(row, time).scores["soon"])

Knows no file but the checkpoint, and no command line.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from action_gru.config import Config, build_config
from action_gru.config.inputs import SOON
from action_gru.core.errors import DataError
from action_gru.core.machine import pick_device
from action_gru.dataset.channels import ChannelValues
from action_gru.features.sequences import SequenceSet
from action_gru.series.preparation import preparer_of
from action_gru.streaming.states import OverlappingWindows, reset_rows
from action_gru.timeline import Prediction
from action_gru.training import Checkpoint, load_checkpoint
from action_gru.training.document import check_reads_rows
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
        cls, run: str | Path, device: str = "auto", overrides: Sequence[str] = ()
    ) -> SequenceRecognizer:
        """A run folder or a checkpoint file. Raises CheckpointError where there is none."""
        checkpoint = load_checkpoint(Path(run))
        return cls(checkpoint, build_config(checkpoint.config, overrides), device)

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
        rows = np.asarray(values, dtype=np.float32)
        if rows.ndim != 2 or rows.shape[1] != len(self.channels):
            raise DataError(
                f"a sequence of this model is (T, {len(self.channels)}), got {rows.shape}; its "
                f"channels are {', '.join(self.channels)}"
            )
        if not len(rows):
            raise DataError("a sequence has at least one row, got none")
        series = self.config.series
        instants = np.asarray(np.arange(len(rows)) if times is None else times, dtype=np.float64)
        if instants.shape != (len(rows),):
            raise DataError(f"{len(rows)} rows need as many times, got {instants.shape}")
        views = preparer_of(series, len(self.channels)).views(rows, instants)
        steps = [[0] * len(rows)] if series.targets_each_row else None
        entries = [ChannelValues(view, instants) for view in views]
        sequences = SequenceSet([entries], [0], None, steps)
        max_frames = int(self.checkpoint.sampling["max_frames"])
        scores = score_clips(self.model, sequences, max_frames)[0]
        return Prediction.from_probabilities(self.classes, scores.numpy())

    def stream(self) -> RowStream:
        """A new sequence: push its rows, get the answer after each."""
        return RowStream(self)


def warns_from(classes: Sequence[str], config: Config) -> float | None:
    """The probability of `soon` from which to warn; None for a model without a horizon."""
    has_end = SOON in classes and config.series.horizon is not None
    return config.series.threshold if has_end else None


class RowStream:
    """One sequence whose rows arrive one by one. Cost and memory of a row do not grow.

    The answer rests on all rows so far. Where the model was trained on windows (`series.window`) it
    rests on the last (states - 1) / states to 1 times that time instead: staggered states.
    """

    def __init__(self, recognizer: SequenceRecognizer) -> None:
        self._recognizer = recognizer
        series, states = recognizer.config.series, recognizer.config.stream.states
        self._preparer = preparer_of(series, len(recognizer.channels))
        self._windows = OverlappingWindows(states, series.window) if series.window else None
        count = states if self._windows else 1
        self._fresh = recognizer.model.initial_state(1)
        self._state = recognizer.model.initial_state(count)
        self._count = count
        self._device = next(recognizer.model.parameters()).device
        self.rows = 0
        self.time: float | None = None
        self.prediction: Prediction | None = None

    def push(self, row: Row, time: float) -> Prediction:
        """Take in one row, by channel name or in the order of `channels`; the newest answer.

        NaN is a missing value. Raises DataError for another number of channels, for infinity, and
        for a time that is not after the row before; the stream is then as it was.
        """
        values = self._values(row)
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
            scores = logits[answering].softmax(-1).cpu().numpy()
        self.prediction = Prediction.from_probabilities(self._recognizer.classes, scores, time)
        return self.prediction

    def _values(self, row: Row) -> NDArray[np.float32]:
        channels = self._recognizer.channels
        if isinstance(row, Mapping):
            lacking = [name for name in channels if name not in row]
            if lacking:
                raise DataError(f"the row has no channel {', '.join(lacking[:5])}")
            row = [row[name] for name in channels]
        values = np.asarray(row, dtype=np.float32)
        if values.shape != (len(channels),) or np.isinf(values).any():
            raise DataError(
                f"a row has {len(channels)} finite numbers, NaN where one is missing; got "
                f"{values.shape}"
            )
        return values
