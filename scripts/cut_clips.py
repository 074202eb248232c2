"""Cuts videos into clips, a folder for each class:

    python scripts/cut_clips.py examples/falls/clips.csv --root videos --out home

The CSV is a manifest: path,label[,group][,split][,start_s,end_s]. A row without bounds is copied
whole. Columns group and split, where there are any, go into OUT/manifest.csv.
"""

from __future__ import annotations

import argparse
import csv
import shutil
from collections.abc import Sequence
from pathlib import Path

from action_gru.video import VideoFile, VideoWriter


def cut(video: Path, target: Path, start_s: float, end_s: float) -> None:
    """Write the frames from start_s up to, but without, end_s, each at its own time."""
    frames, fps = [], 0.0
    with VideoFile(video) as source:
        for frame in source:
            fps = source.fps
            if start_s <= frame.time_s < end_s:
                frames.append(frame)
    height_px, width_px = frames[0].image.shape[:2]
    with VideoWriter(target, (width_px, height_px), fps) as writer:
        for frame in frames:
            writer.write(frame.image, frame.time_s)


def place(row: dict[str, str], root: Path, out: Path) -> Path:
    """Write the clip of one row below out; its path there."""
    parts = Path(row["path"]).with_suffix("").parts[-3:]
    start = row.get("start_s") or ""
    name = "_".join([*parts, *([f"{float(start):g}s"] if start else [])]).replace(" ", "")
    target = out / row["label"] / f"{name}.mp4"
    target.parent.mkdir(parents=True, exist_ok=True)
    if start:
        cut(root / row["path"], target, float(start), float(row["end_s"]))
    else:
        shutil.copyfile(root / row["path"], target)
    return target.relative_to(out)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("manifest", type=Path)
    parser.add_argument("--root", type=Path, required=True, help="folder of the videos")
    parser.add_argument("--out", type=Path, required=True, help="folder for the class folders")
    chosen = parser.parse_args(arguments)
    with chosen.manifest.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    said = [name for name in ("group", "split") if name in rows[0]]
    table = [["path", "label", *said]]
    for row in rows:
        path = place(row, chosen.root, chosen.out)
        table.append([path.as_posix(), row["label"], *(row[name] for name in said)])
    if said:
        with (chosen.out / "manifest.csv").open("w", newline="", encoding="utf-8") as file:
            csv.writer(file, lineterminator="\n").writerows(table)
    print(f"{len(rows)} clips in {chosen.out}")


if __name__ == "__main__":
    main()
