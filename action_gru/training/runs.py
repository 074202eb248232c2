"""Which runs a folder holds, and which one a name means. Reads no weights.

A run is finished once its summary.json is there. The newest is the one that was finished last.
"""

from __future__ import annotations

from datetime import datetime
from difflib import get_close_matches
from pathlib import Path

from action_gru.core.errors import CheckpointError
from action_gru.core.paths import BEST, kind_of
from action_gru.core.text import counted, name_some
from action_gru.training.document import read_document, reads_video, shipped_models

RUNS = Path("runs")
SUMMARY, LAST = "summary.json", "last.safetensors"


def newest_run(folder: Path, finished: bool = True, of_video: bool | None = None) -> Path | None:
    """The run of a folder that was finished last, or trained last of those that are not.

    of_video: of those that read videos, or measured channels, if there is one.
    """
    found = [run for run in folder.glob("*/") if (run / (BEST if finished else LAST)).is_file()]
    found = [run for run in found if (run / SUMMARY).is_file() == finished]
    found.sort(key=lambda run: (_trained(run), run.name), reverse=True)
    fitting = (run for run in found if of_video is None or _reads_video(run) == of_video)
    return next(fitting, found[0] if found else None)


def _reads_video(run: Path) -> bool | None:
    try:
        return reads_video(read_document(run).features)
    except CheckpointError:  # it is refused, with the reason, if it is the one to use
        return None


def _trained(run: Path) -> float:
    names = [name for name in (SUMMARY, LAST) if (run / name).is_file()]
    return (run / names[0]).stat().st_mtime


def find_model(name: str | None, finished: bool = True, of_video: bool | None = None) -> Path:
    """The run, checkpoint or shipped model that a user names; by default the newest run.

    of_video: see `newest_run`.

    name: the path of a run or a file, the name of a run in `RUNS`, or a shipped model; what else it
    is, `find_checkpoint` says. Raises CheckpointError where there is no run.
    """
    if name is not None:
        # Beside runs/clips there often is the folder clips that it was trained on.
        path, inside = Path(name), RUNS / name
        is_path = path.is_file() or kind_of(path) == "a run folder"
        if not is_path and kind_of(inside) == "a run folder":
            return inside
        if path.parts == (name,) and kind_of(path) is None and name not in shipped_models():
            _check_name(name)
        return path
    found = newest_run(RUNS, finished, of_video)
    if found is not None:
        return found
    if not finished:
        raise CheckpointError(f"no interrupted run in {RUNS.absolute()}; name one")
    shipped = ", ".join(shipped_models())
    raise CheckpointError(
        f"no finished run in {RUNS.absolute()}; train one with 'action-gru train CLIPS', or name "
        f"a model with -m: a run folder, a checkpoint, or one of those that come along ({shipped})"
    )


def _check_name(name: str) -> None:
    """Raise CheckpointError, naming what is there, for a name that is none of this place's runs."""
    names = sorted(run.name for run in RUNS.glob("*/") if (run / BEST).is_file())
    if not names:
        return
    close = get_close_matches(name, [*names, *shipped_models()], n=1)
    hint = f"; did you mean '{close[0]}'?" if close else ""
    raise CheckpointError(
        f"no run '{name}' in {RUNS.absolute()}, which holds {name_some(names)}, and no shipped "
        f"model of that name ({name_some(list(shipped_models()))}){hint}"
    )


def about_run(run: Path) -> str:
    """'runs/mine-2 (29 Nov, 4 classes)': when it was trained and what it knows."""
    day = datetime.fromtimestamp(_trained(run))
    return f"{run} ({day.day} {day:%b}, {counted(len(read_document(run).classes), 'class')})"
