"""The routes of step 3, label a long video: /api/videos. What they do is in `long_videos`."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any
from urllib.parse import quote

from fastapi import APIRouter, Request
from fastapi.responses import FileResponse, Response
from pydantic import Field

from action_gru.apps.studio.bodies import Body
from action_gru.apps.studio.current import NoModelError, current_run
from action_gru.apps.studio.long_videos import LongVideos
from action_gru.apps.studio.session import Studio
from action_gru.apps.studio.uploads import receive
from action_gru.apps.studio.video_shelf import MOST_SEGMENTS, Labelled

TYPES = {
    "csv": "text/csv",
    "json": "application/json",
    "vtt": "text/vtt",
    "srt": "application/x-subrip",
    "eaf": "application/xml",
}


class SegmentBody(Body):
    start_s: float = Field(ge=0, allow_inf_nan=False)
    end_s: float = Field(ge=0, allow_inf_nan=False)
    label: str = Field(min_length=1, max_length=200)


class SegmentsBody(Body):
    """version: of the segments that the page began from; without, what is there is replaced."""

    segments: list[SegmentBody] = Field(max_length=MOST_SEGMENTS)
    version: str | None = None


class VideoBody(Body):
    id: str


def routes(studio: Studio) -> APIRouter:
    """Registers the part `videos` of the state."""
    videos, router = LongVideos(studio), APIRouter(prefix="/api/videos")

    @router.post("", status_code=201)
    async def add(name: str, request: Request) -> dict[str, str]:
        videos.shelf.free_name(name)  # refused before a gigabyte came
        file = await receive(request, studio.shelf.new_file())
        try:
            return {"id": await asyncio.to_thread(videos.add, file, name)}
        finally:
            file.unlink(missing_ok=True)

    @router.post("/delete")
    def delete(body: VideoBody) -> dict[str, str]:
        videos.delete(body.id)
        return {}

    @router.get("/file")
    def file(id: str) -> FileResponse:
        path = videos.playback.played(id)
        kind = "video/webm" if path.suffix.lower() == ".webm" else "video/mp4"
        return FileResponse(path, media_type=kind)

    @router.post("/copy", status_code=202)
    def copy(id: str, body: Body) -> dict[str, str]:
        videos.playback.make_copy(id)
        return {}

    @router.get("/segments")
    def segments(id: str) -> dict[str, Any]:
        return videos.segments(id)

    @router.put("/segments")
    def keep(id: str, body: SegmentsBody) -> dict[str, Any]:
        kept = [Labelled(one.start_s, one.end_s, one.label) for one in body.segments]
        return videos.keep(id, kept, body.version)

    @router.post("/import")
    async def read(id: str, name: str, request: Request) -> dict[str, Any]:
        data = await request.body()
        found = await asyncio.to_thread(videos.imported, id, name, data)
        segments = [one.document() for one in found.segments]
        return {"segments": segments, "notes": list(found.notes)}

    @router.get("/export")
    def export(id: str, format: str) -> Response:
        document, stem = videos.exported(id, format), Path(id).stem
        named = f"attachment; filename*=UTF-8''{quote(f'{stem}.{format}', safe='')}"
        return Response(document, 200, {"Content-Disposition": named}, TYPES[format])

    @router.post("/propose", status_code=202)
    def propose(id: str, body: Body) -> dict[str, Any]:
        run = current_run(studio)
        if run is None:
            raise NoModelError
        videos.propose(id, run)
        return {}

    @router.get("/proposals")
    def proposals(id: str) -> dict[str, Any]:
        videos.shelf.path(id)
        return videos.proposals(id)

    @router.post("/cut")
    def cut(id: str, body: Body) -> dict[str, Any]:
        return videos.cut(id)

    return router
