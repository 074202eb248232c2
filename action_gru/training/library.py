"""The runs of a folder as a list: what each is, under which name, and how to be rid of it.

Reads metadata and reports, no weights, and imports no torch; only `pack_run` does.
"""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from action_gru.config import build_config
from action_gru.core.errors import CheckpointError, ConfigError, DataError
from action_gru.core.files import hold_folder, is_held
from action_gru.core.paths import BEST, composed
from action_gru.training.document import find_run, read_document
from action_gru.training.run_folder import BEGUN, RunFolder
from action_gru.training.runs import LAST, SUMMARY

State = Literal["finished", "training", "interrupted"]
# The figure of a report that is its score, and what it is called; the first that a report has.
SCORES = {
    "mean_average_precision": "mAP",
    "frame_accuracy": "frame accuracy",
    "top1": "top-1",
}
_ASIDE = ".deleted"  # ends the hidden name of a run that is being deleted


@dataclass(frozen=True)
class RunInfo:
    """One run. when: finished, or trained last. clips: of all splits, None where it is not known.

    score: of its test clips, in 0 to 1, by `metric`; None where none were scored. problem: why
    something of it cannot be read, '' as a rule.
    """

    path: Path
    name: str
    state: State
    when: datetime
    classes: tuple[str, ...] = ()
    clips: int | None = None
    score: float | None = None
    metric: str = ""
    size_bytes: int = 0
    problem: str = ""

    def document(self) -> dict[str, Any]:
        """The same as plain values for JSON."""
        return {
            "name": self.name,
            "path": str(self.path),
            "state": self.state,
            "when": self.when.isoformat(timespec="seconds"),
            "classes": list(self.classes),
            "clips": self.clips,
            "score": self.score,
            "metric": self.metric or None,
            "size_bytes": self.size_bytes,
            "problem": self.problem or None,
        }


def list_runs(folder: Path) -> tuple[RunInfo, ...]:
    """The runs of a folder, the newest first; none where there is no such folder.

    A run that cannot be read is among them, with its problem. Raises CheckpointError where the
    folder itself cannot be read.
    """
    if not folder.is_dir():
        return ()
    try:
        found = [path for path in folder.iterdir() if is_run(path)]
    except OSError as error:
        raise CheckpointError(
            f"{folder}: cannot be listed ({error.strerror}); make it readable, or name another one"
        ) from error
    runs = [info for path in found if (info := _described(path)) is not None]
    return tuple(sorted(runs, key=lambda run: (run.when, run.name), reverse=True))


def is_run(path: Path) -> bool:
    """Whether a folder is of a training; those of cross-validations hold a report alone."""
    if path.name.startswith(".") or not path.is_dir():
        return False
    names = (BEST, LAST, BEGUN, "clips.csv")
    return any((path / name).is_file() for name in names)


def found_run(path: Path) -> Path:
    """The path of a run, whole or not. Raises CheckpointError for any other path."""
    return path if is_run(path) else find_run(path)


def describe_run(path: Path) -> RunInfo:
    """What one run is. Raises CheckpointError where there is none."""
    run = found_run(path)
    info = _described(run)
    if info is None:
        raise CheckpointError(f"{run}: was removed while it was read; list the runs again")
    return info


def rename_run(run: Path, name: str) -> Path:
    """Give a run another name in the same folder; its new path.

    Raises CheckpointError for what is no run and for one that is being trained, ConfigError for a
    name that cannot be one or is taken.
    """
    run = found_run(run)
    target = run.with_name(_checked(name))
    with _held(run, "renamed"):
        if os.path.lexists(target):
            raise ConfigError(f"{target} is there already; choose another name, or delete it first")
        try:
            run.rename(target)
        except OSError as error:
            raise ConfigError(
                f"{run}: cannot be called {target.name} ({error.strerror}); choose another name, "
                "or make its folder writable"
            ) from error
    return target


def delete_run(run: Path) -> None:
    """Remove a run with all its files. Of a deletion that is killed no half run is left to be seen.

    Raises CheckpointError for what is no run, for one that is being trained, and where files cannot
    be removed.
    """
    run = found_run(run)
    with _held(run, "deleted"):
        if run.is_symlink():
            run.unlink()  # the run that it leads to is elsewhere, and another name's
            return
        # First out of sight in one step: a run without half its files would be taken for a whole.
        aside = run.with_name(f".{run.name[:80]}.{os.getpid()}-{time.monotonic_ns()}{_ASIDE}")
        try:
            run.rename(aside)
            shutil.rmtree(aside)
        except OSError as error:
            raise CheckpointError(
                f"{run}: cannot be deleted whole ({error.strerror}: {error.filename}); make it and "
                "its folder writable, and delete it again"
            ) from error
    _remove_killed(run.parent)


def pack_run(run: Path, out: Path) -> Path:
    """Write one .safetensors that classifies alone on another machine; returns out.

    See `packed`. Raises CheckpointError or BackboneError for what cannot be packed.
    """
    from action_gru.training.packed import write_packed  # this one alone needs torch

    return write_packed(run, out)


def newest_report(run: Path) -> dict[str, Any] | None:
    """The report.json of the latest scoring of a run's test clips; None where there is none.

    Raises CheckpointError for one that is damaged.
    """
    pattern = re.compile(r"test(?:-(\d+))?")
    found = {
        int(match[1] or 1): path
        for path in (run / "evaluation").glob("test*/report.json")
        if (match := pattern.fullmatch(path.parent.name))
    }
    if not found:
        return None
    path = found[max(found)]
    try:
        report = json.loads(path.read_bytes())
        if not isinstance(report, dict):
            raise ValueError("no JSON object")
        score_of(report)
    except (OSError, ValueError, RecursionError) as error:  # RecursionError: too deeply nested
        raise CheckpointError(
            f"{path}: cannot be read ({error}); score the run again: action-gru evaluate -m {run}"
        ) from error
    return report


def score_of(report: dict[str, Any] | None) -> tuple[float | None, str]:
    """The main figure of a report, in 0 to 1, and its name. Raises ValueError for none."""
    for key, name in SCORES.items():
        if report is not None and key in report:
            value = report[key]
            if value is not None and not (type(value) in (int, float) and 0 <= value <= 1):
                raise ValueError(f"{key} is no number from 0 to 1 but {str(value)[:40]!r}")
            return (None if value is None else float(value)), name
    return None, ""


def _described(path: Path) -> RunInfo | None:
    """What is known of a run; None where it vanished meanwhile."""
    problems: list[str] = []
    info: dict[str, Any] = {}
    for part in (_from_checkpoint, _from_report):
        try:
            info |= part(path)
        except (CheckpointError, DataError) as error:
            problems.append(str(error))
    try:
        when, size = _when(path), _size(path)
        state = _state(path)
    except FileNotFoundError:
        return None
    except OSError as error:
        problems.append(f"{error.filename or path}: {error.strerror}")
        when, size, state = datetime.fromtimestamp(0), 0, "interrupted"
    if state != "finished":  # a resumed run keeps the report of what it was
        info.pop("score", None)
        info.pop("metric", None)
    return RunInfo(
        path, path.name, state, when, size_bytes=size, problem="; ".join(problems), **info
    )


def _from_checkpoint(run: Path) -> dict[str, Any]:
    if not (run / BEST).is_file():
        return {}
    # Not of `final`, all of whose clips are in training.
    document = read_document(run / BEST)
    counts = document.data.get("clips")
    numbers = list(counts.values()) if isinstance(counts, dict) else []
    known = bool(numbers) and all(type(number) is int for number in numbers)
    clips = sum(map(int, numbers)) if known else None
    return {"classes": document.classes, "clips": clips}


def _from_report(run: Path) -> dict[str, Any]:
    score, metric = score_of(newest_report(run))
    return {"score": score, "metric": metric}


def _state(run: Path) -> State:
    if (run / SUMMARY).is_file() and (run / BEST).is_file():
        return "finished"
    return "training" if is_held(run) else "interrupted"


def _when(run: Path) -> datetime:
    names = (SUMMARY, LAST, BEST, "clips.csv", "config.yaml")
    found = next((run / name for name in names if (run / name).is_file()), run)
    return datetime.fromtimestamp(found.stat().st_mtime)


def _size(run: Path) -> int:
    """Bytes of all its files; what vanishes meanwhile, as half-written files do, counts nothing."""
    total = 0
    for folder, _, names in os.walk(run):
        for name in names:
            with suppress(FileNotFoundError):
                total += Path(folder, name).lstat().st_size
    return total


def _checked(name: str) -> str:
    """The name, composed. Raises ConfigError for one that a training could not have, or hidden."""
    checked = build_config({"run": {"name": composed(name)}}).run.name
    if checked.startswith("."):
        raise ConfigError(f"run.name: '{name}' begins with a dot and would be hidden; leave it out")
    return checked


@contextmanager
def _held(run: Path, what: str) -> Iterator[None]:
    """Nobody trains in it meanwhile. Raises CheckpointError where somebody does."""
    folder = RunFolder(run)
    try:
        folder.hold()
    except CheckpointError as error:
        raise CheckpointError(
            f"{run}: is being trained now and cannot be {what}; wait for it, or end it first"
        ) from error
    except OSError as error:
        raise CheckpointError(f"{run}: cannot be {what} ({error.strerror})") from error
    try:
        yield
    finally:
        folder.release()


def _remove_killed(folder: Path) -> None:
    """Remove what deletions that were killed left out of sight."""
    for path in folder.glob(f".*{_ASIDE}"):
        try:
            number = hold_folder(path)
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.EWOULDBLOCK, errno.EACCES):
                raise
            continue  # its process goes on, or has just finished
        shutil.rmtree(path, ignore_errors=True)
        if number is not None:
            os.close(number)
