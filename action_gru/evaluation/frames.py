"""What a model answers at each instant of long videos, and the report on it.

The cached features of a video go through the same stream as its frames would live. A model that was
trained on clips is scored alike: its answer is about the middle of its window.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import chain, pairwise
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from action_gru.config import Config
from action_gru.core.errors import DataError
from action_gru.core.machine import pick_device
from action_gru.core.progress import Reporter
from action_gru.dataset import Clip
from action_gru.dataset.segments import labelled_stretches, reference_events
from action_gru.features import ViewKey
from action_gru.features.sequences import Features, FeatureTable, joined_blocks
from action_gru.features.source import build_backbone
from action_gru.model import ActionClassifier
from action_gru.model.calibration import Calibration
from action_gru.report.frames import ScoredVideo
from action_gru.report.metrics import BoolArray, FloatArray
from action_gru.report.segments import ScoredTimeline, detection_delays, score_segments, within
from action_gru.streaming import ActionStream, StreamEngine
from action_gru.streaming.build import build_engine, open_stream
from action_gru.streaming.reader import TimelineRecorder
from action_gru.timeline import Event, EventTracker, Prediction, ScoreTrack, Timeline
from action_gru.training import Checkpoint, load_checkpoint
from action_gru.training.data import TrainingData
from action_gru.training.fit import make_checkpoint, model_arguments
from action_gru.training.scoring import is_right, score_answers, score_steps
from action_gru.views import Sample

MISSING = "missing frames"


def score_frames(
    checkpoint: Checkpoint,
    config: Config,
    table: FeatureTable,
    videos: Sequence[Clip],
    reporter: Reporter,
) -> tuple[ScoredVideo, ...]:
    """Score a model on usable videos whose instants have labels, in order.

    Raises DataError where no instant has one.
    """
    model = checkpoint.build().to(pick_device(config.training.device))
    if config.data.is_video:
        engine = build_engine(checkpoint, config, model, build_backbone(config))
    scored = []
    with reporter.bar("videos", len(videos)) as advance:
        for video in videos:
            if config.data.is_video:
                stream = open_stream(engine, checkpoint, config)
                scored.append(_score_video(engine, stream, config, table, video))
            else:
                scored.append(_score_rows(model, checkpoint.classes, config, table, video))
            advance(note=video.relative)
    if not any(len(video.truth) for video in scored):
        raise DataError(
            f"no sampled instant of {len(videos)} videos has a label; compare the bounds of their "
            "rows with the lengths of the files"
        )
    return tuple(scored)


def _score_video(
    engine: StreamEngine, stream: ActionStream, config: Config, table: FeatureTable, video: Clip
) -> ScoredVideo:
    entries = table.by_clip[video.name]
    views = [entries[ViewKey(spec.view)] for spec in table.specs]
    timeline, instants_s, scores = read_features(engine, stream, views, video.relative)
    classes, many = engine.classes, config.data.labels == "many"
    times_s, end_s = views[0].times_s, timeline.duration_s
    truth, known = _truth(table.step_labels[video.name], classes)
    stretches = labelled_stretches(video, end_s)
    reference = reference_events(video, end_s, config.events.background)
    timeline = replace(timeline, events=tuple(within(timeline.events, stretches)))
    ahead_s = _ahead_s(engine.model, times_s)
    delays_s, missed, false = detection_delays(timeline.events, reference, ahead_s)
    labels = classes if many else ()
    background = config.events.background
    segments = score_segments(timeline.events, reference, end_s, background, labels)
    return ScoredVideo(
        group=video.group,
        scores=scores[_nearest(instants_s, times_s[known])],
        truth=truth[known],
        timeline=ScoredTimeline(video.relative, timeline, tuple(reference), segments),
        labelled_s=sum(end - start for start, end in stretches),
        delays_s=delays_s,
        missed=missed,
        false_events=false,
    )


def _score_rows(
    model: ActionClassifier,
    classes: Sequence[str],
    config: Config,
    table: FeatureTable,
    clip: Clip,
) -> ScoredVideo:
    """The same of a measured sequence, each of whose rows has one label."""
    times_s, labels = table.times_s([clip])[clip.name], table.step_labels[clip.name]
    scores = score_steps(model, table.sequences([clip], classes))[0].double().numpy()
    tracker, track = EventTracker(**config.events.tracking), ScoreTrack()
    events: list[Event] = []
    for time_s, row in zip(times_s.tolist(), scores, strict=True):
        answer = Prediction.from_probabilities(classes, row, time_s, time_s)
        events += tracker.push(answer)
        track.add(time_s, row)
    end_s = float(times_s[-1])
    events += tracker.finish(end_s)
    reference = [
        Event(names[0], first_s, min(last_s, end_s))
        for names, first_s, last_s in _runs(times_s, labels)
        if names and names[0] not in config.events.background
    ]
    timeline = Timeline(clip.relative, tuple(classes), tuple(events), end_s, scores=track)
    segments = score_segments(events, reference, end_s, config.events.background)
    truth, known = _truth(labels, classes)
    return ScoredVideo(
        clip.group,
        scores[known],
        truth[known],
        ScoredTimeline(clip.relative, timeline, tuple(reference), segments),
        end_s,
        *detection_delays(timeline.events, reference, _ahead_s(model, times_s)),
    )


def _ahead_s(model: ActionClassifier, times_s: FloatArray) -> float:
    """How long the model reads on before it answers, at the usual step between times (T,)."""
    return model.lookahead * float(np.median(np.diff(times_s))) if len(times_s) > 1 else 0.0


def _runs(
    times_s: FloatArray, labels: Sequence[tuple[str, ...] | None]
) -> Iterator[tuple[tuple[str, ...] | None, float, float]]:
    """(label, from, to) of each stretch of rows with one label."""
    begins = [0, *(n for n in range(1, len(labels)) if labels[n] != labels[n - 1])]
    for first, after in pairwise([*begins, len(labels)]):
        yield labels[first], float(times_s[first]), float(times_s[min(after, len(times_s) - 1)])


def read_features(
    engine: StreamEngine, stream: ActionStream, views: Sequence[Features], source: str
) -> tuple[Timeline, FloatArray, FloatArray]:
    """The timeline of a video from its features, the instants of its answers (T,), and their
    probabilities (T, C).
    """
    recorder, times_s = TimelineRecorder(stream, source), views[0].times_s
    runs = np.cumsum(np.diff(times_s, prepend=times_s[:1]) > stream.sampler.max_gap_s)
    answers = []
    rows = chain.from_iterable(joined_blocks(views))
    for time_s, run, row in zip(times_s.tolist(), runs.tolist(), rows, strict=True):
        features = torch.from_numpy(row[None]).float()
        answers += engine.step([stream], [Sample(time_s, {}, run, MISSING)], features)
        recorder.record()
    instants_s = np.array([answer.centre_s for answer in answers])
    scores = np.array([answer.probabilities(engine.classes) for answer in answers])
    return recorder.timeline(), instants_s, scores


def _truth(
    labels: Sequence[tuple[str, ...] | None], classes: Sequence[str]
) -> tuple[BoolArray, BoolArray]:
    """Which classes each instant shows, (T, C), and whether that is known, (T,)."""
    shown = [[name in (names or ()) for name in classes] for names in labels]
    return np.array(shown, dtype=np.bool_), np.array([names is not None for names in labels])


def _nearest(instants_s: FloatArray, times_s: FloatArray) -> NDArray[np.int64]:
    """The number of the instant (T,), growing, that is nearest to each time (M,)."""
    after = np.searchsorted(instants_s, times_s).clip(1, max(1, len(instants_s) - 1))
    before = after - 1
    after = after.clip(max=len(instants_s) - 1)
    is_before = times_s - instants_s[before] <= instants_s[after] - times_s
    return np.where(is_before, before, after)


def score_fold_frames(
    config: Config,
    data: TrainingData,
    model: ActionClassifier,
    reporter: Reporter,
    calibration: Calibration | None = None,
) -> tuple[ScoredVideo, ...]:
    """Score a model of a fold, which no file holds, on the test videos of that fold.

    Nothing with `data.task: clips`. calibration: its thresholds say which labels are shown. Raises
    DataError where no instant has a label.
    """
    if config.data.task != "frames":
        return ()
    longest = config.sampling.max_frames  # of no use to a model of instants
    weights, arguments = dict(model.state_dict()), model_arguments(config, data)
    checkpoint = make_checkpoint(config, data, arguments, weights, longest)
    checkpoint = replace(checkpoint, calibration=calibration)
    return score_frames(checkpoint, config, data.table, data.part("test"), reporter)


def frame_accuracy(
    path: Path, config: Config, table: FeatureTable, videos: Sequence[Clip]
) -> float | None:
    """How often a model of instants is right; None without a checkpoint of one at the path."""
    checkpoint = load_checkpoint(path) if path.is_file() else None
    if checkpoint is None or not checkpoint.instant:
        return None
    sequences = table.sequences(videos, checkpoint.classes)
    found = score_answers(checkpoint.build(), sequences, int(checkpoint.sampling["max_frames"]))
    return float(is_right(*found).double().mean())
