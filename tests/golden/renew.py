"""Asks the commands for what tests/test_golden.py compares, and writes it down.

    python tests/golden/renew.py            # values.json alone
    python tests/golden/renew.py --files    # the clips, the runs and the cache too

Needs a reason in CHANGELOG.md: see the README.md beside this file. Knows the command line, the
config and files on disk, and nothing else of the package.
"""

import csv
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).parent
TESTS, ROOT = HERE.parent, HERE.parents[1]
if __name__ == "__main__":
    sys.path[:0] = [str(ROOT), str(TESTS)]

from helpers.command_line import action_gru  # noqa: E402
from helpers.untrained_networks import write_detector, write_pose_network  # noqa: E402

VALUES = HERE / "values.json"
CLIPS, RUN, TABLE_RUN, CACHE = HERE / "clips", HERE / "run", HERE / "table_run", HERE / "cache"
PICTURE_VIEWS = ("rgb", "focus", "motion", "accel")
VECTOR_VIEWS = ("detections", "pose")
WIDTH_PX, HEIGHT_PX = 80, 64  # of the clips: not square, and wider than the network's input
COLUMNS = slice(None, None, 16)  # of the 1280 of a picture view

# Of the stored runs and of the one that a test trains. Dropout is off and every number is fp32, so
# that processors differ by rounding alone.
SETTINGS = {
    "data": {"manifest": "clips/manifest.csv"},
    "run": {"folder": "runs"},
    "sampling": {"fps": 4.0, "max_frames": 16},
    "features": {
        "weights": "builtin", "views": ["rgb", "motion"], "image_size": 64, "precision": "fp32",
        "runtime": "torch",
        "device": "cpu", "batch_size": 8, "cache_dir": "files",
    },
    # With closed_form a hair decides of so few clips what is learnt from.
    "model": {"projection_size": 4, "hidden_size": 4, "dropout": 0.0, "head_dropout": 0.0,
              "closed_form": False},
    "training": {"epochs": 40, "batch_size": 4, "learning_rate": 0.02, "device": "cpu",
                 "label_smoothing": 0.0, "seed": 1},  # its scores are far from edges of bins
}  # fmt: skip
TABLE_SETTINGS = {
    "data": {"kind": "table", "manifest": "clips/engines.csv"},
    "series": {"horizon": 5.0, "threshold": 0.4},
    "model": {"projection_size": 4, "hidden_size": 4, "pooling": "last", "dropout": 0.0,
              "head_dropout": 0.0},
    "training": {"epochs": 40, "batch_size": 4, "learning_rate": 0.02, "device": "cpu",
                 "temporal_crop": 0.0, "speed_jitter": 0.0},
}  # fmt: skip


def surface() -> dict[str, list[str]]:
    """Every command with its arguments and options, by name."""
    import typer

    from action_gru.cli.commands import app

    found = {}

    def walk(command: Any, name: str) -> None:
        options = {
            text
            for parameter in command.params
            for text in (*parameter.opts, *parameter.secondary_opts)
            if text != "--help"
        }
        found[name or "action-gru"] = sorted(options)
        for inner, child in getattr(command, "commands", {}).items():
            walk(child, f"{name} {inner}".strip())

    walk(typer.main.get_command(app), "")
    return dict(sorted(found.items()))


def write_config(place: Path, settings: dict[str, Any]) -> Path:
    """A config whose relative paths are those of `place`, the clips those of the repository."""
    tree = json.loads(json.dumps(settings))
    tree["data"]["manifest"] = str(HERE / tree["data"]["manifest"])
    tree.setdefault("run", {})["folder"] = str(place / "runs")
    tree.setdefault("features", {})["cache_dir"] = str(place / "features")
    path = place / "config.yaml"
    path.write_text(json.dumps(tree))  # JSON is YAML
    return path


def entries(folder: Path) -> dict[str, tuple[str, dict[str, np.ndarray]]]:
    """Of a cache's single files: 'clip view side' -> key and arrays, read by what they say."""
    from safetensors import safe_open

    found = {}
    for path in sorted(folder.glob("??/*.safetensors")):
        with safe_open(path, framework="np") as file:
            of = json.loads(file.metadata()["action_gru"])["provenance"]
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        side = "mirrored" if of["flipped"] else "plain"
        found[f"{of['clip']} {of['view']} {side}"] = (path.stem, arrays)
    return found


def pictures(place: Path) -> dict[str, dict[str, Any]]:
    """The keys and the features of every picture view of two clips, one of them a stretch."""
    manifest = place / "two.csv"
    manifest.write_text("path,label,start_s,end_s\nleft_0.mp4,left,,\nlong.mp4,right,1,2.5\n")
    action_gru(
        "extract", write_config(place, SETTINGS), f"data.manifest={manifest}",
        f"data.root={CLIPS}", f"features.views=[{', '.join(PICTURE_VIEWS)}]", "features.flip=true",
        "-q",
    )  # fmt: skip
    return {
        name: {"key": key} | summary(arrays)
        for name, (key, arrays) in entries(place / "features").items()
    }


def summary(arrays: dict[str, np.ndarray]) -> dict[str, Any]:
    """Times, the length of each row, and some columns of the mean over time."""
    values = arrays["values"].astype(np.float64)
    return {
        "times_s": arrays["times_s"].tolist(),
        "shape": list(values.shape),
        "norms": [round(float(norm), 4) for norm in np.linalg.norm(values, axis=1)],
        "mean": [round(float(one), 5) for one in values.mean(0)[COLUMNS]],
    }


def vectors(place: Path) -> dict[str, dict[str, Any]]:
    """The same of the views that are vectors, whole; the hash of the networks beside them.

    What an untrained network finds is decided by hairs: of it only what does not hang on one.
    """
    manifest = place / "one.csv"
    manifest.write_text("path,label\nleft_0.mp4,left\nright_0.mp4,right\n")
    weights = {
        "detections": write_detector(place / "detector.pt"),
        "pose": write_pose_network(place / "pose.pt"),
    }
    action_gru(
        "extract", write_config(place, SETTINGS), f"data.manifest={manifest}",
        f"data.root={CLIPS}", "features.views=[detections, pose]", "features.flip=true",
        f"detection.weights={weights['detections']}", f"pose.weights={weights['pose']}",
        "detection.min_score=1e-6", "pose.min_score=1e-6", "detection.top=3", "-q",
    )  # fmt: skip
    hashes = {view: hashlib.sha256(path.read_bytes()).hexdigest() for view, path in weights.items()}
    return {
        name: {"key": key, "weights_sha256": hashes[name.split()[1]], "values": arrays["values"]}
        for name, (key, arrays) in entries(place / "features").items()
    }


def answers() -> dict[str, Any]:
    """What the stored run answers of a clip and of a long video."""
    clip, long = CLIPS / "right_0.mp4", CLIPS / "long.mp4"
    found = {
        "classify": action_gru("classify", clip, "-m", RUN, "--json", "-q").answer,
        "timeline": action_gru("timeline", long, "-m", RUN, "--json", "-q").answer,
    }
    found["watch"] = action_gru(
        "watch", CLIPS / "engines.csv", "-m", TABLE_RUN, "--json", "-q"
    ).lines  # fmt: skip
    return without_places(found)


def stored_evaluation(place: Path) -> dict[str, Any]:
    """The stored run over the stored cache, of which half is packed: nothing is decoded."""
    shutil.copytree(CACHE, place / "cache", dirs_exist_ok=True)
    action_gru(
        "evaluate", RUN, f"features.cache_dir={place / 'cache'}", "--split", "test",
        "--manifest", CLIPS / "manifest.csv", "--out", place / "evaluation", "-q",
    )  # fmt: skip
    report = json.loads((place / "evaluation" / "report.json").read_text())
    return {"predictions": report["predictions"], "top1": report["top1"]}


def trained_reports(place: Path) -> dict[str, Any]:
    """report.json of two runs that are trained here, of clips and of a table."""
    found = {}
    for name, settings in (("clips", SETTINGS), ("table", TABLE_SETTINGS)):
        folder = place / name
        folder.mkdir()
        done = action_gru("train", write_config(folder, settings), "--json", "-q").answer
        report = json.loads((Path(done["evaluation"]) / "report.json").read_text())
        del done["evaluation"], done["run"]
        found[name] = without_places({"answer": done, "report": report})
    return found


def without_places(value: Any) -> Any:
    """The same tree without the folders of this machine: a path becomes its name."""
    if isinstance(value, dict):
        return {key: without_places(one) for key, one in value.items()}
    if isinstance(value, list):
        return [without_places(one) for one in value]
    return re.sub(r"(?<!\S)/\S*/", "", value) if isinstance(value, str) else value


def write_values() -> None:
    """values.json, of what this code answers."""
    with tempfile.TemporaryDirectory() as name:
        places = [Path(name) / part for part in ("pictures", "stored", "trained")]
        for place in places:
            place.mkdir()
        values = {
            "surface": surface(),
            "pictures": pictures(places[0]),
            "answers": answers(),
            "stored_evaluation": stored_evaluation(places[1]),
            "trained_reports": trained_reports(places[2]),
        }
    VALUES.write_text(json.dumps(values, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def draw(frames: int, direction: int, shade: int) -> list[np.ndarray]:
    """A bright square that crosses grey to the right, or (-1) its negative to the left."""
    columns, rows = np.arange(WIDTH_PX), np.arange(HEIGHT_PX)
    slope = (columns[None, :] + rows[:, None] // 2 + shade).astype(np.uint8)
    images = []
    for index in range(frames):
        image = np.repeat(slope[..., None], 3, 2)
        way = (3 * index + shade // 10) % (WIDTH_PX - 16)
        left = way if direction > 0 else WIDTH_PX - 16 - way
        image[20 + shade // 2 :][:16, left : left + 16] = (230, 60, 40)
        images.append(image if direction > 0 else 255 - image)
    return images


def write_files() -> None:
    """The clips, the runs and the cache, as the code of this day writes them."""
    import av

    def write_clip(name: str, images: list[np.ndarray]) -> None:
        with av.open(str(CLIPS / name), "w") as file:
            stream = file.add_stream("libx264", rate=10, options={"crf": "18"})
            stream.width, stream.height, stream.pix_fmt = WIDTH_PX, HEIGHT_PX, "yuv420p"
            for image in images:
                file.mux(stream.encode(av.VideoFrame.from_ndarray(image, "rgb24")))
            file.mux(stream.encode())

    for folder in (CLIPS, RUN, TABLE_RUN, CACHE):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
    rows = [["path", "label", "group", "split", "start_s", "end_s", "timeline"]]
    for name, direction in (("left", -1), ("right", 1)):
        for index in range(5):
            shade = 7 * ((index + 2) % 5)  # that of the test clips lies in the middle
            write_clip(f"{name}_{index}.mp4", draw(15, direction, shade))
            split = "train" if index else "test"
            rows.append([f"{name}_{index}.mp4", name, f"{name}{index}", split, "", "", ""])
    write_clip("long.mp4", [*draw(40, 1, 3), *draw(40, -1, 5)])
    rows.append(["long.mp4", "", "", "test", "", "", "long.csv"])
    (CLIPS / "long.csv").write_text("start_s,end_s,label\n0,4,right\n4,8,left\n")
    with (CLIPS / "manifest.csv").open("w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)
    write_engines(CLIPS / "engines.csv")
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        shutil.copytree(CLIPS, place / "clips")
        _train(place, SETTINGS, RUN)
        _train(place, TABLE_SETTINGS, TABLE_RUN)
        _keep_cache(place / "files")


def write_engines(path: Path) -> None:
    """Six engines that wear out; the last two are the test, one of them stopped before its end."""
    rng = np.random.RandomState(1)
    rows = ["id,time,split,remaining,wear,noise"]
    for number, left in enumerate([0, 0, 0, 0, 0, 9]):
        life = 20 + 2 * number
        for cycle in range(life):
            remaining = life - 1 - cycle + left
            wear = max(0.0, 10 - remaining) + 0.1 * rng.standard_normal()
            split = "train" if number < 4 else "test"
            noise = rng.standard_normal()
            rows.append(f"e{number},{cycle},{split},{remaining},{wear:.3f},{noise:.3f}")
    path.write_text("\n".join(rows) + "\n")


def _train(place: Path, settings: dict[str, Any], target: Path) -> None:
    """A run whose config names no folder of this machine."""
    (place / "config.yaml").write_text(json.dumps(settings))
    command = [sys.executable, "-m", "action_gru", "train", "config.yaml", "--json", "-q"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=place, check=True, stdout=subprocess.PIPE, env=environment)
    run = place / json.loads(done.stdout)["run"]
    for name in ("best.safetensors", "config.yaml", "clips.csv"):
        shutil.copy(run / name, target / name)


def _keep_cache(folder: Path) -> None:
    """The entries of the two clips to test on: those of one packed, those of the other as files."""
    for clip in ("right_0.mp4", "left_0.mp4"):
        for name, (key, _) in entries(folder).items():
            if name.startswith(clip):
                (CACHE / key[:2]).mkdir(exist_ok=True)
                entry = f"{key[:2]}/{key}.safetensors"
                shutil.copy(folder / entry, CACHE / entry)
        if clip == "right_0.mp4":
            action_gru("cache", "pack", CACHE, "-q")
            (CACHE / "shards" / ".lock").unlink()


if __name__ == "__main__":
    if "--files" in sys.argv[1:]:
        write_files()
    write_values()
