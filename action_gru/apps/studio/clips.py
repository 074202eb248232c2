"""The routes of actions and clips: what is on the shelf, comes, changes, goes and comes back."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import FileResponse
from pydantic import Field

from action_gru.apps.studio.bodies import Body
from action_gru.apps.studio.file_names import safe_name
from action_gru.apps.studio.session import Facts, Studio
from action_gru.apps.studio.uploads import receive

MOST_CLIPS = 10_000  # in one request
Text = Annotated[str, Field(max_length=500)]
Seconds = Annotated[float, Field(ge=0, le=1e6, allow_inf_nan=False)]
KINDS = {".webm": "video/webm", ".mov": "video/quicktime", ".mkv": "video/x-matroska"}


class NewAction(Body):
    name: Text


class ActionChange(Body):
    name: Text
    new_name: Text | None = None
    colour: Text | None = None


class Clips(Body):
    ids: Annotated[list[Text], Field(min_length=1, max_length=MOST_CLIPS)]


class ClipChange(Clips):
    """What is not given stays; null takes a person or a bound away."""

    action: Text | None = None
    person: Text | None = None
    start_s: Seconds | None = None
    end_s: Seconds | None = None


def parts(studio: Studio) -> dict[str, Callable[[], Any]]:
    """What the state tells of the project, its actions and its clips."""
    return {
        "project": lambda: _project(studio),
        "actions": lambda: [
            {"name": one.name, "colour": one.colour, "background": one.background}
            for one in studio.project.actions()
        ],
        "clips": lambda: _clips(studio),
        "people": studio.shelf.people,
    }


def _project(studio: Studio) -> dict[str, Any]:
    project, shelf = studio.project, studio.shelf
    return {
        "name": project.name,
        "folder": str(project.folder),
        "undo": shelf.undo_text(),
        "problem": project.problem or shelf.problem,
    }


def _clips(studio: Studio) -> list[dict[str, Any]]:
    unknown = Facts()
    found = []
    for clip in studio.shelf.clips():
        facts = studio.facts.get(clip.id, unknown)
        found.append({
            "id": clip.id,
            "action": clip.action,
            "file_s": facts.file_s,
            "start_s": clip.start_s,
            "end_s": clip.end_s,
            "person": clip.person,
            "take": clip.take,
            "features": facts.features,
            "problem": facts.problem,
            "warnings": list(facts.warnings),
            "like": facts.like,
        })  # fmt: skip
    return found


def routes(studio: Studio) -> APIRouter:
    """/api/actions, /api/clips and /api/undo."""
    router, shelf = APIRouter(prefix="/api"), studio.shelf

    @router.post("/actions", status_code=201)
    def add_action(body: NewAction) -> dict[str, str]:
        return {"name": shelf.add_action(body.name).name}

    @router.post("/actions/change")
    def change_action(body: ActionChange) -> dict[str, str]:
        shelf.change_action(body.name, body.new_name, body.colour)
        return {}

    @router.post("/actions/delete")
    def delete_action(body: NewAction) -> dict[str, str]:
        shelf.delete_action(body.name)
        return {}

    @router.post("/clips", status_code=201)
    async def add_clip(
        request: Request,
        action: str,
        person: str | None = None,
        take: str | None = None,
        number: Annotated[int, Query(ge=1, le=1_000_000)] = 1,
        name: str | None = None,
    ) -> dict[str, str]:
        # Refused before it came.
        studio.project.action(action)
        if name is not None:
            safe_name(name)
        file = await receive(request, studio.shelf.new_file())
        try:
            put = partial(shelf.add, person=person, take=take, number=number, name=name)
            return {"id": await asyncio.to_thread(put, file, action)}
        finally:
            file.unlink(missing_ok=True)

    @router.get("/clips/video")
    def video(id: str) -> FileResponse:
        path = shelf.path(id)
        return FileResponse(path, media_type=KINDS.get(path.suffix.lower(), "video/mp4"))

    @router.post("/clips/change")
    def change_clips(body: ClipChange) -> dict[str, str]:
        changes = body.model_dump(exclude={"ids"}, exclude_unset=True)
        shelf.change(body.ids, changes)
        return {}

    @router.post("/clips/delete")
    def delete_clips(body: Clips) -> dict[str, str]:
        shelf.delete(body.ids)
        return {}

    @router.post("/undo")
    def undo() -> dict[str, str]:
        return {"undone": shelf.undo()}

    return router
