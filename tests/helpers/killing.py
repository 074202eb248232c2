"""Kills runs with SIGKILL at drawn moments and looks at what is left and how they go on.

    PYTHONPATH=tests python -m helpers.killing extraction 100 [SEED]
    PYTHONPATH=tests python -m helpers.killing training 30 [SEED]

Every run is a fork of this process, which has imported the heavy packages once. The moments are
spread evenly over the time that a whole run takes: one is drawn in each of as many equal parts as
there are kills. Every second run is killed once more when it is started again. The last line is
JSON; what was asked for is that each list in it is empty.
"""

from __future__ import annotations

import json
import os
import random
import select
import shutil
import signal
import sys
import tempfile
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from action_gru.config import Config, build_config
from action_gru.core.files import file_sha256
from action_gru.core.progress import Reporter
from action_gru.dataset import read_manifest
from action_gru.evaluation.evaluate import evaluate
from action_gru.features import FeatureCache
from action_gru.features.source import data_source
from action_gru.training import RunFolder, resume, train
from helpers.videos import write_square

MARK = "ACTION_GRU_KILLED_RUN"
QUIET = Reporter(quiet=True)
EPOCHS = 40
ORPHANS_S = 10.0  # for a decoding process to see that nobody reads its answers


@dataclass
class Found:
    """What was seen. The lists name what must not be."""

    kills: int = 0
    too_late: int = 0
    half_written: int = 0
    progress: list[float] = field(default_factory=list)  # share of the result at each kill
    lost: list[str] = field(default_factory=list)
    damaged: list[str] = field(default_factory=list)
    redone: list[str] = field(default_factory=list)
    different: list[str] = field(default_factory=list)
    orphans: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)

    def summary(self, seconds: float) -> dict[str, Any]:
        tenths = [0] * 10
        for share in self.progress:
            tenths[min(9, int(share * 10))] += 1
        return vars(self) | {"progress": tenths, "seconds": round(seconds, 1)}


def run_and_kill(work: Callable[[], Any], after_s: float | None) -> tuple[str, Any, list[int]]:
    """Do the work in a fork and kill it after so many seconds, if it still runs then.

    ('killed', None, ...), ('done', what it returned, ...) or ('failed', why, ...); and the process
    numbers of those that outlived it.
    """
    mark = uuid.uuid4().hex
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        os.environ[MARK] = mark
        os.close(reader)
        try:
            answer = json.dumps(["done", work()])
        except BaseException as error:
            answer = json.dumps(["failed", f"{type(error).__name__}: {error}"])
        with os.fdopen(writer, "w") as stream:
            stream.write(answer)
        os._exit(0)
    os.close(writer)
    ended, _, _ = select.select([reader], [], [], after_s)
    if not ended:
        os.kill(child, signal.SIGKILL)
    with os.fdopen(reader) as stream:
        answer = stream.read()
    os.waitpid(child, 0)
    kind, value = json.loads(answer) if answer else ("killed", None)
    return kind, value, outliving(mark)


def outliving(mark: str) -> list[int]:
    """Processes that a run started and that have not ended within ORPHANS_S."""
    until = time.monotonic() + ORPHANS_S
    while left := [process.pid for process in psutil.process_iter() if _bears(process, mark)]:
        if time.monotonic() > until:
            return left
        time.sleep(0.02)
    return []


def _bears(process: psutil.Process, mark: str) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE and process.environ().get(MARK) == mark
    except psutil.Error:
        return False


def moments(kills: int, whole_s: float, seed: int) -> list[float]:
    """Seconds after the start, one drawn in each of as many equal parts, in a drawn order."""
    draw = random.Random(seed)
    drawn = [(part + draw.random()) / kills * whole_s for part in range(kills)]
    draw.shuffle(drawn)
    return drawn


def make_place(root: Path, clips: int = 12) -> None:
    """Drawn clips of two classes and their manifest."""
    rows = ["path,label,split"]
    for number in range(clips):
        label = "bright" if number % 2 else "dark"
        write_square(root / f"{number}.mp4", 10 + 2 * number, number + 100 * (number % 2))
        rows.append(f"{number}.mp4,{label},{'test' if number >= clips - 4 else 'train'}")
    (root / "manifest.csv").write_text("\n".join(rows) + "\n")


def config_of(root: Path) -> Config:
    return build_config(
        {
            "run": {"name": "toy", "folder": "runs"},
            "data": {"manifest": str(root / "manifest.csv"), "val_share": 0.25},
            "sampling": {"fps": 10.0, "max_frames": 16},
            "features": {
                "weights": "builtin", "image_size": 64, "cache_dir": "cache", "workers": 2,
                "batch_size": 8, "flip": True,
            },
            "model": {"projection_size": 16, "hidden_size": 16},
            "training": {"epochs": EPOCHS, "device": "cpu", "batch_size": 4, "ema_decay": 0.9},
        }
    )  # fmt: skip


def files_of(folder: Path) -> dict[str, Path]:
    """The whole files below a folder, by their names in it."""
    return {
        str(path.relative_to(folder)): path
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.endswith(".part")
    }


def hashes(folder: Path) -> dict[str, str]:
    return {name: file_sha256(path) for name, path in files_of(folder).items()}


def times(folder: Path) -> dict[str, tuple[int, int]]:
    """What changes when a file is written again."""
    return {
        name: (path.stat().st_ino, path.stat().st_mtime_ns)
        for name, path in files_of(folder).items()
    }


def inside(folder: Path, work: Callable[[], Any]) -> Callable[[], Any]:
    def done() -> Any:
        os.chdir(folder)
        return work()

    return done


class Extraction:
    """A cache that is filled, killed, and filled on."""

    name = "extraction"

    def __init__(self, root: Path) -> None:
        self.config = config_of(root)
        self.clips = read_manifest(root / "manifest.csv", None)

    def work(self) -> dict[str, Any]:
        report = data_source(self.config).features(self.clips, QUIET).report
        return {"damaged": report.damaged, "bad": report.quarantined, "cached": report.cached}

    def reference(self, folder: Path) -> dict[str, str]:
        return hashes(folder / "cache")

    def after_kill(self, folder: Path, wanted: dict[str, str], found: Found) -> Any:
        """Every entry must be that of the reference; remember how the files are."""
        there = hashes(folder / "cache")
        cache = FeatureCache(folder / "cache")
        found.damaged += cache.verify()
        found.damaged += [name for name, sha in there.items() if wanted.get(name) != sha]
        found.half_written += cache.stats()["leftovers"]
        found.progress.append(len(there) / len(wanted))
        return times(folder / "cache")

    def after_more(self, folder: Path, before: Any, found: Found) -> None:
        now = times(folder / "cache")
        found.lost += [name for name in before if name not in now]
        found.redone += [name for name in before if name in now and before[name] != now[name]]

    def at_the_end(self, folder: Path, wanted: Any, answer: Any, found: Found) -> None:
        found.damaged += answer["damaged"]
        found.failed += list(answer["bad"].values())
        found.different += _differing(wanted, hashes(folder / "cache"))
        FeatureCache(folder / "cache").prune()
        found.different += [str(path) for path in (folder / "cache").rglob("*.part")]


class Training:
    """`action-gru train`, killed; then `resume` where it had begun to train, or `train` again."""

    name = "training"

    def __init__(self, root: Path) -> None:
        self.config = config_of(root)

    def work(self) -> str:
        run = RunFolder(Path("runs/toy"))
        run = resume(run.path, QUIET) if run.clips.is_file() else train(self.config, QUIET)
        _, folder = evaluate(run, QUIET)
        return str(folder)

    def reference(self, folder: Path) -> dict[str, str]:
        """Hashes of all that a run leaves and that holds no time or name."""
        run = folder / "runs" / "toy"
        names = ("best.safetensors", "last.safetensors", "baseline.safetensors")
        texts = ("log.jsonl", "clips.csv", "config.yaml", "quarantine.csv")
        made = {name: file_sha256(run / name) for name in (*names, *texts)}
        (latest,) = sorted(run.glob("evaluation/*/report.json"))[-1:]
        report = json.loads(latest.read_text())
        return made | {"report": json.dumps(report, sort_keys=True)} | hashes(folder / "cache")

    def after_kill(self, folder: Path, wanted: dict[str, str], found: Found) -> Any:
        log = folder / "runs" / "toy" / "log.jsonl"
        epochs = log.read_text().splitlines() if log.is_file() else []
        for line in epochs:
            json.loads(line)
        cache = FeatureCache(folder / "cache")
        found.damaged += cache.verify()
        found.half_written += len(list(folder.rglob("*.part")))
        found.progress.append(len(epochs) / EPOCHS)
        return times(folder / "cache")

    def after_more(self, folder: Path, before: Any, found: Found) -> None:
        Extraction.after_more(self, folder, before, found)  # type: ignore[arg-type]

    def at_the_end(self, folder: Path, wanted: Any, answer: Any, found: Found) -> None:
        found.different += _differing(wanted, self.reference(folder))
        found.different += [str(path) for path in (folder / "runs").rglob("*.part")]
        found.different += [path.name for path in (folder / "runs").iterdir() if path.name != "toy"]


KINDS = {kind.name: kind for kind in (Extraction, Training)}


def _differing(wanted: dict[str, str], found: dict[str, str]) -> list[str]:
    return [name for name in wanted | found if wanted.get(name) != found.get(name)]


def kill_often(kind: str, kills: int, seed: int, root: Path) -> dict[str, Any]:
    """The summary of so many kills."""
    make_place(root)
    begun, found, subject = time.monotonic(), Found(), KINDS[kind](root)
    whole_s, wanted = _uninterrupted(subject, root)
    left, again = moments(kills, whole_s, seed), random.Random(seed + 1)
    while found.kills < kills:
        folder = Path(tempfile.mkdtemp(dir=root))
        seconds: list[float | None] = [left.pop() if left else again.random() * whole_s]
        if again.random() < 0.5 and found.kills + 1 < kills:
            seconds.append(left.pop(0) if left else again.random() * whole_s)
        before: Any = {}
        for after_s in [*seconds, None]:
            outcome, answer, orphans = run_and_kill(inside(folder, subject.work), after_s)
            found.orphans += [f"{kind} {pid}" for pid in orphans]
            subject.after_more(folder, before, found)
            if outcome != "killed":
                found.too_late += outcome == "done" and after_s is not None
                break
            found.kills += 1
            before = subject.after_kill(folder, wanted, found)
        if outcome == "failed":
            found.failed.append(answer)
        else:
            subject.at_the_end(folder, wanted, answer, found)
        shutil.rmtree(folder)
    return found.summary(time.monotonic() - begun) | {"whole_run_s": round(whole_s, 2)}


def _uninterrupted(subject: Any, root: Path) -> tuple[float, dict[str, str]]:
    """How long a run takes that nobody kills, and what it leaves; twice the same, or it tells
    nothing.
    """
    taken, left = [], []
    for number in range(2):
        folder = root / f"whole{number}"
        folder.mkdir()
        begun = time.monotonic()
        outcome, answer, _ = run_and_kill(inside(folder, subject.work), None)
        assert outcome == "done", answer
        taken.append(time.monotonic() - begun)
        left.append(subject.reference(folder))
    assert left[0] == left[1], _differing(*left)
    assert left[0]
    return max(taken), left[0]


if __name__ == "__main__":
    kind, kills, *rest = sys.argv[1:]
    with tempfile.TemporaryDirectory() as place:
        summary = kill_often(kind, int(kills), int(rest[0]) if rest else 0, Path(place))
    print(json.dumps(summary))
