"""Which runs a folder holds, and which one a name means. Reads no weights.

A run is finished once its summary.json is there. The newest is the one that was finished last.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from action_gru.core.errors import CheckpointError
from action_gru.core.paths import BEST, kind_of
from action_gru.core.text import counted
from action_gru.training.document import read_document, shipped_models

RUNS = Path("runs")
SUMMARY, LAST = "summary.json", "last.safetensors"


def newest_run(folder: Path, finished: bool = True) -> Path | None:
    """The run of a folder that was finished last, or trained last of those that are not."""
    found = [run for run in folder.glob("*/") if (run / (BEST if finished else LAST)).is_file()]
    found = [run for run in found if (run / SUMMARY).is_file() == finished]
    return max(found, key=lambda run: (_trained(run), run.name), default=None)


def _trained(run: Path) -> float:
    names = [name for name in (SUMMARY, LAST) if (run / name).is_file()]
    return (run / names[0]).stat().st_mtime


def find_model(name: str | None, finished: bool = True) -> Path:
    """The run, checkpoint or shipped model that a user names; by default the newest run.

    name: the path of a run or a file, the name of a run in `RUNS`, or a shipped model; what else it
    is, `find_checkpoint` says. Raises CheckpointError where there is no run.
    """
    if name is not None:
        # Beside runs/clips there often is the folder clips that it was trained on.
        path, inside = Path(name), RUNS / name
        is_path = path.is_file() or kind_of(path) == "a run folder"
        return path if is_path or kind_of(inside) != "a run folder" else inside
    found = newest_run(RUNS, finished)
    if found is not None:
        return found
    if not finished:
        raise CheckpointError(f"no interrupted run in {RUNS.absolute()}; name one")
    shipped = ", ".join(shipped_models())
    raise CheckpointError(
        f"no finished run in {RUNS.absolute()}; train one with 'action-gru train CLIPS', or name "
        f"a model with -m: a run folder, a checkpoint, or one of those that come along ({shipped})"
    )


def about_run(run: Path) -> str:
    """'runs/mine-2 (29 Nov, 4 classes)': when it was trained and what it knows."""
    day = datetime.fromtimestamp(_trained(run))
    return f"{run} ({day.day} {day:%b}, {counted(len(read_document(run).classes), 'class')})"
