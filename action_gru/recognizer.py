"""The public Python API: train or load a model, classify videos, follow streams.

    from action_gru import ActionRecognizer

    recognizer = ActionRecognizer.train("clips", epochs=20)  # or load(), the newest run
    answer = recognizer.classify("clip.mp4")
    print(answer.label, answer.score)
    for event in recognizer.timeline("long.mp4").events:
        print(event.start_s, event.end_s, event.label)

Knows no command line, and writes no file but what training leaves. A wrong argument raises an
ActionGruError that says what is meant.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast, overload

import numpy as np
import torch
from numpy.typing import NDArray

from action_gru.backbone import Backbone
from action_gru.config import Config, build_config
from action_gru.core.arguments import overrides_given, path_given, whole_given
from action_gru.core.errors import CheckpointError, VideoError
from action_gru.core.machine import pick_device
from action_gru.core.text import name_some
from action_gru.detection.detector import Detector
from action_gru.features.given import Stretch, are_many, local_file
from action_gru.features.source import build_backbone, build_detector
from action_gru.streaming import ActionStream, StreamEngine, TimelineReader
from action_gru.streaming.build import build_engine, open_people, open_stream, open_timeline
from action_gru.streaming.people import PeopleEngine, PeopleStream, Person
from action_gru.timeline import Prediction, Predictions, Timeline
from action_gru.training import Checkpoint, load_checkpoint
from action_gru.training.document import check_label, check_reads_video
from action_gru.training.reading import Features, VideoReader
from action_gru.training.reading import Reading as Reading
from action_gru.training.runs import find_model
from action_gru.video import DecodeLimits, Image

if TYPE_CHECKING:
    from action_gru.evaluation.explanation import Explanation
    from action_gru.report.figures import Evaluation


MOST_FRAMES = 100  # whose places `explain` may look for
LONG = "a timeline reads a file, or a folder of frames; frames in memory are pushed into stream()"
Video = str | Path | NDArray[np.uint8] | Sequence[NDArray[np.uint8]]


class ActionRecognizer:
    """A trained model with the backbone it was trained on."""

    def __init__(
        self, checkpoint: Checkpoint, config: Config, device: str = "auto",
        backbone: Backbone | None = None,
    ) -> None:  # fmt: skip
        """config: the run's, with overrides; its features must be those of the checkpoint.

        backbone: one that `build_backbone` made of the same config; by default it is loaded.
        """
        check_reads_video(checkpoint.features)
        self.run: Path | None = None  # where it was loaded from
        self._changes: list[str] = []
        self.checkpoint, self.config = checkpoint, config
        self.classes = checkpoint.classes
        self.model = checkpoint.build().to(pick_device(device))
        self.max_frames = int(checkpoint.sampling["max_frames"])
        self._backbone: Backbone = backbone or build_backbone(config)
        specs = tuple(self._backbone.spec(view) for view in config.features.views)
        checkpoint.check_fits(specs, config.sampling.fps)
        parts = config, self._backbone, checkpoint, self.model
        self._reader = VideoReader(*parts, self._answer)

    @classmethod
    def load(
        cls, run: str | Path | None = None, device: str = "auto", overrides: Sequence[str] = ()
    ) -> ActionRecognizer:
        """A run folder, a run's name in ./runs, a checkpoint file, or a shipped model; by default
        the newest run. overrides: `a.b=value`, such as where the weights are.

        Raises CheckpointError if there is none, BackboneError if the backbone's weights are
        missing.
        """
        what = "a run is a folder, a name in ./runs or a file"
        named = None if run is None else str(path_given(run, what, CheckpointError))
        path = find_model(named, of_video=True)
        changes = [f"features.device={device}", *overrides_given(overrides)]
        checkpoint = load_checkpoint(path)
        loaded = cls(checkpoint, build_config(checkpoint.config, changes), device)
        loaded.run, loaded._changes = path, changes
        return loaded

    @classmethod
    def train(
        cls,
        clips: str | Path,
        *,
        name: str | None = None,
        epochs: int | None = None,
        seed: int | None = None,
        views: str | Sequence[str] | None = None,
        weights: str | Path | None = None,
        fps: float | None = None,
        many: bool = False,
        videos: str | Path | None = None,
        overrides: Sequence[str] = (),
        device: str = "auto",
        progress: bool = True,
        **others: Any,
    ) -> ActionRecognizer:
        """Learn from clips as `action-gru train` does, and load the result; its run is kept.

        clips: a folder of class folders, a CSV, a config, or an annotation file with videos. The
        words are those of the command; any other key of the config stands in overrides, as
        'a.b=value'. Raises ConfigError for settings, DataError for clips that cannot be used.
        """
        from action_gru.evaluation.whole_runs import train_whole  # only this method waits for it

        words: dict[str, Any] = {"name": name, "epochs": epochs, "seed": seed, "views": views}
        words |= {"fps": fps, "weights": weights, "many": many} | others
        path = train_whole(clips, words, videos, overrides, device, progress)
        return cls.load(path, device)

    def evaluate(
        self,
        clips: str | Path | None = None,
        *,
        split: str | None = None,
        videos: str | Path | None = None,
        progress: bool = False,
    ) -> Evaluation:
        """How right it is on its own test clips, or on other clips; nothing is written but the
        features, into the cache.

        clips: as for `train`. split: train, val or test, by default test, or all of other clips.
        Raises CheckpointError for a model without its run folder, DataError for unfit clips.
        """
        from action_gru.evaluation.whole_runs import score_whole  # only this method waits for it

        return score_whole(self.run, clips, split, videos, self._changes, progress)

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

    @overload
    def classify(  # type: ignore[overload-overlap]
        self, video: Video, start_s: float | None = None, end_s: float | None = None, *,
        fps: float | None = None,
    ) -> Prediction: ...  # fmt: skip
    @overload
    def classify(
        self, video: Iterable[Video], start_s: float | None = None, end_s: float | None = None, *,
        fps: float | None = None, progress: bool = False, skip_bad: bool = False,
    ) -> Predictions: ...  # fmt: skip
    def classify(
        self,
        video: Video | Iterable[Video],
        start_s: float | None = None,
        end_s: float | None = None,
        *,
        fps: float | None = None,
        progress: bool = False,
        skip_bad: bool = False,
    ) -> Prediction | Predictions:
        """What is done in a video, or in its stretch [start_s, end_s); or in each of several.

        video: a path of a file, of a folder or an archive of frames; an http(s) address; frames as
        an array (T, H, W, 3) uint8 RGB, or a list of such pictures. fps: of frames, a second. All
        of the stretch is looked at. Several videos are read in batches; skip_bad: one that cannot
        be read gets into `problems`, and does not end the others.

        Raises VideoError for what is no video, or holds no readable frame.
        """
        videos = list(video) if isinstance(video, Iterator) else video
        if not are_many(videos):
            return self.read(cast(Video, videos), start_s, end_s, fps=fps).prediction
        stretch = Stretch.given(start_s, end_s, fps)
        return self._reader.read_all(cast(Sequence[Video], videos), stretch, skip_bad, progress)

    def read(
        self, video: Video, start_s: float | None = None, end_s: float | None = None, *,
        fps: float | None = None,
    ) -> Reading:  # fmt: skip
        """Like `classify` of one video, with the features from which the answer was made."""
        (reading,) = self._reader.read([video], Stretch.given(start_s, end_s, fps))
        if isinstance(reading, VideoError):
            raise reading
        return reading

    def read_each(self, videos: Sequence[Video]) -> Iterator[Reading | VideoError]:
        """Like `read` of several, which fill batches together: each in order and as soon as it is
        there, or why nothing was read of it.
        """
        return self._reader.read(videos, Stretch())

    def embed(
        self, video: Video, start_s: float | None = None, end_s: float | None = None, *,
        fps: float | None = None,
    ) -> Features:  # fmt: skip
        """The features of a video's sampled frames, (T, D), as the model reads them."""
        return self.read(video, start_s, end_s, fps=fps).features

    def explain(
        self, video: str | Path, label: str | None = None, frames: int = 3,
        start_s: float | None = None, end_s: float | None = None,
    ) -> Explanation:  # fmt: skip
        """Why it answers as it does: gates over time, and which moments and places matter.

        label: the class to explain, by default the answer. frames: in how many of the moments that
        matter most to look for places. Of the stretch [start_s, end_s) alone, where given. Raises
        VideoError, and DataError for a class that the model does not know.
        """
        from action_gru.evaluation.explain import explain_clip  # only this method waits for it

        check_label(label, self.classes)
        path = path_given(video, "explain reads a file", VideoError)
        whole_given(frames, "frames", VideoError, MOST_FRAMES)
        reading = self.read(path, start_s, end_s)
        made = explain_clip(
            self._backbone, self.checkpoint, path, reading.times_s, reading.scores, label, frames,
            self.limits, self.frame_rate, start_s,
        )  # fmt: skip
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
        """What happens when in a video of any length, read once, or at an http(s) address.

        Mirrored copies are not looked at. Raises VideoError.
        """
        with local_file(video, LONG) as path:
            reader = self.read_timeline(path)
            for _ in reader:
                pass
            return replace(reader.timeline(), source=str(video))

    def read_timeline(
        self, video: str | Path, watch: Callable[[Image, float], None] | None = None
    ) -> TimelineReader[Prediction]:
        """The same step by step: iterate over the predictions, then ask for `timeline()`.

        watch: shown each sampled frame (H, W, 3) with its time, in another thread.
        """
        return open_timeline(self.stream(), self.config, path_given(video, LONG, VideoError), watch)

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
        path = path_given(video, LONG, VideoError)
        return open_timeline(self.people(), self.config, path)

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

    def __repr__(self) -> str:
        names = name_some(self.classes)
        return f"ActionRecognizer({self.run or 'of a checkpoint'}: {names})"
