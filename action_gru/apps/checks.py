"""Refuses within a second what cannot work: torch and its like are not imported.

Each check raises the error that the work itself would raise later, and reads no more than names,
YAML, a CSV and a checkpoint's metadata. The last ones check where a command is to write.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from action_gru.backbone import FRAME_VIEWS
from action_gru.backbone.weight_files import (
    EDGE_PACKAGES,
    RUNTIME_PACKAGES,
    exported_for,
    hub_of,
    local_weights,
    needed_by,
    network_file,
    runtime_of,
)
from action_gru.config import Config, build_config, check_files
from action_gru.core.errors import ConfigError, DataError, MissingExtraError, VideoError
from action_gru.core.paths import instead_of, is_frames, kind_of, missing
from action_gru.dataset.manifest import SPLITS
from action_gru.dataset.segments import read_labelled
from action_gru.timeline import FORMATS
from action_gru.timeline.sentences import load_words
from action_gru.training import Document, RunFolder, read_document
from action_gru.training.document import (
    alarm_class,
    check_background,
    check_exportable,
    check_reads_rows,
    check_reads_video,
    check_runs_live,
    check_settings,
)
from action_gru.video.live_reader import parse_source

VIDEOS = (".mp4", ".mov", ".mkv")
PICTURE, SENTENCES = ".png", ".txt"
PROBE = "import cv2; cv2.namedWindow('probe'); cv2.destroyAllWindows()"


def check_video(path: Path) -> None:
    """Raise VideoError where there is no file, or plainly something else than a video."""
    if sentence := instead_of("a video", path):
        raise VideoError(sentence)
    if not path.is_file() and not is_frames(path):
        raise VideoError(f"{missing('video', path)}; check the path")


def check_model(run: Path, overrides: Sequence[str], live: bool = False) -> tuple[Document, Config]:
    """The metadata of a model of video, and the config that it is used with.

    live: it is to answer frame by frame.
    """
    document = read_document(run)
    check_reads_video(document.features)
    config = build_config(document.config, overrides)
    if live:
        check_runs_live(bool(document.model.get("bidirectional")))
        check_background(config, document.classes)
    check_settings(document.features, document.sampling.fps, config)
    check_network(config)
    return document, config


def check_sources(sources: Sequence[str]) -> None:
    """Raise VideoError for a live source that is none, and for a file that is not there."""
    for text in sources:
        if parse_source(text).kind == "file":
            check_video(Path(text))


def check_display() -> None:
    """Raise VideoError where OpenCV would end the process instead: it is tried in another one."""
    if sys.platform != "linux":
        return
    display = os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    reason = "neither DISPLAY nor WAYLAND_DISPLAY is set"
    if display:
        tried = subprocess.run([sys.executable, "-c", PROBE], capture_output=True, check=False)
        if tried.returncode == 0:
            return
        reason = f"display '{display}' does not answer, or OpenCV was built without windows"
    raise VideoError(
        f"no window can be opened ({reason}); use --no-window (with --json for a program, with "
        "--record for a video), or run it on a desktop"
    )


def check_detection(config: Config, per_person: bool, in_words: bool = False) -> None:
    """Raise if people cannot be detected and followed, or sentences not be written."""
    if per_person:
        need("lap", "people", "following boxes from frame to frame")
    if in_words:
        load_words(config.describe.language, config.describe.templates)
    if per_person or (in_words and config.describe.detect):
        _check_boxes(config, "detection")


def _check_boxes(config: Config, section: str) -> None:
    """Raise where a detector's weights, or what runs them, are not to be had."""
    weights, key = getattr(config, section).weights, f"{section}.weights"
    local_weights(weights, config.features.download, key)
    if runtime := exported_for(weights):
        need(RUNTIME_PACKAGES[runtime], runtime, f"{key}={weights}")


def check_rows_model(run: Path, overrides: Sequence[str], source: str, alarm: str | None) -> None:
    """Raise where a model cannot watch the rows of a file, or of stdin ('-'), for a class."""
    document = read_document(run)
    check_reads_rows(document.features)
    config = build_config(document.config, overrides)
    alarm_class(alarm, document.classes, config.series.horizon is not None)
    if kind_of(Path(source)) == "a video":
        raise DataError(
            f"{source} is a video, and {run} reads measured rows: name a CSV, or - for stdin; "
            "'action-gru classify' and 'timeline' read videos, with a run that was trained on some"
        )
    if source != "-" and not Path(source).is_file():
        raise DataError(f"{missing('file', Path(source))}; name a CSV, or - for stdin")


def check_export(run: Path, overrides: Sequence[str], runtime: str, int8: bool = False) -> None:
    """Raise where a run cannot be written for a runtime."""
    document = read_document(run)
    if int8:
        if runtime != "openvino":
            raise ConfigError(f"--int8: is for --format openvino, got {runtime}; leave one out")
        check_reads_video(document.features)
        need("nncf", "int8", "export --int8")
    check_exportable(document.features, run)
    check_network(build_config(document.config, overrides))
    purpose = f"export --format {runtime}"
    if runtime not in EDGE_PACKAGES:
        _need_runtime(runtime, purpose)
    for package in EDGE_PACKAGES.get(runtime, ()):
        need(package, runtime, purpose)


def check_work(config: Config) -> Config:
    """The config of a training or extraction; raises if its files are missing."""
    check_files(config)
    if config.data.is_video:
        assert config.data.manifest is not None
        data = config.data
        read_labelled(config.data.manifest, data.root, data.classes, **config.manifest_options)
    check_folder(f"run.folder: {config.run.folder}", config.run.folder)
    check_network(config)
    return config


def check_begun(path: Path, overrides: Sequence[str]) -> None:
    """Raise where a run cannot be resumed: no run, no such keys, or its data is gone."""
    config = RunFolder.open(path).config(overrides)
    last = path / "last.safetensors"
    if last.is_file():
        read_document(last)
    check_network(config)


def check_run(
    path: Path,
    overrides: Sequence[str],
    manifest: Path | None = None,
    root: Path | None = None,
    split: str | None = None,
) -> Config:
    """The config of a finished run that may be scored on a split, or on other clips."""
    config = RunFolder.open(path).config(overrides)
    document = read_document(path)
    if split is not None and split not in SPLITS:
        raise ConfigError(f"--split {split}: is none of {', '.join(SPLITS)}")
    if manifest is not None and config.data.is_video:
        if sentence := instead_of("a manifest", manifest):
            raise DataError(f"--manifest: {sentence}")
        read_labelled(manifest, root, document.classes, **config.manifest_options)
    if document.sampling.fps and config.data.is_video:
        check_settings(document.features, document.sampling.fps, config)
        check_network(config)
    return config


def check_network(config: Config) -> None:
    """Raise where a network that gives the views their features is not to be had."""
    features = config.features
    if not config.data.is_video:
        return
    for view in set(features.views) & set(FRAME_VIEWS):
        if sections := FRAME_VIEWS[view].sections:
            _check_boxes(config, sections[-1])
    if set(features.views) <= set(FRAME_VIEWS):
        return
    purpose = f"features.weights={features.weights}"
    if hub := hub_of(features.weights):
        need(hub[0], "timm", purpose)  # torchvision comes with ultralytics
    elif runtime := runtime_of(features.weights):
        network_file(features.weights)
        _need_runtime(runtime, purpose)
    else:
        local_weights(features.weights, features.download)
    if features.runtime in RUNTIME_PACKAGES:
        _need_runtime(features.runtime, f"features.runtime={features.runtime}")


def _need_runtime(runtime: str, purpose: str) -> None:
    for package in needed_by(runtime):
        need(package, runtime, purpose)


def need(package: str, extra: str, purpose: str) -> None:
    """Raise MissingExtraError where a package is not installed; it is not imported."""
    if importlib.util.find_spec(package) is None:
        raise MissingExtraError(package, extra, purpose)


def check_target(
    option: str, target: Path, suffixes: tuple[str, ...], kept: Sequence[Path]
) -> None:
    """Raise ConfigError where a file could not be written, or would replace one of `kept`."""
    folder, endings = target.absolute().parent, ", ".join(suffixes)
    for problem, found in {
        f"unknown ending '{target.suffix}'; use {endings}": target.suffix.lower() not in suffixes,
        "is a folder; name a new file": target.is_dir(),
        "would replace a file that is read or written; choose another": (
            target.resolve() in [path.resolve() for path in kept]
        ),
        f"no folder {folder}; make it first": not folder.is_dir(),
    }.items():
        if found:
            raise ConfigError(f"{option} {target}: {problem}")
    # As long as the longest name that the writing itself will use beside the target.
    probe = folder / f".{target.name}.{os.getpid()}.{'0' * 15}.part"
    try:
        probe.write_bytes(b"probe")
    except OSError as error:
        problem = f"cannot be written ({error.strerror or error})"
        raise ConfigError(f"{option} {target}: {problem}") from error
    finally:
        probe.unlink(missing_ok=True)


def check_timeline_targets(targets: Sequence[Path], kept: Sequence[Path], in_words: bool) -> None:
    """Each `--out` of a timeline; sentences are only written where there are any."""
    endings = (*FORMATS, PICTURE, *([SENTENCES] if in_words else []))
    for index, target in enumerate(targets):
        check_target("--out", target, endings, [*kept, *targets[:index]])


def check_folder(named: str, folder: Path) -> None:
    """Raise ConfigError where nothing could be written into a folder, made if need be.

    named: what errors begin with.
    """
    nearest = next(place for place in (folder, *folder.absolute().parents) if place.exists())
    if not nearest.is_dir():
        which = "" if nearest == folder else f": {nearest}"
        raise ConfigError(f"{named}{which} is a file; choose another folder")
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise ConfigError(f"{named}: cannot be written ({nearest} allows it not); name another")


def check_picture_or_folder(option: str, target: Path, kept: Sequence[Path]) -> None:
    """The same for a .png, or for a folder that gets one."""
    if target.suffix.lower() == ".png" and not target.is_dir():
        check_target(option, target, (".png",), kept)
    elif target.suffix and not target.is_dir():
        raise ConfigError(f"{option} {target}: is neither a folder nor a .png; name one of these")
    else:
        check_folder(f"{option} {target}", target)
