"""Writes the manifest CSV, or the table, of a dataset as published.

Owns which builder reads which dataset; knows nothing of frames, features or models. Paths in a
manifest are relative to PreparedDataset.root.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from action_gru.core.errors import DataError
from action_gru.core.paths import PICTURE_SUFFIXES, is_frames
from action_gru.core.text import command_line, counted, name_some
from action_gru.prepare.annotations import PreparedAnnotations, prepare_annotations, root_of
from action_gru.prepare.benchmarks import build_fights, build_hmdb51, build_kth, build_ucf101
from action_gru.prepare.files import counts_text, has_links, how_to_unpack
from action_gru.prepare.folder import build_folder, left_aside
from action_gru.prepare.gestures import build_gesture_phases
from action_gru.prepare.id_lists import build_by_id, build_kinetics
from action_gru.prepare.rows import (
    MANY_LABELS,
    Content,
    Row,
    content_of,
    write_content,
    write_missing,
)
from action_gru.prepare.timed_labels import build_ava, build_charades, build_falls
from action_gru.prepare.turbofan import build_cmapss

__all__ = [
    "BUILDERS",
    "Options",
    "PreparedAnnotations",
    "PreparedDataset",
    "Row",
    "prepare",
    "prepare_annotations",
]


@dataclass(frozen=True)
class Options:
    """split: which official split. subset: which part of cmapss. splits: of a folder of own data,
    whether folders called train, val and test are splits or classes; by default splits where all
    are called so, and an error where only some are. follow_links: whether links in the folder are
    followed, which are an error otherwise.
    """

    split: int = 1
    subset: str = "FD001"
    splits: bool | None = None
    follow_links: bool = False


BUILDERS: dict[str, Callable[[Path, Options], Content]] = {
    "folder": lambda root, options: content_of(build_folder(root, options.splits)),
    "ucf101": lambda root, options: content_of(build_ucf101(root, options.split)),
    "hmdb51": lambda root, options: content_of(build_hmdb51(root, options.split)),
    "kth": lambda root, options: content_of(build_kth(root)),
    "fights": lambda root, options: content_of(build_fights(root)),
    "kinetics": lambda root, options: content_of(build_kinetics(root)),
    "something": lambda root, options: content_of(build_by_id(root, "something")),
    "jester": lambda root, options: content_of(build_by_id(root, "jester")),
    "ava": lambda root, options: content_of(build_ava(root), MANY_LABELS),
    "charades": lambda root, options: content_of(build_charades(root), MANY_LABELS),
    "falls": lambda root, options: content_of(build_falls(root), MANY_LABELS),
    "gesture_phases": lambda root, options: build_gesture_phases(root),
    "cmapss": lambda root, options: build_cmapss(root, options.subset),
}
OFFICIAL_SPLITS = {"ucf101": 3, "hmdb51": 3}  # the others have one


@dataclass(frozen=True)
class PreparedDataset:
    """What was written. splits: items in each, empty where the dataset has none.

    counts: clips, classes and groups of a manifest, and how many clips are frames whose rate is not
    known; nothing for a table. left_aside: of a folder of own data, the files that are in no row:
    ending -> how many. missing: the files that the dataset names and that are not there;
    missing_list: the CSV that lists them. settings, items, config: see Content.
    """

    root: Path
    manifest: Path
    splits: dict[str, int]
    counts: dict[str, int] = field(default_factory=dict)
    left_aside: dict[str, int] = field(default_factory=dict)
    missing: tuple[str, ...] = ()
    missing_list: Path | None = None
    settings: tuple[str, ...] = ()
    items: str = ""
    config: str = ""

    def document(self) -> dict[str, Any]:
        """The answer of `prepare --json`."""
        document = {"manifest": str(self.manifest), "root": str(self.root), **self.counts}
        left = {"left_aside": self.left_aside, "missing": len(self.missing)} if self.counts else {}
        return {**document, "splits": self.splits, **left}

    def warnings(self) -> list[str]:
        """Which files are missing."""
        if not self.missing:
            return []
        files = counted(len(self.missing), "file")
        return [
            f"left out {files} not found: {name_some(self.missing)}; all are listed in "
            f"{self.missing_list}"
        ]

    def sentences(self) -> list[str]:
        """What is in it, what is not, and the command that trains on it."""
        if not self.counts:
            manifest = f"data.manifest={self.manifest}"
            command = command_line("action-gru", "train", self.config, manifest)
            return [f"{self.items}; next: {command}"]
        clips, groups = self.counts["clips"], self.counts["groups"]
        parts = "".join(f", {count} in {name}" for name, count in self.splits.items())
        frames = self.counts.get("frames", 0)
        rate = ["data.frame_rate=FPS"] if frames else []
        overrides = (*root_of(self.manifest, self.root), *rate, *self.settings)
        command = command_line("action-gru", "train", self.manifest, *overrides)
        classes = counted(self.counts["classes"], "class")
        known = counted(groups, "group") if groups else "no groups"
        summary = f"{counted(clips, 'clip')}{parts}, {classes}, {known}"
        sentences = [f"{summary}; next: {command}"]
        if frames:
            sentences.insert(
                0,
                f"{frames} of the clips are folders or archives of frames; FPS is the rate at "
                "which they were taken, and may stand in a column frame_rate instead",
            )
        if left := sum(self.left_aside.values()):
            has_pictures = PICTURE_SUFFIXES & self.left_aside.keys()
            note = "; their numbers make no clip of the pictures" if has_pictures else ""
            aside = f"{counts_text(self.left_aside)}{note}"
            files = counted(left + clips, "file")
            sentences.insert(0, f"left aside {left} of {files}, as no clips: {aside}")
        return sentences


def prepare(
    dataset: str,
    source: Path,
    manifest: Path | None = None,
    options: Options | None = None,
    *,
    overwrite: bool = False,
) -> PreparedDataset:
    """Write the manifest of a dataset folder, by default into that folder.

    Raises DataError for a dataset that is incomplete, packed or of another layout, and for a
    manifest that exists and differs, unless overwrite.
    """
    options = options or Options()
    if dataset not in BUILDERS:
        raise DataError(f"{dataset!r} is no known dataset; choose one of {', '.join(BUILDERS)}")
    most = OFFICIAL_SPLITS.get(dataset, 1)
    if not 1 <= options.split <= most:
        have = "one split" if most == 1 else f"the splits 1 to {most}"
        raise DataError(f"{dataset} has {have}, got --split {options.split}; choose one of these")
    if options.splits is not None and dataset != "folder":
        raise DataError(f"{dataset} brings its own splits; leave --splits and --no-splits out")
    if not source.exists():
        raise DataError(f"{source}: does not exist; pass the dataset's folder")
    if not source.is_dir():
        raise DataError(f"{source}: is no folder. {how_to_unpack(source) or 'Pass the folder'}")
    root = source.resolve()
    link = has_links(root, options.follow_links)
    try:
        content = BUILDERS[dataset](root, options)
    except DataError as error:
        if packed := how_to_unpack(root):
            raise DataError(f"{error}. {packed}") from error
        raise
    manifest = manifest or root / content.name
    write_content(manifest, content, overwrite=overwrite)
    listed = write_missing(manifest.parent, content.missing)
    left = left_aside(root, content.paths, manifest) if dataset == "folder" else {}
    missing = tuple(dict.fromkeys(path for path, _ in content.missing))
    is_rated = "frame_rate" in content.text.partition("\n")[0]
    frames = 0 if is_rated else sum(is_frames(root / path) for path in content.paths)
    counts = content.counts | ({"frames": frames} if frames else {})
    settings = (*content.settings, *(["data.follow_links=true"] if link else []))
    found = (root, manifest, content.splits, counts, left)
    told = (content.items, content.config)
    return PreparedDataset(*found, missing, listed, settings, *told)
