"""Reads a run's long test videos and scores the events found against their references."""

from __future__ import annotations

from collections.abc import Sequence

from action_gru.checkpoint import Checkpoint
from action_gru.config import Config
from action_gru.dataset import LongVideo
from action_gru.device import pick_device
from action_gru.errors import VideoError
from action_gru.evaluation.segments import segment_scores
from action_gru.evaluation.timelines import ScoredTimeline
from action_gru.features import build_backbone
from action_gru.progress import Reporter
from action_gru.streams import build_engine, open_timeline


def score_timelines(
    checkpoint: Checkpoint, config: Config, videos: Sequence[LongVideo], reporter: Reporter
) -> tuple[list[ScoredTimeline], dict[str, str]]:
    """The long videos that could be read, scored, and why the others could not, by path.

    A model that reads backwards too has no stream, hence no timeline.
    """
    scored: list[ScoredTimeline] = []
    failed: dict[str, str] = {}
    model = checkpoint.build().to(pick_device(config.training.device))
    if not videos or not model.can_stream:
        return scored, {v.relative: "the model is bidirectional: no timeline" for v in videos}
    engine = build_engine(checkpoint, config, model, build_backbone(config))
    with reporter.bar("timeline", len(videos)) as advance:
        for video in videos:
            reader = open_timeline(engine, checkpoint, config, video.path)
            try:
                for _ in reader:
                    pass
            except VideoError as error:
                failed[video.relative] = str(error)
                continue
            finally:
                advance(note=video.relative)
            timeline = reader.timeline()
            scores = segment_scores(
                timeline.events, video.segments, timeline.duration_s, config.events.background
            )
            scored.append(ScoredTimeline(video.relative, timeline, video.segments, scores))
    return scored, failed
