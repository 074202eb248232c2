"""The public Python API: load a trained run, classify videos, follow streams.

    from action_gru import ActionRecognizer

    recognizer = ActionRecognizer.load("runs/demo")
    prediction = recognizer.classify("clip.mp4")
    print(prediction.label, prediction.score)
    for event in recognizer.timeline("long.mp4").events:
        print(event.start_s, event.end_s, event.label)

Knows no command line and writes no file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from action_gru.backbone import Backbone
from action_gru.config import Config, build_config
from action_gru.core.errors import VideoError
from action_gru.core.machine import pick_device
from action_gru.dataset import Clip
from action_gru.detection.detector import Detector
from action_gru.features import ClipFeatures, MemoryCache, ViewKey
from action_gru.features.sequences import join_views
from action_gru.features.source import build_backbone, build_detector, build_extractor
from action_gru.streaming import ActionStream, StreamEngine, TimelineReader
from action_gru.streaming.build import build_engine, open_people, open_stream, open_timeline
from action_gru.streaming.people import PeopleEngine, PeopleStream, Person
from action_gru.timeline import Prediction, Timeline
from action_gru.training import Checkpoint, load_checkpoint
from action_gru.training.document import check_label, check_reads_video
from action_gru.training.scoring import ClipScores
from action_gru.video import DecodeLimits, Image
from action_gru.views.sampling import rate_warning

if TYPE_CHECKING:
    from action_gru.evaluation.explanation import Explanation

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


class ActionRecognizer:
    """A trained model with the backbone it was trained on."""

    def __init__(
        self,
        checkpoint: Checkpoint,
        config: Config,
        device: str = "auto",
        backbone: Backbone | None = None,
    ) -> None:
        """config: the run's, with overrides; its features must be those of the checkpoint.

        backbone: one that `build_backbone` made of the same config; by default it is loaded.
        """
        check_reads_video(checkpoint.features)
        self.checkpoint, self.config = checkpoint, config
        self.classes = checkpoint.classes
        self.model = checkpoint.build().to(pick_device(device))
        self.max_frames = int(checkpoint.sampling["max_frames"])
        self._backbone: Backbone = backbone or build_backbone(config)
        specs = tuple(self._backbone.spec(view) for view in config.features.views)
        checkpoint.check_fits(specs, config.sampling.fps)

    @classmethod
    def load(
        cls, run: str | Path, device: str = "auto", overrides: Sequence[str] = ()
    ) -> ActionRecognizer:
        """A run folder or a checkpoint file. overrides: `a.b=value`, such as where the weights are.

        Raises CheckpointError if there is none, BackboneError if the backbone's weights are
        missing.
        """
        checkpoint = load_checkpoint(Path(run))
        config = build_config(checkpoint.config, [f"features.device={device}", *overrides])
        return cls(checkpoint, config, device)

    @property
    def limits(self) -> DecodeLimits:
        """What a video may ask of its decoder: the config's `decoding` section."""
        return DecodeLimits(**self.config.decoding.model_dump())

    @property
    def frame_rate(self) -> float | None:
        """How many pictures of a folder of frames are a second: the config's data.frame_rate."""
        return self.config.data.frame_rate

    @property
    def thresholds(self) -> dict[str, float] | None:
        """From which score each class counts as shown; None where a clip shows exactly one."""
        limits = self.checkpoint.thresholds
        return None if limits is None else dict(zip(self.classes, limits, strict=True))

    @property
    def threshold(self) -> float | None:
        """The score below which an answer is unsure; None when the run is not calibrated, or where
        a clip may show several classes.

        For the config's calibration.precision, or the most that the run's clips support.
        """
        found = self.checkpoint.calibration
        if found is None or self.model.many:
            return None
        return found.threshold(self.config.calibration.precision)

    @property
    def shortfall(self) -> str | None:
        """Why less than calibration.precision is applied; None where it is not, or uncalibrated."""
        found = self.checkpoint.calibration
        return found.shortfall(self.config.calibration.precision) if found else None

    def judged(self, prediction: Prediction) -> Prediction:
        """The same answer, marked as unsure where it is only a guess."""
        threshold = self.threshold
        return replace(prediction, unsure=threshold is not None and prediction.score < threshold)

    def classify(
        self, video: str | Path, start_s: float | None = None, end_s: float | None = None
    ) -> Prediction:
        """The scores of all classes for a video, or for its stretch [start_s, end_s).

        The whole stretch is looked at. Raises VideoError when it holds no readable frame.
        """
        return self.read(video, start_s, end_s).prediction

    def read(
        self, video: str | Path, start_s: float | None = None, end_s: float | None = None
    ) -> Reading:
        """Like `classify`, with the features from which the answer was made."""
        path = Path(video)
        rate = self.frame_rate
        clip = Clip(path, path.name, "", path.name, "", start_s, end_s, frame_rate=rate)
        extractor = build_extractor(self.config, self._backbone, MemoryCache())
        report = extractor.extract([clip])
        if report.quarantined:
            raise VideoError(report.quarantined[clip.name])
        entries = extractor.read(clip, report)
        assert entries is not None
        copies = self._copies(entries)
        scores = ClipScores(self.model, [torch.from_numpy(one) for one in copies], self.max_frames)
        times_s = next(iter(entries.values())).times_s
        prediction = self._answer(scores.probabilities, times_s[-1])
        slow = rate_warning(times_s, self.config.sampling.fps)
        told = (*report.cut.values(), *report.notes.values())
        warnings = (*([slow] if slow else []), *told)
        return Reading(prediction, times_s, copies[0], scores, warnings)

    def explain(
        self,
        video: str | Path,
        label: str | None = None,
        frames: int = 3,
        start_s: float | None = None,
        end_s: float | None = None,
    ) -> Explanation:
        """Why it answers as it does: gates over time, and which moments and places matter.

        label: the class to explain, by default the answer. frames: in how many of the moments that
        matter most to look for places. Of the stretch [start_s, end_s) alone, where given. Raises
        VideoError, and DataError for a class that the model does not know.
        """
        from action_gru.evaluation.explain import explain_clip  # only this method waits for it

        check_label(label, self.classes)
        reading, path = self.read(video, start_s, end_s), Path(video)
        made = explain_clip(
            self._backbone,
            self.checkpoint,
            path,
            reading.times_s,
            reading.scores,
            label,
            frames,
            self.limits,
            self.frame_rate,
            start_s,
        )
        return replace(made, unsure=reading.prediction.unsure, warnings=reading.warnings)

    def stream(self) -> ActionStream:
        """A new endless stream: push frames, get the running answer and events.

        All streams of one recognizer share its backbone; `engine.advance` moves several at once.
        Raises CheckpointError for a model that reads backwards too and so cannot run live.
        """
        return open_stream(self.engine, self.checkpoint, self.config)

    @cached_property
    def engine(self) -> StreamEngine:
        """What all streams of this recognizer share."""
        return build_engine(self.checkpoint, self.config, self.model, self._backbone)

    def timeline(self, video: str | Path) -> Timeline:
        """What happens when in a video of any length, read once. Raises VideoError.

        Mirrored copies are not looked at.
        """
        reader = self.read_timeline(video)
        for _ in reader:
            pass
        return reader.timeline()

    def read_timeline(
        self, video: str | Path, watch: Callable[[Image, float], None] | None = None
    ) -> TimelineReader[Prediction]:
        """The same step by step: iterate over the predictions, then ask for `timeline()`.

        watch: shown each sampled frame (H, W, 3) with its time, in another thread.
        """
        return open_timeline(self.stream(), self.config, Path(video), watch)

    @cached_property
    def detector(self) -> Detector:
        """Finds people; loaded at first use. Raises BackboneError."""
        return build_detector(self.config)

    @cached_property
    def people_engine(self) -> PeopleEngine:
        """Advances the people of several sources at once."""
        return PeopleEngine(self.engine, self.detector)

    def people(self) -> PeopleStream:
        """A new stream of one source whose people are followed one by one.

        Show its `sampler` every frame; `people_engine.advance` takes the scenes that it gives.
        """
        return open_people(self.people_engine, self.checkpoint, self.config)

    def read_people(self, video: str | Path) -> TimelineReader[list[Person]]:
        """A long video person by person: iterate, then ask for `timeline()`."""
        return open_timeline(self.people(), self.config, Path(video))

    def running(self, reading: Reading) -> Iterator[Prediction]:
        """The answer as it stood after each sampled frame; the last is the whole clip's.

        See `ClipScores.running`. A model that reads backwards has no answer before the end: it
        repeats the whole clip's.
        """
        running = reading.scores.running
        for index, time_s in enumerate(reading.times_s):
            answer = reading.prediction if running is None else self._answer(running[index], time_s)
            yield answer

    def _answer(self, probabilities: torch.Tensor, time_s: float) -> Prediction:
        scores = probabilities.numpy()  # (C,)
        limits = self.checkpoint.thresholds
        return self.judged(
            Prediction.from_probabilities(self.classes, scores, float(time_s), thresholds=limits)
        )

    def _copies(self, entries: dict[ViewKey, ClipFeatures]) -> list[Features]:
        """The features (T, D) of the plain copy, then of the mirrored one where it counts."""
        views = self.config.features.views
        sides = (False, True) if self.checkpoint.flip and self.config.features.flip else (False,)
        return [join_views([entries[ViewKey(view, side)] for view in views]) for side in sides]
