"""From a checkpoint and a config to streams: the `stream` and `events` sections meet the model."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from action_gru.backbone import FRAME_VIEWS, Backbone
from action_gru.config import Config
from action_gru.core.errors import ConfigError
from action_gru.detection.detector import kinds_of
from action_gru.model import ActionClassifier
from action_gru.streaming.crowd import Following
from action_gru.streaming.people import PeopleEngine, PeopleStream
from action_gru.streaming.reader import TimelineReader
from action_gru.streaming.scene import SceneSampler
from action_gru.streaming.stream import ActionStream, Answer, FrameStream, StreamEngine
from action_gru.timeline import EventTracker, ManyEventTracker
from action_gru.training import Checkpoint
from action_gru.training.document import check_background, check_runs_live
from action_gru.video import DecodeLimits, Image
from action_gru.views import VIEWS

# A window as long as a training clip mixes neighbouring actions of a long video. On the demo's
# validation video 0.6 to 0.75 found all 22 events, 0.5 and 1.0 missed or misplaced some.
WINDOW_SHARE = 0.7
SCENES = 2  # of people, read at once: each holds some whole frames


def build_engine(
    checkpoint: Checkpoint, config: Config, model: ActionClassifier, backbone: Backbone
) -> StreamEngine:
    """What all streams of a model share.

    Raises CheckpointError for a model that reads backwards too, DataError where events.background
    names no class of it.
    """
    check_runs_live(not model.can_stream)
    check_background(config, checkpoint.classes)
    views, fps = config.features.views, config.sampling.fps
    limits = checkpoint.thresholds
    return StreamEngine(model, backbone, checkpoint.classes, views, fps, limits)


def open_stream(engine: StreamEngine, checkpoint: Checkpoint, config: Config) -> ActionStream:
    """A new stream with its own state and events."""
    stream, window_s = config.stream, window_of(checkpoint, config)
    events, limits = config.events.tracking, checkpoint.thresholds
    tracker: EventTracker | ManyEventTracker
    if limits is None:
        tracker = EventTracker(**events)
    else:
        enter, leave = events.pop("enter"), events.pop("exit")
        by_class = dict(zip(checkpoint.classes, limits, strict=True))
        tracker = ManyEventTracker(by_class, leave / enter if enter else 1.0, **events)
    return engine.open(tracker, window_s, stream.states, stream.max_gap_s, stream.restart_at_cut)


def window_of(checkpoint: Checkpoint, config: Config) -> float:
    """How far back an answer looks, seconds; 0: as far as there is, of a model of instants.

    Raises ConfigError where that is too short.
    """
    fps, asked = config.sampling.fps, config.stream.window_s
    if asked == "auto" and checkpoint.instant:
        return 0.0
    window_s = max(WINDOW_SHARE * checkpoint.clip_s, 2 / fps) if asked == "auto" else asked
    if window_s < 2 / fps:
        raise ConfigError(
            f"stream.window_s: {window_s:g} s holds less than two frames at {fps:g} a "
            f"second; set at least {2 / fps:.2g}, or auto"
        )
    return window_s


def open_people(engine: PeopleEngine, checkpoint: Checkpoint, config: Config) -> PeopleStream:
    """A new stream of a source whose people are followed one by one.

    Raises ConfigError where the detector lacks one of people.classes, or a view is none of a crop.
    """
    shared, detector = engine.engine, engine.detector
    whole = [view for view in shared.views if view in FRAME_VIEWS]
    if whole:
        raise ConfigError(
            f"features.views: {whole[0]} looks at the whole frame; --per-person looks at a crop of "
            f"each: train a model on pictures alone: {', '.join(VIEWS)}"
        )
    people, detection = config.people, config.detection
    following = Following(
        kinds=frozenset(kinds_of(people.classes, detector, "people.classes")),
        min_score=detection.min_score,
        most=people.max,
        order=people.order,
        timeout_s=people.timeout_s,
        tracker=detection.tracker,
        follow=None if people.follow == "everyone" else people.follow,
    )
    stream = config.stream
    sampler = SceneSampler(shared.views, shared.fps, stream.max_gap_s, stream.restart_at_cut)
    return PeopleStream(engine, sampler, lambda: open_stream(shared, checkpoint, config), following)


def open_timeline(
    stream: FrameStream[Answer],
    config: Config,
    video: Path,
    watch: Callable[[Image, float], None] | None = None,
    frame_rate: float | None = None,
) -> TimelineReader[Answer]:
    """A long video, ready to be read as one stream. watch: see TimelineReader.

    frame_rate: of a folder of frames; by default data.frame_rate.
    """
    limits = DecodeLimits(**config.decoding.model_dump())
    whole = stream.met is None
    batch = max(1, config.features.batch_size // len(config.features.views)) if whole else SCENES
    rate = frame_rate or config.data.frame_rate
    return TimelineReader(stream, video, batch, watch, limits, rate)
