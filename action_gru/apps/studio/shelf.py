"""The clips of a project on disk: listed, added, moved, trimmed, deleted, and all that undone.

A file is the truth: whatever happens, no recorded clip is lost. Looks at no picture.
"""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from action_gru.apps.serving import FULL_MEND, MissingThingError, NoSpaceError
from action_gru.apps.studio import edits
from action_gru.apps.studio.clip_rows import (
    ClipRows,
    Rows,
    ShelfClip,
    check_person,
    clip_files,
    is_take,
    moved,
    shelf_clip,
    with_bounds,
)
from action_gru.apps.studio.file_names import recorded_place, safe_name
from action_gru.apps.studio.history import History, Step, free_place, move_all
from action_gru.core.errors import ActionGruError, ConfigError, DataError, is_full
from action_gru.core.paths import composed
from action_gru.prepare.project import Project
from action_gru.prepare.project_file import Action

SAME_TICK_NS = 100_000_000


class Shelf:
    """A project's clips. Its methods may be called from any thread.

    changed: called after each change. problem: why manifest.csv could not be read; the clips are
    listed without it then, and none can be changed. renamed: called with the old and the new name
    of an action.
    """

    def __init__(self, project: Project, changed: Callable[[], None]) -> None:
        self.project, self.changed = project, changed
        self.renamed: Callable[[str, str], None] = lambda old, new: None
        self.problem: str | None = None
        self.history = History(project.hidden)
        self.temp = project.hidden / "temp"
        self._lock = threading.RLock()
        self._clips: tuple[ShelfClip, ...] = ()
        self._seen: object = None

    def recover(self) -> None:
        """Finish what a crash cut short. Only for who alone has the project open.

        Raises DataError where that is not possible.
        """
        shutil.rmtree(self.temp, ignore_errors=True)
        self.temp.mkdir(parents=True, exist_ok=True)
        if (step := self.history.unfinished) is not None:
            try:
                with self._lock:
                    self._do(step)
            except (OSError, ActionGruError) as error:
                raise DataError(
                    f"'{step.text[:60]}' was cut short and cannot be finished "
                    f"({str(error)[:300]}); mend that, or remove {self.history.path} and look for "
                    f"clips in {self.history.trash}"
                ) from error

    def clips(self) -> tuple[ShelfClip, ...]:
        """Every clip, by its path; quick where nothing changed."""
        with self._lock:
            stamp = self._stamp()
            if stamp is None or stamp != self._seen:
                self._clips, self._seen = self._list(), stamp
            return self._clips

    def clip(self, clip: str) -> ShelfClip:
        """Raises MissingThingError for one that is not there."""
        return self._named([clip])[0]

    def path(self, clip: str) -> Path:
        """The file of a clip that is listed, so that no other file can be named."""
        path = self.project.clips / self.clip(clip).id
        if not path.resolve().is_relative_to(self.project.clips.resolve()):
            raise MissingThingError(f"'{clip[:80]}' is a link out of the project; copy the file")
        return path

    def people(self) -> list[str]:
        """Who is in some clip, sorted."""
        return sorted({clip.person for clip in self.clips() if clip.person})

    def new_file(self) -> Path:
        """A place for a file that is on its way; it is removed at the next start."""
        self.temp.mkdir(parents=True, exist_ok=True)
        return self.temp / f"{time.time_ns()}-{threading.get_ident()}.part"

    def add(
        self,
        file: Path,
        action: str,
        *,
        name: str | None = None,
        person: str | None = None,
        take: str | None = None,
        number: int = 1,
        start_s: float | None = None,
        end_s: float | None = None,
    ) -> str:
        """Put a finished file among an action's clips; its id.

        name: of a file that had one. Without it, the file is called by take and number; take: when
        the recording began, '20261129-101500', or 'videos/NAME' that a clip with a name is cut
        from. Raises MissingThingError for an action that is not there.
        """
        if take is not None and not (is_take(take) and (name or "/" not in take)):
            raise ConfigError(f"take is like 20261129-101500; got '{take[:40]}'")
        group = check_person(person or "") or take or ""
        bounds = {"start_s": start_s, "end_s": end_s}
        with self._changing():
            folder = self.project.folder_of(self.project.action(action).name)
            if name is None:
                place = recorded_place(folder, take, number, file)
            else:
                place = free_place(folder / safe_name(name))
            clip = f"{folder.name}/{place.name}"
            row = {"path": clip, "label": composed(folder.name), "group": group}
            of_it = with_bounds([row], bounds)
            file.rename(place)
            # Were it killed here, the file is a clip: only who is in it would be asked again.
            try:
                rows = ClipRows(self.project.clips)
                rows.put({}, {clip: of_it})
                rows.write(clip_files(self.project.clips))
            except DataError as error:
                kept = f"{clip} is kept, but not who is in it"
                raise DataError(f"{kept}: {error}") from error
        return clip

    def change(self, clips: Sequence[str], changes: Mapping[str, Any]) -> None:
        """Change what is given of action, person, start_s and end_s for all the clips."""
        with self._changing():
            rows = ClipRows(self.project.clips)
            self._begin(edits.change_clips(self.project, rows, self._named(clips), changes))

    def delete(self, clips: Sequence[str]) -> None:
        """Put clips into the trash."""
        with self._changing():
            rows = ClipRows(self.project.clips)
            self._begin(edits.delete_clips(rows, self._named(clips)))

    def delete_files(self, text: str, paths: Sequence[str]) -> None:
        """Put other files into the trash, such as a long video with its segments.

        text: what an undo of it is called. paths: below the project's folder.
        """
        with self._changing():
            self._begin(edits.delete_files(text, paths))

    def delete_action(self, name: str) -> None:
        """Put an action with all its clips into the trash."""
        with self._changing():
            rows, action = ClipRows(self.project.clips), self.project.action(name)
            self._begin(edits.delete_action(self.project, rows, action, self._of(action)))

    def change_action(self, name: str, new_name: str | None, colour: str | None) -> None:
        """Rename an action, with its folder, or give it another colour."""
        with self._changing():
            rows, action = ClipRows(self.project.clips), self.project.action(name)
            parts = (self.project, rows, action, self._of(action))
            self._begin(edits.change_action(*parts, new_name, colour))

    def add_action(self, name: str) -> Action:
        """A new, empty action."""
        with self._changing():
            return self.project.add(name)

    def undo(self) -> str:
        """Take the newest step back; what it was, such as 'Delete 3 clips'."""
        with self._changing():
            if not self.history.steps:
                raise MissingThingError("there is nothing to undo")
            step = self.history.steps[-1]
            self._begin(step.reversed(), is_undo=True)
        return step.text

    def undo_text(self) -> str | None:
        """What `undo` would take back."""
        return self.history.steps[-1].text if self.history.steps else None

    @contextmanager
    def _changing(self) -> Iterator[None]:
        """Hold the shelf while its files change, then tell. Raises NoSpaceError for a full disk."""
        try:
            with self._lock:
                yield
        except (OSError, ActionGruError) as error:
            if is_full(error):
                raise NoSpaceError(f"{FULL_MEND} ({error})") from error
            if isinstance(error, OSError):
                raise DataError(f"{self.project.clips}: {error}; check the folder") from error
            raise
        finally:
            self._seen = None
            self.changed()

    def _begin(self, step: Step | None, *, is_undo: bool = False) -> None:
        """Do a step whole or not at all, so that it can be undone."""
        if step is None:
            return
        self.history.begin(step, is_undo=is_undo)
        try:
            self._do(step)
        except (OSError, ActionGruError):
            # Where even this fails, the next start does the step.
            with suppress(OSError, ActionGruError):
                self._apply(step.reversed())
                self.history.drop()
            raise

    def _do(self, step: Step) -> None:
        self.history.finish(self._apply(step))

    def _apply(self, step: Step) -> Step:
        """Move the files, write the rows and the actions; the step with the places that were free.

        What is done already is left as it is.
        """
        project = self.project
        elsewhere = move_all(project.folder, step.moves)
        after: Rows = {}
        for clip, lines in step.after.items():
            place = elsewhere.get(f"clips/{clip}", f"clips/{clip}").removeprefix("clips/")
            after[place] = moved(lines, place)
        rows = ClipRows(project.clips)
        rows.put(step.before, after)
        rows.write(clip_files(project.clips))
        if step.actions_after is not None:
            project.write([Action(**row.model_dump()) for row in step.actions_after])
            for old, new in step.renames():
                self.renamed(old, new)
        moves = tuple((source, elsewhere.get(to, to)) for source, to in step.moves)
        return step.model_copy(update={"moves": moves, "after": after})

    def _list(self) -> tuple[ShelfClip, ...]:
        left_out: list[str] = []
        files = clip_files(self.project.clips, left_out)
        try:
            rows, self.problem = ClipRows(self.project.clips), None
            if left_out:
                self.problem = (
                    f"{self.project.clips}: {left_out[0]!r} is no clip and no action, for its name "
                    "is not in UTF-8 or holds a control character; rename it"
                )
        except DataError as error:
            rows, self.problem = None, str(error)
        return tuple(shelf_clip(one, rows) for one in files)

    def _stamp(self) -> object:
        """Another value once a clip came or went or a row changed; None where that cannot be told.

        A folder that changed just now may change again within the same tick of its clock. One of
        the future, as after a clock was set back, does not: its next change has another time.
        """
        clips, found = self.project.clips, []
        for path in (clips, *clips.glob("[!.]*/**/"), clips / "manifest.csv"):
            with suppress(FileNotFoundError):
                facts = path.stat()
                found.append((str(path), facts.st_mtime_ns, facts.st_size))
        now_ns = time.time_ns()
        is_fresh = any(abs(now_ns - one[1]) < SAME_TICK_NS for one in found)
        return None if is_fresh else tuple(found)

    def _named(self, names: Sequence[str]) -> list[ShelfClip]:
        """Raises MissingThingError for one that is not there."""
        clips = {clip.id: clip for clip in self.clips()}
        for name in names:
            if name not in clips:
                gone = f"there is no clip '{name[:80]}'; it may have been moved or deleted by now"
                raise MissingThingError(gone)
        return [clips[name] for name in dict.fromkeys(names)]

    def _of(self, action: Action) -> list[ShelfClip]:
        return [clip for clip in self.clips() if clip.action == action.name]
