"""What must not grow: memory with a video's length, a look-up with the number of cache entries."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import tempfile
from pathlib import Path

import cv2
import numpy as np

from action_gru.features import ClipFeatures, FeatureCache, cache_key
from rows.turns import Goal, Row, in_turns, medians
from rows.untrained import untrained_run

MEASURE = """
import json, sys
from pathlib import Path
from action_gru.recognizer import ActionRecognizer
from action_gru.apps.classify import classify_files
kind, run, video, folder = sys.argv[1:]
recognizer = ActionRecognizer.load(run)
if kind == "timeline":
    recognizer.timeline(video)
else:
    from action_gru.features import FeatureCache
    from action_gru.dataset import Clip
    from action_gru.features.source import build_extractor
    extractor = build_extractor(recognizer._config, recognizer._backbone, FeatureCache(folder))
    path = Path(video)
    assert not extractor.extract([Clip(path, path.name, "x", path.name)]).quarantined
# Not getrusage: its peak counts what the parent held before this program was started in its place.
lines = Path("/proc/self/status").read_text().splitlines()
print(json.dumps(int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 1024))
"""


def memory(minutes: tuple[int, ...]) -> list[Row]:
    """Peak memory of a process that reads one video of so many minutes, small and slow to draw."""
    found = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        run = untrained_run(folder, "builtin", fps=4.0)
        peaks: dict[str, dict[int, float]] = {"timeline": {}, "extract": {}}
        for length in minutes:
            video = write_video(folder / f"{length}.mp4", length * 60)
            for kind, by_length in peaks.items():
                command = [sys.executable, "-c", MEASURE, kind, str(run), str(video)]
                command.append(str(folder / "cache"))
                by_length[length] = float(json.loads(subprocess.check_output(command)))
        for kind, by_length in peaks.items():
            found.append(
                Row(
                    f"peak memory of {kind}, by the video's minutes",
                    "MiB",
                    {f"{length} min": peak for length, peak in by_length.items()},
                    by_length[minutes[0]] / by_length[minutes[-1]],
                    f"{minutes[-1]} min",
                    Goal(1 / 1.1, 1 / 1.1),
                )
            )
    return found


def write_video(path: Path, seconds: int) -> Path:
    """Noise that wanders, 160 x 120 at 8 frames a second."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), 8.0, (160, 120))
    rng = np.random.default_rng(0)
    field = cv2.GaussianBlur(rng.integers(0, 255, (240, 2000, 3), np.uint8), (9, 9), 0)
    for index in range(seconds * 8):
        left = (index * 3) % 1800
        writer.write(np.ascontiguousarray(field[:120, left : left + 160]))
    writer.release()
    return path


def look_up(sizes: tuple[int, ...], rounds: int) -> Row:
    """A look-up among so many entries. The files are links to a few: names and folders count."""
    rng = random.Random(0)
    seconds: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as name:
        tasks = {}
        for size in sizes:
            keys = fill(FeatureCache(Path(name) / str(size)), size)
            cache = FeatureCache(Path(name) / str(size))
            picked = rng.sample(keys, 500)

            def ask(cache: FeatureCache = cache, picked: list[str] = picked) -> None:
                assert all(cache.get(key) is not None for key in picked)

            tasks[f"{size:,}"] = ask
        seconds = in_turns(tasks, rounds)
    middle = medians(seconds)
    values = {name: 1e6 * s / 500 for name, s in middle.items()}
    small, large = f"{sizes[0]:,}", f"{sizes[-1]:,}"
    return Row(
        "cache look-up by number of entries, content checked",
        "microseconds",
        values,
        values[small] / values[large],
        large,
        Goal(0.5, 0.5),
    )


def fill(cache: FeatureCache, size: int) -> list[str]:
    """An entry and hard links to it under other keys; a file system allows some 60,000 links."""
    entry = ClipFeatures(np.ones((24, 64), np.float16), np.arange(24) / 12.0)
    keys = [cache_key({"number": number}) for number in range(size)]
    source = cache.path_of(keys[0])
    for number, key in enumerate(keys):
        path = cache.path_of(key)
        if number % 30_000 == 0:
            cache.put(key, entry)
            source = path
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        path.hardlink_to(source)
    return keys
