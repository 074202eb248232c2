"""How many cuts `stream.restart_at_cut` finds in videos joined from real clips, and how many it
finds where there are none.

    python benchmarks/cuts.py --data ../shared/data

Joins clips of other places one after another (fights and falls, 320x240, H.264), reads them as
`timeline` does, and compares where the stream began anew with where the clips were joined. The same
clips are read alone, each as it is. Writes benchmarks/results/cuts.json.
"""

from __future__ import annotations

import argparse
import csv
import json
import random
import tempfile
from pathlib import Path

import cv2

from action_gru.video import VideoFile, VideoWriter
from action_gru.views import FrameSampler, ViewMaker

RESULTS = Path(__file__).parent / "results"
SIZE_PX, JOINED_FPS = (320, 240), 25.0
CLIPS, VIDEOS = 20, 20  # in each joined video; joined videos
Clip = tuple[Path, str]  # a file and the place that it shows


def find_clips(data: Path) -> list[Clip]:
    with (data / "fights" / "clips.csv").open() as table:
        rows = list(csv.DictReader(table))
    fights = [(data / "fights" / row["path"], row["group"]) for row in rows]
    return fights + [(path, path.name[:2]) for path in sorted((data / "falls").glob("*.mp4"))]


def join(clips: list[Clip], path: Path) -> list[float]:
    """Write the clips one after another; when each but the first begins, seconds."""
    begins_s, frames = [], 0
    with VideoWriter(path, SIZE_PX, JOINED_FPS) as writer:
        for file, _ in clips:
            begins_s.append(frames / JOINED_FPS)
            with VideoFile(file) as video:
                for frame in video:
                    writer.write(cv2.resize(frame.image, SIZE_PX, interpolation=cv2.INTER_AREA))
                    frames += 1
    return begins_s[1:]


def cuts_of(path: Path, fps: float) -> tuple[list[float], int]:
    """When a stream that reads so many frames a second begins anew, and how many it read."""
    sampler = FrameSampler(lambda: ViewMaker(("rgb",), 32, "squash"), fps, at_cut=True)
    found_s, run, read = [], 0, 0
    with VideoFile(path) as video:
        for frame in video.frames(sampler.wants):
            if (sample := sampler.sample(frame.image, frame.time_s)) is not None:
                read += 1
                if sample.run > run:
                    found_s.append(sample.time_s)
                run = sample.run
    return found_s, read


def shuffled(clips: list[Clip], rng: random.Random) -> list[Clip]:
    """Some of the clips, no two of one place in succession."""
    chosen = [rng.choice(clips)]
    while len(chosen) < CLIPS:
        other = rng.choice(clips)
        if other[1] != chosen[-1][1]:
            chosen.append(other)
    return chosen


def measure(clips: list[Clip], fps: float) -> dict[str, object]:
    joined = found = false = frames = 0
    rng = random.Random(0)
    for _ in range(VIDEOS):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "joined.mp4"
            begins_s = join(shuffled(clips, rng), path)
            found_s, read = cuts_of(path, fps)
        near = {begin for begin in begins_s for at in found_s if 0 <= at - begin < 1 / fps + 0.05}
        joined, found, frames = joined + len(begins_s), found + len(near), frames + read
        false += len(found_s) - len(near)
    alone = {file.name: cuts_of(file, fps) for file, _ in clips}
    return {
        "fps": fps,
        "joined": {"cuts": joined, "found": found, "false": false, "frames": frames},
        "unedited": {
            "clips": len(clips),
            "frames": sum(read for _, read in alone.values()),
            "false": sum(len(found_s) for found_s, _ in alone.values()),
            "in": [name for name, (found_s, _) in alone.items() if found_s],
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    clips = find_clips(parser.parse_args().data)
    results = [measure(clips, fps) for fps in (12.0, 5.0)]
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "cuts.json").write_text(json.dumps(results, indent=1) + "\n")
    print(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
