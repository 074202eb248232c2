"""Training on labelled long videos of the demo's drawn people, tested on the demo's long videos.

    python benchmarks/long_videos.py --folder FOLDER [--videos 16] [a.b=value ...]

Draws the videos below FOLDER once: those to train on with another seed than the demo's, and the
four that `make demo` is tested on. Writes benchmarks/results/long_videos.json.
"""

from __future__ import annotations

import argparse
import csv
import json
from pathlib import Path

from action_gru.config import build_config
from action_gru.core.progress import Reporter
from action_gru.demo.dataset import write_demo_dataset
from action_gru.evaluation.evaluate import evaluate
from action_gru.training import train

RESULTS = Path(__file__).parent / "results"
TRAIN_SEED, TEST_VIDEOS = 7, 4
CLIPS = 3  # of each class, the fewest that the demo draws; they are not used
COLUMNS = ("path", "label", "group", "split", "start_s", "end_s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--videos", type=int, default=16)
    parser.add_argument("overrides", nargs="*", metavar="a.b=value")
    options = parser.parse_args()
    folder = options.folder
    rows = []
    for name, seed, count in (("train", TRAIN_SEED, options.videos), ("test", 0, TEST_VIDEOS)):
        write_demo_dataset(folder / name, clips_per_class=CLIPS, long_videos=count, seed=seed)
        rows += [row for number in range(count) for row in video_rows(folder, name, number)]
    with (folder / "manifest.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([COLUMNS, *rows])
    tree = {
        "run": {"name": "long-videos", "folder": str(folder / "runs")},
        "data": {"task": "frames", "manifest": str(folder / "manifest.csv")},
        "features": {
            "weights": "builtin", "views": ["rgb", "motion"], "cache_dir": str(folder / "cache"),
        },
        "training": {"epochs": 30},
        "events": {"background": ["idle"]},
    }  # fmt: skip
    reporter = Reporter()
    report, _ = evaluate(train(build_config(tree, options.overrides), reporter), reporter)
    print(report.score_line)
    if not options.overrides:
        document = {"training_videos": options.videos, **report.summary}
        RESULTS.mkdir(parents=True, exist_ok=True)
        (RESULTS / "long_videos.json").write_text(json.dumps(document, indent=1) + "\n")


def video_rows(folder: Path, name: str, number: int) -> list[list[str]]:
    """The rows of one long video: watched in full, and its segments."""
    stem = f"{name}/long/long_{number:03d}"
    known = [f"{stem}.mp4", "", f"{name}_{number:03d}", name, "", ""]
    with (folder / f"{stem}.csv").open(encoding="utf-8", newline="") as file:
        segments = [
            [known[0], row["label"], *known[2:4], row["start_s"], row["end_s"]]
            for row in csv.DictReader(file)
        ]
    return [known, *segments]


if __name__ == "__main__":
    main()
