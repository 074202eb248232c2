"""What can be undone: steps that move files and change rows, kept on disk before they are done.

A step that a crash cut short is finished at the next start, so files and rows always agree.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from action_gru.apps.studio.errors import what_of
from action_gru.core.errors import DataError
from action_gru.core.files import write_or_raise
from action_gru.core.progress import Reporter
from action_gru.prepare.project_file import COLOUR

MOST_STEPS = 50


def _inside(path: str) -> str:
    if Path(path).is_absolute() or ".." in Path(path).parts or "\0" in path:
        raise ValueError("it leads out of the project")
    return path


Inside = Annotated[str, AfterValidator(_inside)]
Lines = Annotated[list[dict[str, str]], Field(min_length=1)]


class ActionRow(BaseModel):
    """An action as project.yaml has it."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)
    name: str
    colour: Annotated[str, Field(pattern=COLOUR.pattern)]
    background: bool = False


class Step(BaseModel):
    """text: what was done, such as 'Delete 3 clips'. moves: (from, to) below the project's folder.

    before, after: the rows of every clip that the step changes, by its path, and none of a clip
    that is not there then; likewise the actions, where they change. trash: the folder of what it
    deleted.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    text: str
    moves: tuple[tuple[Inside, Inside], ...] = ()
    before: dict[str, Lines] = Field(default_factory=dict)
    after: dict[str, Lines] = Field(default_factory=dict)
    actions_before: tuple[ActionRow, ...] | None = None
    actions_after: tuple[ActionRow, ...] | None = None
    trash: Annotated[str, Field(pattern=r"^[0-9-]+$")] | None = None

    def renames(self) -> list[tuple[str, str]]:
        """The names of actions that it changes, old and new."""
        before, after = self.actions_before or (), self.actions_after or ()
        if len(before) != len(after):
            return []
        names = [(one.name, other.name) for one, other in zip(before, after, strict=True)]
        return [(old, new) for old, new in names if old != new]

    def reversed(self) -> Step:
        """The step that undoes this one."""
        return Step(
            text=self.text,
            moves=tuple((to, source) for source, to in reversed(self.moves)),
            before=self.after,
            after=self.before,
            actions_before=self.actions_after,
            actions_after=self.actions_before,
            trash=self.trash,
        )


class Kept(BaseModel):
    """The file: see History."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    steps: tuple[Step, ...] = ()
    unfinished: Step | None = None
    is_undo: bool = False


class History:
    """The steps of a project, the newest last, in a file that survives a restart.

    unfinished: the step that has begun and is not finished; where is_undo, it undoes the newest.
    """

    def __init__(self, folder: Path) -> None:
        self.path, self.trash = folder / "undo.json", folder / "trash"
        self._kept = self._read()

    @property
    def steps(self) -> tuple[Step, ...]:
        return self._kept.steps

    @property
    def unfinished(self) -> Step | None:
        return self._kept.unfinished

    def begin(self, step: Step, *, is_undo: bool = False) -> None:
        """Keep what is about to be done. Raises DataError, and then nothing may be done."""
        self._write(Kept(steps=self.steps, unfinished=step, is_undo=is_undo))

    def drop(self) -> None:
        """The step that had begun was taken back."""
        self._write(Kept(steps=self.steps))

    def finish(self, step: Step) -> None:
        """The step that had begun is done, as it is given here."""
        steps = self.steps[:-1] if self._kept.is_undo else (*self.steps, step)
        self._write(Kept(steps=steps[-MOST_STEPS:]))
        for old in steps[:-MOST_STEPS]:
            if old.trash:
                shutil.rmtree(self.trash / old.trash, ignore_errors=True)

    def _read(self) -> Kept:
        try:
            return Kept.model_validate_json(self.path.read_bytes())
        except FileNotFoundError:
            return Kept()
        except (OSError, ValueError) as error:
            aside = self.path.with_suffix(".broken")
            Reporter().warn(
                f"{self.path} cannot be read ({what_of(error)}) and is now {aside.name}: earlier "
                f"steps cannot be undone; what they deleted is in {self.trash}"
            )
            self.path.replace(aside)
            return Kept()

    def _write(self, kept: Kept) -> None:
        """Keep this on disk, and only then here."""
        data = kept.model_dump_json(exclude_defaults=True).encode()
        write_or_raise(self.path, data, DataError)
        self._kept = kept


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
