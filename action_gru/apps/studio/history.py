"""What can be undone: steps that move files and change rows, kept on disk before they are done.

A step that a crash cut short is finished at the next start, so files and rows always agree.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from action_gru.core.errors import DataError
from action_gru.core.files import write_or_raise
from action_gru.core.progress import Reporter

MOST_STEPS = 50


@dataclass(frozen=True)
class Step:
    """text: what was done, such as 'Delete 3 clips'. moves: (from, to) below the project's folder.

    before, after: the rows of every clip that the step changes, by its path, and none of a clip
    that is not there then; likewise the actions as project.yaml has them, where they change. trash:
    the folder of what it deleted.
    """

    text: str
    moves: tuple[tuple[str, str], ...] = ()
    before: dict[str, list[dict[str, str]]] = field(default_factory=dict)
    after: dict[str, list[dict[str, str]]] = field(default_factory=dict)
    actions_before: tuple[dict[str, Any], ...] | None = None
    actions_after: tuple[dict[str, Any], ...] | None = None
    trash: str | None = None

    def renames(self) -> list[tuple[str, str]]:
        """The names of actions that it changes, old and new."""
        before, after = self.actions_before or (), self.actions_after or ()
        if len(before) != len(after):
            return []
        names = [(one["name"], other["name"]) for one, other in zip(before, after, strict=True)]
        return [(old, new) for old, new in names if old != new]

    def reversed(self) -> Step:
        """The step that undoes this one."""
        return replace(
            self,
            moves=tuple((to, source) for source, to in reversed(self.moves)),
            before=self.after,
            after=self.before,
            actions_before=self.actions_after,
            actions_after=self.actions_before,
        )


class History:
    """The steps of a project, the newest last, in a file that survives a restart.

    unfinished: the step that has begun and is not finished. is_undo: it undoes the newest one.
    """

    def __init__(self, folder: Path) -> None:
        self.path, self.trash = folder / "undo.json", folder / "trash"
        self.steps: list[Step] = []
        self.unfinished: Step | None = None
        self.is_undo = False
        with suppress(FileNotFoundError):
            self._read()

    def begin(self, step: Step, *, is_undo: bool = False) -> None:
        """Keep what is about to be done. Raises DataError, and then nothing may be done."""
        self._write(self.steps, step, is_undo)

    def drop(self) -> None:
        """The step that had begun was taken back."""
        self._write(self.steps, None, False)

    def finish(self, step: Step) -> None:
        """The step that had begun is done, as it is given here."""
        steps = self.steps[:-1] if self.is_undo else [*self.steps, step]
        old = steps[:-MOST_STEPS]
        self._write(steps[-MOST_STEPS:], None, False)
        for one in old:
            if one.trash:
                shutil.rmtree(self.trash / one.trash, ignore_errors=True)

    def _read(self) -> None:
        try:
            kept = json.loads(self.path.read_text(encoding="utf-8"))
            self.steps = [_step(one) for one in kept["steps"]]
            self.unfinished = kept["unfinished"] and _step(kept["unfinished"])
            self.is_undo = bool(kept["is_undo"])
        except FileNotFoundError:
            raise
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            aside = self.path.with_suffix(".broken")
            Reporter().warn(
                f"{self.path} cannot be read ({error}) and is now {aside.name}: earlier steps "
                f"cannot be undone; what they deleted is in {self.trash}"
            )
            self.steps, self.unfinished = [], None
            self.path.replace(aside)

    def _write(self, steps: list[Step], unfinished: Step | None, is_undo: bool) -> None:
        """Keep this on disk, and only then here."""
        kept = {
            "steps": [asdict(step) for step in steps],
            "unfinished": unfinished and asdict(unfinished),
            "is_undo": is_undo,
        }
        text = json.dumps(kept, ensure_ascii=False)
        mend = "free space, or make the folder writable"
        write_or_raise(self.path, text.encode(), DataError, "cannot be written", mend)
        self.steps, self.unfinished, self.is_undo = steps, unfinished, is_undo


def _step(kept: dict[str, Any]) -> Step:
    """A step from JSON. Raises TypeError or ValueError for what is none."""
    known = {one.name for one in fields(Step)}
    if not known >= kept.keys() or not isinstance(kept["text"], str):
        raise ValueError("an entry is no step")
    moves = tuple((str(source), str(to)) for source, to in kept["moves"])
    if any(".." in Path(path).parts or Path(path).is_absolute() for move in moves for path in move):
        raise ValueError("a step leads out of the project")
    actions = {
        name: None if kept[name] is None else tuple(kept[name])
        for name in ("actions_before", "actions_after")
    }
    return Step(**{**kept, "moves": moves, **actions})


def move_all(folder: Path, moves: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Do the moves below folder whose source is there.

    Nothing is overwritten: what found its place taken has another name, and is in the result,
    {meant: found}. Raises OSError, or DataError for a link out of it; then nothing has moved.
    """
    done: list[tuple[Path, Path]] = []
    elsewhere: dict[str, str] = {}
    try:
        for source, to in moves:
            for path in (source, to):
                if not (folder / path).parent.resolve().is_relative_to(folder):
                    raise DataError(f"{folder / path}: leads out of the project; remove the link")
            for one, place in _parts(folder / source, folder / to):
                free = place if place.exists() and place.samefile(one) else free_place(place)
                free.parent.mkdir(parents=True, exist_ok=True)
                one.rename(free)
                done.append((one, free))
                if free != place:
                    meant, found = (one.relative_to(folder).as_posix() for one in (place, free))
                    elsewhere[meant] = found
    except (OSError, DataError):
        for one, free in reversed(done):
            free.rename(one)
        raise
    return elsewhere


def _parts(source: Path, to: Path) -> list[tuple[Path, Path]]:
    """What to move: the source, or, where a folder's place is taken by another, all in it."""
    if not source.exists():
        return []
    if source.is_dir() and to.is_dir() and not source.samefile(to):
        return [part for one in sorted(source.iterdir()) for part in _parts(one, to / one.name)]
    return [(source, to)]


def free_place(path: Path) -> Path:
    """The path, or where it is taken the next free one: wave.mp4, wave-2.mp4."""
    number, free = 2, path
    while free.exists():
        free = path.with_name(f"{path.stem}-{number}{path.suffix}")
        number += 1
    return free
