"""From clips to the arrays a model trains on: extraction, quarantine, and the sequence set.

The only place that knows both the config's `features` section and the classes below it. `Source` is
what every kind of data gives; what is right of the sequence set cannot tell one from another.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from action_gru.backbone import FRAME_VIEWS, Backbone, FeatureSpec
from action_gru.config import Config
from action_gru.core.machine import processes_here
from action_gru.core.progress import Reporter
from action_gru.dataset import Clip, read_manifest
from action_gru.dataset.channels import SECONDS, ChannelSpec, ChannelValues
from action_gru.detection.detector import CONTINUES_SHARE, Detector, kinds_of
from action_gru.detection.frame_views import FrameView, MixedBackbone
from action_gru.features.clip import ViewKey
from action_gru.features.entry import ClipFeatures
from action_gru.features.extractor import Extractor
from action_gru.features.lazy import LazyFeatures, free_memory_bytes
from action_gru.features.report import (
    ExtractionReport,
    check_copies,
    check_quarantine,
    keep_quarantine,
    report_on_error,
)
from action_gru.features.sequences import SequenceSet
from action_gru.features.store import FeatureCache, MemoryCache
from action_gru.video import DecodeLimits
from action_gru.views.sampling import slow_clips_warning


@dataclass(frozen=True)
class FeatureTable:
    """The features of all usable clips, by clip name, and what became of the others.

    step_labels: the class of each row, where every row has one. remaining: how long the thing
    still lasts after each row, where known. missing: of measured clips, how many values are
    missing, of how many. unit: what times are counted in (see channels).
    most_bytes: of a sequence set in memory.
    """

    by_clip: Mapping[str, Mapping[ViewKey, ClipFeatures | ChannelValues]]
    specs: tuple[FeatureSpec, ...] | tuple[ChannelSpec, ...]
    report: ExtractionReport
    flip: bool = False
    step_labels: Mapping[str, Sequence[str]] = field(default_factory=dict)
    remaining: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)
    missing: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    unit: str = SECONDS
    most_bytes: int | None = None

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

    def missing_values(self, clips: Sequence[Clip]) -> tuple[int, int]:
        """(missing values, all values) of some clips; (0, 0) of video."""
        counts = [self.missing.get(clip.name, (0, 0)) for clip in clips]
        return sum(missing for missing, _ in counts), sum(count for _, count in counts)

    def times_s(self, clips: Sequence[Clip]) -> dict[str, NDArray[np.float64]]:
        """The sampled instants (T,) of each clip, by clip name; of measured rows the time since the
        first, in `unit`.
        """
        return {clip.name: next(iter(self.by_clip[clip.name].values())).times_s for clip in clips}


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
    """Tell what an extraction met, and raise DataError as `VideoSource.features` does."""
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


class Source(Protocol):
    """A kind of data: which clips there are, and their features."""

    def clips(self) -> list[Clip]:
        """The clips of the manifest. Raises DataError for data that cannot be used."""
        ...

    def features(
        self,
        clips: Sequence[Clip],
        reporter: Reporter,
        folder: Path | None = None,
        max_bad_share: float | None = None,
    ) -> FeatureTable:
        """The features of clips that `clips` gave; quarantine.csv in folder if given.

        max_bad_share: by default the config's. Raises DataError when too many clips are bad.
        """
        ...


def data_source(
    config: Config,
    manifest: Path | None = None,
    root: Path | None = None,
    classes: Sequence[str] | None = None,
) -> Source:
    """The data that the config names, or a manifest of the same kind.

    root: where its paths start; classes: those that labels may have; by default as the config says.
    """
    module, _, name = config.data.traits.source.partition(":")
    source: Source = getattr(import_module(module), name)(config, manifest, root, classes)
    return source


@dataclass(frozen=True)
class VideoSource:
    """Clips of video files by manifest; their features from the cache, or extracted."""

    config: Config
    manifest: Path | None = None
    root: Path | None = None
    classes: Sequence[str] | None = None

    def clips(self) -> list[Clip]:
        """Every clip of the manifest."""
        data = self.config.data
        if self.manifest is not None:
            return read_manifest(self.manifest, self.root, self.classes or data.classes)
        assert data.manifest is not None
        return read_manifest(data.manifest, self.root or data.root, self.classes or data.classes)

    def features(
        self,
        clips: Sequence[Clip],
        reporter: Reporter,
        folder: Path | None = None,
        max_bad_share: float | None = None,
    ) -> FeatureTable:
        """Raises DataError, too, when the same video stands on two sides."""
        config = self.config
        backbone = build_backbone(config)
        extractor = build_extractor(config, backbone, FeatureCache(config.features.cache_dir))
        report = ExtractionReport()
        with report_on_error(report, reporter):
            with reporter.bar("extract", len(clips)) as advance:
                extractor.extract(clips, lambda clip: advance(note=clip.name), report)
            check_extraction(config, clips, report, reporter, folder, max_bad_share)
        specs = tuple(backbone.spec(view) for view in config.features.views)
        return read_features(config, clips, report, specs)
