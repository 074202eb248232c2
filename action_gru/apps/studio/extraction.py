"""Keeps the facts of all clips: whenever clips change, the new ones are read, one after another.

The newest go first; a live picture goes before them. A clip that fails is told and blocks no other.
Looks at no picture itself: the reader does.
"""

from __future__ import annotations

import hashlib
import threading
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter
from fastapi.responses import FileResponse

from action_gru.apps.serving import MissingThingError
from action_gru.apps.studio.engine import StoppedTaskError
from action_gru.apps.studio.session import Facts
from action_gru.core.errors import ActionGruError

if TYPE_CHECKING:
    from action_gru.apps.studio.clip_rows import ShelfClip
    from action_gru.apps.studio.session import Studio

MOST_TRIES = 2  # of a clip whose reading failed as no fault of its own


@dataclass(frozen=True)
class Known:
    """A clip as it was when its reading began. mark: another one for other content or bounds."""

    path: Path
    start_s: float | None
    end_s: float | None
    modified_ns: int
    mark: str


class Extraction:
    """The facts of a studio's clips, kept up to date from its start on."""

    def __init__(self, studio: Studio) -> None:
        self.studio = studio
        self.pictures = studio.project.hidden / "clips"
        self._lock = threading.Lock()
        self._known: dict[str, Known] = {}
        self._tries: dict[str, int] = {}  # by mark
        self._reading: str | None = None
        self._still: tuple[str, ...] = ()
        studio.on_clips.append(self.look)
        studio.read_again = self.read_again

    def look(self) -> None:
        """Compare the clips on disk with those that are known, and read what is new."""
        facts, shelf = self.studio.facts, self.studio.shelf
        with self._lock:
            # Who does nothing in particular may well stand still.
            self._still = self.studio.project.background()
            found = {clip.id: known for clip in shelf.clips() if (known := self._of(clip))}
            gone = [name for name, known in self._known.items() if found.get(name) != known]
            for name in gone:
                facts.pop(name, None)
            for name in found:
                facts.setdefault(name, Facts())
            for name, fact in facts.items():
                if fact.like is not None and fact.like not in facts:
                    facts[name] = without_like(fact)
            self._known = found
        if gone:
            self.studio.reader.ask("forget_clips", gone)
        self._remove_pictures()
        self.studio.changed()
        self._read_next()

    def read_again(self) -> None:
        """Try the clips once more that failed by no fault of their own, as on a full disk."""
        with self._lock:
            for name, known in self._known.items():
                if self._tries.get(known.mark, 0) >= MOST_TRIES:
                    self._tries[known.mark] = MOST_TRIES - 1
                    self.studio.facts[name] = Facts()
        self._read_next()

    def poster(self, clip: str) -> Path | None:
        """The JPEG of a clip; None while there is none."""
        known = self._known.get(clip)
        path = self._picture(known) if known else None
        return path if path and path.is_file() else None

    def _of(self, clip: ShelfClip) -> Known | None:
        """None for a file that vanished meanwhile."""
        path = self.studio.project.clips / clip.id
        try:
            about = path.stat()
        except OSError:
            return None
        parts = path.name, about.st_size, about.st_mtime_ns, clip.start_s, clip.end_s
        mark = hashlib.sha256(repr(parts).encode()).hexdigest()[:24]
        return Known(path, clip.start_s, clip.end_s, about.st_mtime_ns, mark)

    def _picture(self, known: Known) -> Path:
        return self.pictures / f"{known.mark}.jpg"

    def _read_next(self) -> None:
        """Ask for the newest clip that waits, unless one is read now."""
        with self._lock:
            facts = self.studio.facts
            waiting = [name for name in self._known if facts[name].features == "waiting"]
            if self._reading is not None or not waiting:
                return
            name = max(waiting, key=lambda one: (self._known[one].modified_ns, one))
            self._reading, known = name, self._known[name]
        bounds, poster = (known.start_s, known.end_s), str(self._picture(known))
        asked = self.studio.reader.ask("read_clip", name, str(known.path), *bounds, poster)
        asked.add_done_callback(lambda future: self._take(name, known, future))

    def _take(self, name: str, known: Known, future: Future[dict[str, Any]]) -> None:
        error = future.exception()
        with self._lock:
            self._reading = None
            is_current = self._known.get(name) == known
            if is_current and isinstance(error, ActionGruError):
                self._fail(name, known, error)
            elif is_current and error is None:
                self._set(name, known, future.result())
        if isinstance(error, StoppedTaskError) and self.studio.reader.is_closed:
            return
        self.studio.changed()
        self._read_next()

    def _fail(self, name: str, known: Known, error: ActionGruError) -> None:
        """It waits for another try, or is told as failed."""
        if isinstance(error, StoppedTaskError):
            return
        tries = self._tries[known.mark] = self._tries.get(known.mark, 0) + 1
        if tries >= MOST_TRIES:
            self.studio.facts[name] = Facts("failed", str(error))

    def _set(self, name: str, known: Known, found: dict[str, Any]) -> None:
        """Take what was read. Of two that are alike the newer one is told of."""
        problem = found["problem"]
        state, warnings = "failed" if problem else "ready", tuple(found["warnings"])
        if name.partition("/")[0] in self._still:
            warnings = tuple(one for one in warnings if one != "still")
        facts = self.studio.facts
        facts[name] = Facts(state, problem, warnings, None, found["file_s"])
        other = next((one for one in found["alike"] if one in self._known), None)
        if other is None:
            return
        is_newer = (known.modified_ns, name) > (self._known[other].modified_ns, other)
        newer, older = (name, other) if is_newer else (other, name)
        told = dict.fromkeys((*facts[newer].warnings, "same"))
        facts[newer] = replace(facts[newer], warnings=tuple(told), like=older)

    def _remove_pictures(self) -> None:
        """Those of clips that are gone. A clip that is brought back is looked at again."""
        kept = {known.mark for known in self._known.values()}
        for path in self.pictures.glob("*.*"):
            if path.stem not in kept and not path.name.startswith("."):
                with suppress(OSError):
                    path.unlink()


def routes(studio: Studio) -> APIRouter:
    """/api/clips/poster. From here on the studio's facts are kept."""
    router, extraction = APIRouter(prefix="/api"), Extraction(studio)

    @router.get("/clips/poster")
    def poster(id: str) -> FileResponse:
        path = extraction.poster(id)
        if path is None:
            raise MissingThingError(f"there is no picture of '{id[:80]}' yet; ask again soon")
        return FileResponse(path, media_type="image/jpeg", headers={"Cache-Control": "no-cache"})

    return router


def without_like(fact: Facts) -> Facts:
    """The same, where the clip that it equalled is gone."""
    warnings = tuple(name for name in fact.warnings if name != "same")
    return replace(fact, warnings=warnings, like=None)
