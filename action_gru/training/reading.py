"""Videos as a trained model reads them: what a caller gives, to features, to the answer.

One way for one video and for many, which fill batches together. Knows no file but those given.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from action_gru.backbone import Backbone
from action_gru.config import Config
from action_gru.core.errors import VideoError
from action_gru.core.progress import Reporter
from action_gru.dataset import Clip
from action_gru.features import ClipFeatures, ExtractionReport, Extractor, MemoryCache, ViewKey
from action_gru.features.given import Batch, Stretch, name_of, opened
from action_gru.features.sequences import join_views
from action_gru.features.source import build_extractor
from action_gru.model import ActionClassifier
from action_gru.timeline import Prediction, Predictions
from action_gru.training.checkpoint import Checkpoint
from action_gru.training.scoring import ClipScores
from action_gru.views.sampling import rate_warning

EXTRACTED_AT_ONCE = 64  # clips, whose features are in memory together
Features = NDArray[np.float16 | np.float32]


@dataclass(frozen=True)
class Reading:
    """One video as it was read: the answer, the sampled instants (T,), the features (T, D).

    scores: how the answer came about. warnings: what to know before believing it.
    """

    prediction: Prediction
    times_s: NDArray[np.float64]
    features: Features
    scores: ClipScores
    warnings: tuple[str, ...] = ()


class VideoReader:
    """A model with the network of its features. answer: (C,) probabilities and the instant of the
    last frame -> the prediction.
    """

    def __init__(
        self,
        config: Config,
        backbone: Backbone,
        checkpoint: Checkpoint,
        model: ActionClassifier,
        answer: Callable[[torch.Tensor, float], Prediction],
    ) -> None:
        self._config, self._backbone, self._model, self._answer = config, backbone, model, answer
        self._max_frames = int(checkpoint.sampling["max_frames"])
        both = checkpoint.flip and config.features.flip
        self._sides = (False, True) if both else (False,)

    def read(self, videos: Sequence[Any], stretch: Stretch) -> Iterator[Reading | VideoError]:
        """What was read of each, in order and as soon as it is there, or why nothing was.

        Raises VideoError for what can be no video at all.
        """
        for first in range(0, len(videos), EXTRACTED_AT_ONCE):
            part = videos[first : first + EXTRACTED_AT_ONCE]
            with opened(part, stretch, self._config.data.frame_rate) as batch:
                yield from self._read_batch(batch)

    def _read_batch(self, batch: Batch) -> Iterator[Reading | VideoError]:
        extractor = build_extractor(self._config, self._backbone, MemoryCache(), held=batch.held)
        report, ended = ExtractionReport(), set[str]()
        with closing(extractor.extracted(list(batch.clips.values()), report)) as extracted:
            for place, name in enumerate(batch.places):
                if place in batch.problems:
                    yield batch.problems[place]
                    continue
                while name not in ended:
                    ended.add(next(extracted).name)
                if (reason := report.quarantined.get(name)) is not None:
                    yield VideoError(batch.told(reason))
                else:
                    yield self._reading(batch.clips[name], extractor, report)

    def read_all(
        self, videos: Sequence[Any], stretch: Stretch, skip_bad: bool, progress: bool
    ) -> Predictions:
        """The answers to several, in order. skip_bad: one that cannot be read is a problem of the
        answers; else it raises VideoError.
        """
        sources, answers = list[str](), list[Prediction]()
        problems, warnings = dict[str, str](), dict[str, tuple[str, ...]]()
        with Reporter(quiet=not progress).bar("classify", len(videos)) as advance:
            for number, reading in enumerate(self.read(videos, stretch)):
                name = name_of(videos[number], number)
                advance(note=name)
                if isinstance(reading, Reading):
                    sources.append(name)
                    answers.append(reading.prediction)
                    warnings |= {name: reading.warnings} if reading.warnings else {}
                elif skip_bad:
                    problems[name] = str(reading)
                else:
                    raise reading
        return Predictions(tuple(sources), tuple(answers), problems, warnings)

    def _reading(self, clip: Clip, extractor: Extractor, report: ExtractionReport) -> Reading:
        entries = extractor.read(clip, report)
        assert entries is not None
        copies = self._copies(entries)
        tensors = [torch.from_numpy(one) for one in copies]
        scores = ClipScores(self._model, tensors, self._max_frames)
        times_s = next(iter(entries.values())).times_s
        slow = rate_warning(times_s, self._config.sampling.fps)
        told = [notes[clip.name] for notes in (report.cut, report.notes) if clip.name in notes]
        prediction = self._answer(scores.probabilities, float(times_s[-1]))
        warnings = (*([slow] if slow else []), *told)
        return Reading(prediction, times_s, copies[0], scores, warnings)

    def _copies(self, entries: dict[ViewKey, ClipFeatures]) -> list[Features]:
        """The features (T, D) of the plain copy, then of the mirrored one where it counts."""
        views = self._config.features.views
        return [join_views([entries[ViewKey(one, side)] for one in views]) for side in self._sides]
