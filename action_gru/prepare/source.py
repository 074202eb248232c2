"""What a user points at, as a config: a YAML file, a manifest, a folder of classes, annotations.

Owns which of them a path is, and the manifest of a folder that changes between two calls. A folder
is the truth about its clips and classes; its manifest.csv keeps what a folder cannot say: group,
split and bounds.
"""

from __future__ import annotations

import csv
import io
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from action_gru.config import Config, build_config, load_config
from action_gru.core.arguments import brief
from action_gru.core.csv_dialect import open_table
from action_gru.core.errors import ConfigError, DataError
from action_gru.core.files import write_or_raise
from action_gru.core.paths import composed, instead_of, missing, on_disk
from action_gru.core.text import counted, name_some
from action_gru.prepare.annotations import annotated
from action_gru.prepare.files import clips_in, counts_text, has_links
from action_gru.prepare.folder import build_folder, left_aside
from action_gru.prepare.project import CACHE, is_project, read_project, take_of
from action_gru.prepare.project_groups import divisible
from action_gru.prepare.rows import Row, content_of, csv_text, read_kept

MANIFEST = "manifest.csv"
CONFIGS, TABLES = (".yaml", ".yml"), (".csv", ".tsv")
ANNOTATIONS = (".eaf", ".xml", ".json", ".boris", ".vtt", ".srt", ".txt")
WANTED = "a folder of clips, a CSV or a config"
# The words that people need most, and the keys of the config that they are short for.
WORDS = {
    "views": "features.views",
    "weights": "features.weights",
    "fps": "sampling.fps",
    "many": "data.labels",
    "name": "run.name",
    "epochs": "training.epochs",
    "seed": "training.seed",
}


@dataclass(frozen=True)
class Source:
    """The config of what a user points at.

    manifest: the text of config.data.manifest where it is to be written. notes: what to tell.
    """

    config: Config
    manifest: str | None = None
    notes: tuple[str, ...] = ()

    def written(self, folder: Path | None = None) -> Config:
        """The config, its manifest written. folder: where instead, with the same paths in it.

        Raises DataError where it cannot be written.
        """
        path, data = self.config.data.manifest, self.config.data
        if self.manifest is None or path is None:
            return self.config
        place = path if folder is None else folder / path.name
        write_or_raise(place, self.manifest.encode(), DataError)
        data = data.model_copy(update={"manifest": place, "root": data.root or path.parent})
        return self.config if folder is None else self.config.model_copy(update={"data": data})


def read_source(
    source: Path,
    overrides: Sequence[str] = (),
    more: Sequence[Path] = (),
    videos: Path | None = None,
    as_recorded: bool = False,
) -> Source:
    """The config of a YAML file, a manifest, a folder of one folder a class, or annotation files.

    Of a project it is that of its clips, whose runs and features stay in it, too. more: further
    annotation files. videos: the folder of their videos; by default the first file's own.
    as_recorded: of a project, people and takes as they are, though no split could divide them.
    Nothing is written. Raises ConfigError for a path that is none of these, DataError for data
    that cannot be used.
    """
    suffix = source.suffix.lower() if not source.is_dir() else ""
    if videos is not None or suffix in ANNOTATIONS:
        return _of_annotations([source, *more], videos or source.parent, overrides)
    if more:
        raise ConfigError(
            f"'{more[0]}' is neither a.b=value nor an option; only of annotation files several are "
            "read at once"
        )
    if suffix in CONFIGS:
        return Source(load_config(source, overrides))
    if sentence := instead_of(WANTED, source):
        raise ConfigError(sentence)
    if not source.exists():
        raise ConfigError(f"{missing('folder of clips, CSV or config', source)}; check the path")
    if source.is_dir() and is_project(source):
        found = _of_project(source, overrides)
        return found if as_recorded else _divisible(found)
    name = source.parent.resolve().name if source.name == MANIFEST else source.stem
    base = _tree(source.resolve().name if source.is_dir() else name)
    config = build_config(base | {"data": {"manifest": str(source)}}, overrides)
    if source.is_dir() and config.data.is_video:
        return _of_folder(source, base, overrides)
    if config.data.is_video and suffix in TABLES:
        _check_manifest(source)
    return Source(config)


def overrides_of(words: Mapping[str, Any]) -> list[str]:
    """Words of `WORDS` as overrides; None leaves one out. Raises ConfigError for another word."""
    found = []
    for word, value in words.items():
        if word not in WORDS:
            close = get_close_matches(word, WORDS, n=1)
            meant = f"; did you mean '{close[0]}'?" if close else "."
            raise ConfigError(
                f"no word '{word}' ({', '.join(WORDS)}){meant} Any other key of the config stands "
                "in overrides, as 'a.b=value'"
            )
        if word == "many":
            if not isinstance(value, bool):
                raise ConfigError(f"many: True or False; got {brief(value)}")
            value = "many" if value else None
        elif word == "views" and value is not None:
            several = isinstance(value, Iterable) and not isinstance(value, str)
            value = f"[{', '.join(map(str, value)) if several else value}]"
        found += [] if value is None else [f"{WORDS[word]}={value}"]
    return found


def _tree(name: str) -> dict[str, Any]:
    """Plain values of a config whose run is called like the data."""
    name = re.sub(r"[^\w.-]+", "-", composed(name)).strip("-.")
    return {"run": {"name": name}} if name else {}


def _check_manifest(path: Path) -> None:
    """Raise DataError for a table without clips, with what else reads it."""
    try:
        with open_table(path, wanted=("path", "label")) as table:
            names = [name.lower() for name in table.names]
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: {error}") from error
    if "path" not in names:
        raise DataError(
            f"{path}: no column path, so it is no manifest of clips; got {','.join(names)[:200]}. "
            "Annotations of videos are read with --videos DIR, measured rows with data.kind=table"
        )


def _of_project(folder: Path, overrides: Sequence[str]) -> Source:
    """A project's clips. Raises ConfigError for a project.yaml that is broken."""
    project = read_project(folder)
    base = _tree(project.folder.name)
    base["run"] = base.get("run", {}) | {"folder": str(folder / "runs")}
    weights = {"weights": project.weights} if project.weights else {}
    base["features"] = {"cache_dir": str(folder / CACHE)} | weights
    # A stream refuses a background that the model does not know, as one without clips.
    background = [one for one in project.background() if clips_in(project.folder_of(one))]
    base["events"] = {"background": background}
    return _of_folder(folder / "clips", base, overrides, in_project=True)


def _divisible(source: Source) -> Source:
    """A project's clips, in groups that can be divided. Where that changes any, its manifest stays
    as it is, and the new one is beside the runs.
    """
    config, own = source.config, source.config.data.manifest
    if own is None or own.name != MANIFEST or config.data.split == "column":
        return source
    names, rows = _read_text(source, own)
    found, note = divisible(rows)
    if note is None:
        return source
    names += [] if "group" in names else ["group"]
    text = csv_text([names, *([row.get(name, "") for name in names] for row in found)])
    place = config.run.folder / f"{config.run.name}.csv"
    data = config.data.model_copy(update={"manifest": place, "root": own.parent})
    changed = config.model_copy(update={"data": data})
    return Source(changed, text, (*source.notes, note))


def _read_text(source: Source, own: Path) -> tuple[list[str], list[dict[str, str]]]:
    """The columns and rows that the manifest has, or is to have."""
    if source.manifest is None:
        return read_kept(own, own.parent)
    table = csv.DictReader(io.StringIO(source.manifest))
    return list(table.fieldnames or ()), list(table)


def _of_folder(
    root: Path, base: dict[str, Any], overrides: Sequence[str], in_project: bool = False
) -> Source:
    """A folder of one folder a class, with the rows that its manifest keeps."""
    if any(text.startswith("data.manifest=") for text in overrides):
        return Source(build_config(base | {"data": {"root": str(root)}}, overrides))
    first = build_config(base | {"data": {"manifest": str(root / MANIFEST)}}, overrides)
    beside = first.run.folder / f"{first.run.name}.csv"
    own = root / MANIFEST
    # What a folder cannot keep stands beside the runs.
    place = own if os.access(root, os.W_OK | os.X_OK) else beside
    kept = next((path for path in (place, own) if path.is_file()), None)
    text, notes = _manifest_of(root, kept, first.data.follow_links, in_project)
    if text is None:
        place = kept or own
    elif place != own:
        notes = (*notes, f"{root} cannot be written, so its manifest is {place}")
    data = {"manifest": str(place)} | ({} if place == own else {"root": str(root)})
    return Source(build_config(base | {"data": data}, overrides), text, notes)


def _manifest_of(
    root: Path, kept: Path | None, follow_links: bool, in_project: bool
) -> tuple[str | None, tuple[str, ...]]:
    """The manifest to write, None where the kept one is right as it is; and what to tell."""
    if kept is None:
        has_links(root.resolve(), follow_links)
        content = content_of(_rows_of(root, in_project))
        left = left_aside(root, content.paths, root / MANIFEST)
        counts = content.counts["clips"], content.counts["classes"]
        notes = [f"{counted(counts[0], 'clip')} of {counted(counts[1], 'class')} in {root}"]
        notes += [f"left aside, as no clips: {counts_text(left)}"] if left else []
        return content.text, (*notes,)
    names, rows = read_kept(kept, root)
    try:
        found = {composed(row.path): row for row in _rows_of(root, in_project)}
    except DataError as error:
        return None, (f"{kept} is used as it is, without the folder's classes: {error}",)
    by_path = {composed(row["path"]): row for row in rows}
    if len(by_path) < len(rows) or not _is_of_folder(by_path, found, root):
        lacking = name_some(sorted(found.keys() - by_path.keys()))
        note = f"{kept} is used as it is; in no row of it: {lacking}"
        return None, (note,) if lacking else ()
    new = [path for path in found if path not in by_path]
    gone = [path for path in by_path if path not in found]
    if not new and not gone:
        return None, ()
    notes = [
        f"{counted(len(paths), 'clip')} {what}: {name_some(paths)}"
        for paths, what in ((new, f"new in {root}"), (gone, f"gone from {root}"))
        if paths
    ]
    if "group" in names and not all(found[path].group for path in new):
        notes.append(f"the new ones have no group yet; write it into {kept}")
    for name in ("group", "split"):
        is_filled = any(getattr(row, name) for row in found.values())
        names += [name] if is_filled and name not in names else []
    lines = [by_path.get(path) or _cells(row) for path, row in found.items()]
    return csv_text([names, *([line.get(name, "") for name in names] for line in lines)]), (*notes,)


def _rows_of(root: Path, in_project: bool) -> list[Row]:
    """The folder's clips. In a project a folder is an action whatever it is called, also an empty
    one, and the clips of a take are a group.
    """
    if not in_project:
        return build_folder(root)
    rows = build_folder(root, splits=False, empty=True)
    return [replace(row, group=take_of(Path(row.path).name) or "") for row in rows]


def _cells(row: Row) -> dict[str, str]:
    return {"path": row.path, "label": row.label, "group": row.group, "split": row.split}


def _is_of_folder(
    kept: Mapping[str, Mapping[str, str]], found: Mapping[str, Row], root: Path
) -> bool:
    """Whether each row is a file with the label of its folder, so that the folder can extend it.

    kept, found: by path. A row of a file that is gone is no sign of a hand.
    """
    return all(
        composed(row["label"]) == found[path].label
        if path in found
        else bool(row["label"]) and not on_disk(root, path).exists()
        for path, row in kept.items()
    )


def _of_annotations(files: Sequence[Path], videos: Path, overrides: Sequence[str]) -> Source:
    """Annotated videos: their manifest stands beside the runs, and keeps group and split."""
    for file in files:
        if not file.is_file():
            raise ConfigError(f"{missing('annotation file', file)}; check the path")
    base = _tree(videos.resolve().name)
    first = build_config(base | {"data": {"task": "frames"}}, overrides)
    place, data = first.run.folder / f"{first.run.name}.csv", first.data
    content, told = annotated(
        files, videos, place, frame_rate=data.frame_rate, follow_links=data.follow_links
    )
    kept = {row["path"]: row for row in read_kept(place, videos)[1]} if place.is_file() else {}
    rows = [_with_kept(row, kept.get(row.path, {})) for row in content]
    settings: dict[str, Any] = {"manifest": str(place), "root": str(videos), "task": "frames"}
    settings |= {"labels": "many"} if told.overlapping else {}
    summary = told.summary() + (
        "; segments overlap, so several labels may hold at once (data.labels=many)"
        if told.overlapping
        else ""
    )
    config = build_config(base | {"data": settings}, overrides)
    return Source(config, content_of(rows).text, (*told.warnings(), summary))


def _with_kept(row: Row, kept: Mapping[str, str]) -> Row:
    return replace(row, group=kept.get("group") or row.group, split=kept.get("split") or row.split)
