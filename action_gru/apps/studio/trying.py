"""The routes of Try for files: scores over time, why, and corrections. Nothing is kept for long."""

from __future__ import annotations

import asyncio
import secrets
import shutil
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import FileResponse
from pydantic import Field

from action_gru.apps.serving import MissingThingError
from action_gru.apps.studio.bodies import Body
from action_gru.apps.studio.clip_rows import VIDEO_TAKE
from action_gru.apps.studio.current import NoModelError, current_run, do_job
from action_gru.apps.studio.file_names import safe_name
from action_gru.apps.studio.session import Studio
from action_gru.apps.studio.uploads import receive
from action_gru.core.errors import ActionGruError, ConfigError

MOST_TRIES = 8
KEEP_S = 3600.0
MOST_S = 600.0  # of one video
WHY_S = 2.0  # so much around a moment is explained
STRETCH_SHARE = 1.5  # a file that is hardly longer than WHY_S is explained as a whole


class CorrectionBody(Body):
    """What the two seconds around an instant were."""

    time_s: float = Field(ge=0, le=1e9, allow_inf_nan=False)
    action: str


@dataclass
class Try:
    """One uploaded file and what was found out about it so far."""

    id: str
    file: Path
    run: Path
    state: str = "reading"
    share: float = 0.0
    error: str | None = None
    found: dict[str, Any] = field(default_factory=dict)
    used_s: float = field(default_factory=time.monotonic)
    pictures: int = 0
    work: asyncio.Task[None] | None = None

    @property
    def folder(self) -> Path:
        return self.file.parent

    def document(self) -> dict[str, Any]:
        """The answer of GET /api/tries/ID; what is not known yet is None."""
        nothing = dict.fromkeys((
            "duration_s", "classes", "background", "threshold", "window_s", "times_s", "scores",
            "answer",
        ))  # fmt: skip
        known = {"state": self.state, "share": round(self.share, 3), "error": self.error}
        return nothing | known | {"name": self.file.name, "run": self.run.name} | self.found

    def hear(self, told: dict[str, Any]) -> None:
        """News of the work from the reader."""
        self.share, self.found = told["share"], told["found"]


class Tries:
    """The files of .studio/tries, one folder each: at most MOST_TRIES, none unused for KEEP_S."""

    def __init__(self, studio: Studio) -> None:
        self.studio, self.root = studio, studio.project.hidden / "tries"
        self.known: dict[str, Try] = {}
        shutil.rmtree(self.root, ignore_errors=True)  # of a studio before this one

    def sweep(self, room: int = 0) -> None:
        """Remove what is old, and the oldest until there is room for so many more."""
        oldest = sorted(self.known.values(), key=lambda one: one.used_s)
        surplus = len(oldest) + room - MOST_TRIES
        for number, one in enumerate(oldest):
            if number < surplus or one.used_s < time.monotonic() - KEEP_S:
                self._remove(one)

    def _remove(self, one: Try) -> None:
        del self.known[one.id]
        if one.work is not None:
            one.work.cancel()
        shutil.rmtree(one.folder, ignore_errors=True)

    def find(self, name: str) -> Try:
        """Raises MissingThingError for one that is not there any more."""
        self.sweep()
        found = self.known.get(name)
        if found is None:
            raise MissingThingError("that file is not kept any more; choose it again")
        found.used_s = time.monotonic()
        return found

    async def add(self, name: str, request: Request) -> Try:
        """Take in a file and begin to read it."""
        run = current_run(self.studio)
        if run is None:
            raise NoModelError
        safe, key = safe_name(name), secrets.token_hex(8)
        file = await receive(request, self.studio)
        self.sweep(room=1)
        made = self.known[key] = Try(key, self.root / key / safe, run)
        made.folder.mkdir(parents=True)
        file.rename(made.file)
        made.work = asyncio.create_task(self._read(made))
        return made

    async def _read(self, one: Try) -> None:
        reader, args = self.studio.reader, (str(one.run), str(one.file), MOST_S)
        try:
            one.found = await do_job(reader, "try_read", one.id, *args, news=one.hear)
            one.state, one.share = "ready", 1.0
        except ActionGruError as error:
            one.state, one.error = "failed", _without_path(error, one.file)

    async def why(self, one: Try, time_s: float | None) -> dict[str, Any]:
        """Explain the answer around an instant, or of a short file as a whole."""
        start_s, end_s = _around(time_s, _length_s(one), WHY_S)
        number, key = one.pictures, f"{one.id}-why-{secrets.token_hex(4)}"
        one.pictures += 1
        folder = one.folder / f"why-{number}"
        folder.mkdir()
        args = (str(one.run), str(one.file), start_s, end_s, str(folder))
        found = await do_job(self.studio.reader, "try_why", key, *args)
        address = f"/api/tries/{one.id}/why/{number}"
        moments = [
            moment | {"picture": f"{address}-{place}.jpg"}
            for place, moment in enumerate(found["moments"])
        ]
        return found | {"moments": moments}

    async def correct(self, one: Try, time_s: float, action: str) -> str:
        """Put two seconds around an instant into an action; the clip's id."""
        self.studio.project.action(action)  # before any work
        length_s = _length_s(one)
        start_s, end_s = _around(time_s, length_s, WHY_S)
        cut = one.folder / f"cut-{secrets.token_hex(4)}.mp4"
        args = (str(one.file), start_s or 0.0, end_s or length_s + 1.0, str(cut))
        try:
            await do_job(self.studio.reader, "try_cut", f"{one.id}-{cut.stem}", *args)
            name = f"{one.file.stem}-{start_s or 0.0:.1f}s.mp4"
            source = VIDEO_TAKE + one.file.name  # clips of one file stay together in a split
            return await asyncio.to_thread(
                self.studio.shelf.add, cut, action, name=name, take=source
            )
        finally:
            cut.unlink(missing_ok=True)


def _length_s(one: Try) -> float:
    if one.state != "ready":
        raise ConfigError(f"{one.file.name} is not read yet; wait until its timeline is there")
    return float(one.found["duration_s"])


def _around(
    time_s: float | None, length_s: float, wanted_s: float
) -> tuple[float | None, float | None]:
    """The stretch of wanted_s around an instant that lies in the file; (None, None): all of it."""
    if time_s is None or length_s <= STRETCH_SHARE * wanted_s:
        return None, None
    start_s = min(max(0.0, time_s - wanted_s / 2), length_s - wanted_s)
    return start_s, start_s + wanted_s


def _without_path(error: ActionGruError, file: Path) -> str:
    """The sentence with the file's name in place of where it lies."""
    return str(error).replace(str(file), file.name)


def routes(studio: Studio) -> APIRouter:
    """POST /api/tries, GET /api/tries/ID and what belongs to one."""
    router, tries = APIRouter(prefix="/api/tries"), Tries(studio)

    @router.post("", status_code=201)
    async def add(name: str, request: Request) -> dict[str, str]:
        return {"id": (await tries.add(name, request)).id}

    @router.get("/{name}")
    async def news(name: str) -> dict[str, Any]:
        return tries.find(name).document()

    @router.get("/{name}/why")
    async def why(name: str, time_s: float | None = None) -> dict[str, Any]:
        return await tries.why(tries.find(name), time_s)

    @router.get("/{name}/why/{number}-{place}.jpg")
    async def picture(name: str, number: int, place: int) -> FileResponse:
        path = tries.find(name).folder / f"why-{number}" / f"{place}.jpg"
        if not path.is_file():
            raise MissingThingError("that picture is not kept any more; ask why again")
        return FileResponse(path, media_type="image/jpeg")

    @router.post("/{name}/correct")
    async def correct(name: str, body: CorrectionBody) -> dict[str, str]:
        return {"id": await tries.correct(tries.find(name), body.time_s, body.action)}

    return router
