"""The kinds of data, and what builds an extraction: the only file of this room that sees a Config.

`Source` is what every kind of data gives; the model's side of a `FeatureTable` cannot tell one from
another.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

from action_gru.backbone import FRAME_VIEWS, Backbone, FeatureSpec
from action_gru.backbone.weight_files import local_weights
from action_gru.config import Config, build_config
from action_gru.core.errors import BackboneError, MissingExtraError, VideoError
from action_gru.core.machine import processes_here
from action_gru.core.progress import Reporter
from action_gru.core.text import counted
from action_gru.dataset import Clip
from action_gru.dataset.segments import StepLabels, labels_at, read_labelled, rows_past
from action_gru.detection.detector import Detector
from action_gru.detection.frame_views import MixedBackbone, VectorView, following_detector
from action_gru.features.extractor import Extractor
from action_gru.features.report import (
    ExtractionReport,
    LazyFeatures,
    check_copies,
    check_quarantine,
    free_memory_bytes,
    report_on_error,
)
from action_gru.features.sequences import FeatureTable
from action_gru.features.store import FeatureCache, MemoryCache
from action_gru.video import DecodeLimits, VideoFile
from action_gru.video.array import ArrayVideo
from action_gru.views.pictures import VIEWS
from action_gru.views.sampler import FRAME, pictures
from action_gru.views.sampling import cut_clips_warning, slow_clips_warning

CLIPS_LOOKED_AT = 12  # by `people_hint`, at most


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
    source: Source = _load(config.data.traits.source)(config, manifest, root, classes)
    return source


def _load(address: str) -> Any:
    """What an address such as 'package.module:name' names."""
    module, _, name = address.partition(":")
    return getattr(import_module(module), name)


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
        root = self.root if self.manifest else self.root or data.root
        manifest = self.manifest or data.manifest
        assert manifest is not None
        classes = self.classes or data.classes
        return read_labelled(manifest, root, classes, **self.config.manifest_options)

    def features(
        self,
        clips: Sequence[Clip],
        reporter: Reporter,
        folder: Path | None = None,
        max_bad_share: float | None = None,
    ) -> FeatureTable:
        """Raises DataError, too, when the same video is on two sides."""
        config = self.config
        backbone = build_backbone(config)
        extractor = build_extractor(config, backbone, FeatureCache(config.features.cache_dir))
        if backbone.note:
            reporter.warn(backbone.note)
        report = ExtractionReport()
        with report_on_error(report, reporter):
            with reporter.bar("extract", len(clips)) as advance:
                extractor.extract(clips, lambda clip: advance(note=clip.name), report)
            check_extraction(config, clips, report, reporter, folder, max_bad_share)
        specs = tuple(backbone.spec(view) for view in config.features.views)
        return read_features(config, clips, report, specs)


def check_extraction(
    config: Config,
    clips: Sequence[Clip],
    report: ExtractionReport,
    reporter: Reporter,
    folder: Path | None = None,
    max_bad_share: float | None = None,
) -> None:
    """Warn of what an extraction met, and raise DataError as `VideoSource.features` does."""
    for problem in report.damaged:
        reporter.warn(f"a damaged cache entry was extracted again: {problem}", damaged=problem)
    slow = slow_clips_warning(report.slow, report.read, config.sampling.fps)
    if slow is not None:
        reporter.warn(slow, slow=report.slow)
    cut = cut_clips_warning(report.cut, report.read)
    if cut is not None:
        reporter.warn(cut, cut=report.cut)
    allowed = config.data.max_bad_share if max_bad_share is None else max_bad_share
    if report.notes:
        name, note = next(iter(report.notes.items()))
        reporter.warn(
            f"{counted(len(report.notes), 'clip')} of which something is to be known; the first is "
            f"{name}: {note}",
            notes=report.notes,
        )
    check_quarantine(report, reporter, folder, allowed)
    if not config.data.allow_leakage:
        check_copies(clips, report)


def read_features(
    config: Config,
    clips: Sequence[Clip],
    report: ExtractionReport,
    specs: tuple[FeatureSpec, ...],
) -> FeatureTable:
    """The table of an extraction of video that this or another process has made."""
    wanted = config.features.memory_gb
    room = free_memory_bytes() // 2 if wanted == "auto" else int(wanted * 1e9)
    # Half for the clips themselves, half for the array that a model reads.
    room = room // processes_here() // 2
    by_clip = LazyFeatures(FeatureCache(config.features.cache_dir), report, clips, room)
    videos = {clip.name: clip for clip in clips if clip.stretches and clip.name in by_clip}
    return FeatureTable(
        by_clip,
        specs,
        report,
        config.features.flip,
        InstantLabels(by_clip, videos, config.label_rules),
        most_bytes=room,
        many=config.data.labels == "many",
        dense=config.data.task == "frames",
    )


class InstantLabels(Mapping[str, StepLabels]):
    """The labels of the sampled instants of long videos by name, made when they are asked for.

    rules: see `Config.label_rules`. past: by video, the rows that begin after its last instant, of
    the videos that were asked for.
    """

    def __init__(
        self, by_clip: LazyFeatures, videos: Mapping[str, Clip], rules: dict[str, Any]
    ) -> None:
        self._by_clip, self._videos, self._rules = by_clip, videos, rules
        self.past: dict[str, list[str]] = {}

    def __getitem__(self, name: str) -> StepLabels:
        times_s = next(iter(self._by_clip[name].values())).times_s
        self.past[name] = rows_past(times_s, self._videos[name])
        return labels_at(times_s, self._videos[name], **self._rules)

    def __iter__(self) -> Iterator[str]:
        return iter(self._videos)

    def __len__(self) -> int:
        return len(self._videos)


def make_extractor(tree: dict[str, Any]) -> Extractor:
    """The extractor of a config's plain tree, as workers of a cluster get it."""
    config = build_config(tree)
    return build_extractor(config, build_backbone(config), FeatureCache(config.features.cache_dir))


def build_extractor(
    config: Config,
    backbone: Backbone,
    cache: FeatureCache | MemoryCache,
    most_frames: int | None = None,
    held: Mapping[str, ArrayVideo] | None = None,
) -> Extractor:
    """An extractor as the config's features and sampling sections describe it. held: see there."""
    features = config.features
    return Extractor(
        backbone,
        cache,
        fps=config.sampling.fps,
        views=features.views,
        flip=features.flip,
        workers=None if features.workers == "auto" else features.workers,
        batch_size=features.batch_size,
        limits=DecodeLimits(**config.decoding.model_dump()),
        most_frames=most_frames,
        held=held,
    )


def build_backbone(config: Config, threads: int | None = None) -> Backbone:
    """What gives every view of the config's features section its features. threads: at most; None:
    as it is.

    The network for pictures is not loaded where no view is a picture.
    """
    vectors = {
        view: build_vector_view(config, view)
        for view in config.features.views
        if view in FRAME_VIEWS
    }
    if not vectors:
        return _build_pictures(config, threads)
    plain = set(config.features.views) <= set(vectors)
    return MixedBackbone(None if plain else _build_pictures(config, threads), vectors)


def _build_pictures(config: Config, threads: int | None) -> Backbone:
    features = config.features
    backbone = Backbone(
        features.weights,
        layer=features.layer,
        image_size=None if features.image_size == "auto" else features.image_size,
        fit=features.fit,
        precision=features.precision,
        device=features.device,
        download=features.download,
        runtime=features.runtime,
        threads=threads,
        sha256=features.weights_sha256,
        cuda_graphs=features.cuda_graphs,
    )
    weighing = [view for view in features.views if view in VIEWS and VIEWS[view].channels == 4]
    if weighing and not backbone.has_maps:
        raise BackboneError(
            f"features.views: {weighing[0]} weighs places, and {backbone.weights} gives one vector "
            "for the whole picture; choose other views, or export the network up to its last map"
        )
    return backbone


def build_vector_view(config: Config, view: str) -> VectorView:
    """One of FRAME_VIEWS, from the keys of its sections; of one name the last section's counts."""
    kind = FRAME_VIEWS[view]
    keys: dict[str, Any] = {
        "fps": config.sampling.fps,
        "device": config.features.device,
        "download": config.features.download,
    }
    for section in kind.sections:
        keys |= getattr(config, section).model_dump()
    made: VectorView = _load(kind.builder)(**keys)
    return made


def build_detector(config: Config) -> Detector:
    """The detector that the config's detection section names."""
    features = config.features
    keys = config.detection.model_dump()
    return following_detector(**keys, device=features.device, download=features.download)


def people_hint(config: Config, clips: Sequence[Clip]) -> str | None:
    """What to say if people are seen in most clips and no view reads how they stand and move.

    Looks at the first frame of a few clips. None where no usable pose network is on this machine:
    nothing is fetched for a hint.
    """
    if not config.data.is_video or "pose" in config.features.views:
        return None
    try:
        if not local_weights(config.pose.weights, True, "pose.weights").exists():
            return None
        keys = config.pose.model_dump()
        detector = following_detector("pose", device=config.features.device, download=False, **keys)
    except (BackboneError, MissingExtraError):  # of a setting that this run does not use
        return None
    looked = clips[:: max(1, -(-len(clips) // CLIPS_LOOKED_AT))]
    seen = sum(_shows_people(config, clip, detector) for clip in looked)
    if 2 * seen <= len(looked):
        return None
    return (
        f"people are seen in {seen} of {counted(len(looked), 'clip')} looked at: the view pose may "
        "help (configs/people.yaml), most of all in places that were never seen. It costs one "
        "detection a frame: 1.5 to 3 times the time of two picture views (docs/people.md)"
    )


def _shows_people(config: Config, clip: Clip, detector: Detector) -> bool:
    limits = DecodeLimits(**config.decoding.model_dump())
    when = {"fps": config.sampling.fps, "start_s": clip.start_s, "end_s": clip.end_s}
    try:
        with VideoFile(clip.path, 1, limits, clip.frame_rate) as video:
            size: dict[str, Any] = {"views": [], "size_px": 32, "fit": "squash", "whole": True}
            samples = video.run(pictures, **size, **when)
            found = detector([made[FRAME] for _, made in itertools.islice(samples, 1)])
    except (VideoError, OSError):  # extraction says what is wrong with it
        return False
    return any((one.scores >= config.pose.min_score).any() for one in found)
