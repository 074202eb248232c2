"""From clips to the arrays a model trains on: extraction, quarantine, and the sequence set.

The only place that knows both the config's `features` section and the classes below it. Clips of
measured values come from `measured/`; what is right of the sequence set cannot tell.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from action_gru.backbone import Backbone, FeatureSpec
from action_gru.backbone.spec import FRAME_VIEWS
from action_gru.cache import ClipFeatures, FeatureCache, MemoryCache
from action_gru.channels import SECONDS, ChannelSpec, ChannelValues
from action_gru.config import Config
from action_gru.dataset import Clip, SequenceSet
from action_gru.detection.detector import Detector, kinds_of
from action_gru.detection.frame_views import FrameView, MixedBackbone
from action_gru.detection.tracker import CONTINUES_SHARE
from action_gru.extraction import (
    ExtractionReport,
    Extractor,
    LazyFeatures,
    ViewKey,
    check_copies,
    check_quarantine,
    duplicates_across,
    free_memory_bytes,
    keep_quarantine,
    report_on_error,
)
from action_gru.launched import processes_here
from action_gru.measured import Measurements, measure
from action_gru.progress import Reporter
from action_gru.video import DecodeLimits
from action_gru.views.sampling import slow_clips_warning


@dataclass(frozen=True)
class FeatureTable:
    """The features of all usable clips, by clip name, and what became of the others.

    step_labels: the class of each row, by clip name, where every row has one.
    """

    by_clip: Mapping[str, Mapping[ViewKey, ClipFeatures | ChannelValues]]
    specs: tuple[FeatureSpec, ...] | tuple[ChannelSpec, ...]
    report: ExtractionReport
    flip: bool
    step_labels: Mapping[str, Sequence[str]] = field(default_factory=dict)
    measurements: Measurements | None = None
    most_bytes: int | None = None  # of a sequence set in memory

    def usable(self, clips: Sequence[Clip]) -> list[Clip]:
        return [clip for clip in clips if clip.name in self.by_clip]

    def sequences(self, clips: Sequence[Clip], classes: Sequence[str]) -> SequenceSet:
        """The clips' features with class numbers; every clip must be usable.

        They are read as they lie in the cache, and answer in the order of the clips.
        """
        asked, order = clips, self._reading_order(clips)
        clips = [asked[number] for number in order]
        views = [spec.view for spec in self.specs]
        number = {name: index for index, name in enumerate(classes)}

        def side(flipped: bool) -> Iterator[list[ClipFeatures | ChannelValues]]:
            for clip in clips:
                found = self.by_clip[clip.name]
                yield [found[ViewKey(view, flipped)] for view in views]

        labels = [number[clip.label] for clip in clips]
        steps = [[number[label] for label in self.step_labels.get(c.name, ())] for c in clips]
        made = SequenceSet(
            side(False),
            labels,
            side(True) if self.flip else None,
            steps if self.step_labels else None,
            self.most_bytes,
        )
        return made.only(torch.argsort(torch.tensor(order)))

    def _reading_order(self, clips: Sequence[Clip]) -> list[int]:
        if isinstance(self.by_clip, LazyFeatures):
            return self.by_clip.reading_order([clip.name for clip in clips])
        return list(range(len(clips)))

    @property
    def unit(self) -> str:
        """What times are counted in: seconds of video, else see channels."""
        return self.measurements.unit if self.measurements else SECONDS

    def times_s(self, clips: Sequence[Clip]) -> dict[str, NDArray[np.float64]]:
        """The sampled instants (T,) of each clip, by clip name; of measured rows the time since the
        first, in `unit`.
        """
        return {clip.name: _times(next(iter(self.by_clip[clip.name].values()))) for clip in clips}


def _times(view: ClipFeatures | ChannelValues) -> NDArray[np.float64]:
    return view.times_s if isinstance(view, ClipFeatures) else view.times - view.times[0]


def build_backbone(config: Config, threads: int | None = None) -> Backbone:
    """What gives every view of the config's features section its features. threads: at most; None:
    as it is.

    The network for pictures is not loaded where no view is a picture.
    """
    frame_views = build_frame_views(config)
    if not frame_views:
        return _build_pictures(config, threads)
    plain = set(config.features.views) <= set(FRAME_VIEWS)
    return MixedBackbone(None if plain else _build_pictures(config, threads), frame_views)


def _build_pictures(config: Config, threads: int | None) -> Backbone:
    features = config.features
    return Backbone(
        features.weights,
        layer=features.layer,
        image_size=None if features.image_size == "auto" else features.image_size,
        fit=features.fit,
        precision=features.precision,
        device=features.device,
        download=features.download,
        runtime=features.runtime,
        threads=threads,
        batch_size=features.batch_size,
        sha256=features.weights_sha256,
    )


def build_frame_views(config: Config) -> dict[str, FrameView]:
    """Those of features.views that are vectors, each with its detector."""
    built = {"detections": _detections_view, "pose": _pose_view}
    return {view: built[view](config) for view in config.features.views if view in built}


def _detections_view(config: Config) -> FrameView:
    detection, detector = config.detection, build_detector(config)
    return FrameView(
        "detections",
        detector,
        detector.weights,
        detector.weights_sha256,
        detector.image_size,
        kinds_of(detection.classes or detector.names, detector, "detection.classes"),
        detection.top,
        detection.min_score,
        detection.overlap,
        detection.tracker,
        config.sampling.fps,
    )


def _pose_view(config: Config) -> FrameView:
    pose = config.pose
    detector = Detector(
        pose.weights,
        task="pose",
        key="pose.weights",
        image_size=None if pose.image_size == "auto" else pose.image_size,
        min_score=pose.min_score * CONTINUES_SHARE,
        overlap=config.detection.overlap,
        device=config.features.device,
        download=config.features.download,
        sha256=pose.weights_sha256,
    )
    assert detector.keypoint_shape is not None
    return FrameView(
        "pose",
        detector,
        detector.weights,
        detector.weights_sha256,
        detector.image_size,
        (0,),
        pose.top,
        pose.min_score,
        config.detection.overlap,
        config.detection.tracker,
        config.sampling.fps,
        detector.keypoint_shape[0],
    )


def build_detector(config: Config) -> Detector:
    """The detector that the config's detection section names."""
    detection = config.detection
    return Detector(
        detection.weights,
        image_size=None if detection.image_size == "auto" else detection.image_size,
        min_score=detection.min_score * CONTINUES_SHARE,
        overlap=detection.overlap,
        device=config.features.device,
        download=config.features.download,
        sha256=detection.weights_sha256,
    )


def build_extractor(
    config: Config, backbone: Backbone, cache: FeatureCache | MemoryCache
) -> Extractor:
    """An extractor as the config's features and sampling sections describe it."""
    return Extractor(
        backbone,
        cache,
        fps=config.sampling.fps,
        views=config.features.views,
        flip=config.features.flip,
        workers=None if config.features.workers == "auto" else config.features.workers,
        batch_size=config.features.batch_size,
        limits=DecodeLimits(**config.decoding.model_dump()),
    )


def extract_features(
    config: Config,
    clips: Sequence[Clip],
    reporter: Reporter,
    folder: Path | None = None,
    max_bad_share: float | None = None,
    manifest: Path | None = None,
) -> FeatureTable:
    """Features of the clips, from the cache or the videos, or what was measured; quarantine.csv in
    folder if given.

    max_bad_share: by default the config's. manifest: where the clips were read from, by default as
    the config says. Raises DataError when too many clips are bad, or when the same video stands on
    two sides.
    """
    if config.data.kind != "video":
        return _measured_table(config, clips, reporter, folder, max_bad_share, manifest)
    backbone = build_backbone(config)
    extractor = build_extractor(config, backbone, FeatureCache(config.features.cache_dir))
    report = ExtractionReport()
    with report_on_error(report, reporter):
        with reporter.bar("extract", len(clips)) as advance:
            extractor.extract(clips, lambda clip: advance(note=clip.name), report)
        check_extraction(config, clips, report, reporter, folder, max_bad_share)
    specs = tuple(backbone.spec(view) for view in config.features.views)
    return read_features(config, clips, report, specs)


def read_features(
    config: Config,
    clips: Sequence[Clip],
    report: ExtractionReport,
    specs: tuple[FeatureSpec, ...],
) -> FeatureTable:
    """The table of an extraction of video that this or another process has made."""
    # Half for the clips themselves, half for the array that a model reads.
    room = _memory_bytes(config) // 2
    by_clip = LazyFeatures(FeatureCache(config.features.cache_dir), report, clips, room)
    return FeatureTable(by_clip, specs, report, config.features.flip, most_bytes=room)


def check_extraction(
    config: Config,
    clips: Sequence[Clip],
    report: ExtractionReport,
    reporter: Reporter,
    folder: Path | None = None,
    max_bad_share: float | None = None,
) -> None:
    """Tell what an extraction met, and raise DataError as `extract_features` does."""
    for problem in report.damaged:
        reporter.warn(f"a damaged cache entry was extracted again: {problem}", damaged=problem)
    slow = slow_clips_warning(report.slow, report.read, config.sampling.fps)
    if slow is not None:
        reporter.warn(slow, slow=report.slow)
    keep_quarantine(report, reporter, folder)
    allowed = config.data.max_bad_share if max_bad_share is None else max_bad_share
    check_quarantine(report, allowed, folder)
    if not config.data.allow_leakage:
        check_copies(clips, report)


def _memory_bytes(config: Config) -> int:
    """How much of the features each process of this machine may keep in memory."""
    wanted = config.features.memory_gb
    room = free_memory_bytes() // 2 if wanted == "auto" else int(wanted * 1e9)
    return room // processes_here()


def _measured_table(
    config: Config,
    clips: Sequence[Clip],
    reporter: Reporter,
    folder: Path | None,
    max_bad_share: float | None,
    manifest: Path | None,
) -> FeatureTable:
    """The table of measured clips. Equal sequences on two sides are told, not refused: sensors that
    stand still look alike, and the published splits of archives are what they are.
    """
    found = measure(config, clips, manifest)
    content = {name: item.content for name, item in found.items.items()}
    report = ExtractionReport(len(clips), quarantined=found.quarantined, content=content)
    report.read = len(clips) - len(found.quarantined)
    report.frames = sum(len(item.rows.times) for item in found.items.values())
    keep_quarantine(report, reporter, folder)
    check_quarantine(
        report, config.data.max_bad_share if max_bad_share is None else max_bad_share, folder
    )
    _tell_what_is_missing(found, clips, reporter)
    copies = duplicates_across(clips, content)
    if copies:
        first, second = copies[0]
        reporter.warn(
            f"{len(copies)} pairs of equal sequences stand on two sides of the split, such as "
            f"{first.name} ({first.split}) and {second.name} ({second.split}): a score on them "
            "is too good"
        )
    by_clip = {
        name: {ViewKey(spec.view): view for spec, view in zip(found.specs, views, strict=True)}
        for name, views in found.views.items()
    }
    steps = {name: item.step_labels for name, item in found.items.items() if item.step_labels}
    return FeatureTable(by_clip, found.specs, report, False, steps, found)


def _tell_what_is_missing(found: Measurements, clips: Sequence[Clip], reporter: Reporter) -> None:
    missing, count = found.missing([clip.name for clip in clips])
    if missing:
        reporter.say(f"{missing} of {count} values are missing ({missing / count:.2%})")
    training = [clip.name for clip in clips if clip.split == "train"]
    empty = found.empty_channels(training) if training else []
    if empty:
        reporter.warn(
            f"no training sequence has a value of {', '.join(empty[:5])}: the model leaves "
            f"{'it' if len(empty) == 1 else 'them'} out"
        )
