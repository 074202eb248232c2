"""POST /classify: one video, one answer."""

from __future__ import annotations

import asyncio
import time
from contextlib import ExitStack
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from starlette.requests import ClientDisconnect

from action_gru.apps.serve.answers import ClipAnswer, ErrorAnswer
from action_gru.apps.serve.models import Served
from action_gru.apps.serve.reading import Answer, UnreadableError
from action_gru.apps.serve.service import Service
from action_gru.apps.serve.uploads import SCHEMA, Upload

TOP = 5
ModelName = Annotated[str | None, Query(description="One of GET /models; by default the first.")]
Top = Annotated[int, Query(ge=1, le=1000, description="How many classes to tell.")]
_ABOUT = {
    400: "The body is no single video.",
    401: "No key, or a wrong one.",
    404: "No such model.",
    408: "The body came too slowly.",
    409: "It is not done.",
    413: "Larger than the server takes.",
    415: "The body is no multipart/form-data.",
    422: "No video, one without a readable frame, or a parameter that is none.",
    429: "Too much waits; Retry-After says when to ask again.",
    501: "This server cannot do it.",
    503: "The server is closing.",
    507: "The server's disk is full.",
}


def errors(*codes: int) -> dict[int | str, dict[str, Any]]:
    """Those that a route may answer, for OpenAPI."""
    return {code: {"model": ErrorAnswer, "description": _ABOUT[code]} for code in codes}


def routes(service: Service) -> APIRouter:
    """The routes of clips."""
    router = APIRouter(tags=["videos"])

    @router.post(
        "/classify",
        operation_id="classify",
        summary="What is done in a video",
        responses=errors(400, 401, 404, 408, 413, 415, 422, 429, 503, 507),
        openapi_extra={"requestBody": SCHEMA},
    )
    async def classify(request: Request, model: ModelName = None, top: Top = TOP) -> ClipAnswer:
        began_s = time.perf_counter()
        served = service.models.find(model)
        with ExitStack() as held:
            held.enter_context(service.place())
            upload = held.enter_context(Upload(service.folder))
            await upload.receive(request)
            prediction, warnings = await _answer(service, served, upload, request)
        service.metrics.predictions.labels(served.name).inc()
        service.metrics.requests_s.observe(time.perf_counter() - began_s)
        told = tuple(upload.shown(text) for text in warnings)
        return ClipAnswer.of(served.name, prediction, top, told)

    return router


async def _answer(service: Service, served: Served, upload: Upload, request: Request) -> Answer:
    """The answer to a file; given up where the client is gone."""
    reading = asyncio.wrap_future(service.readers.read(served, upload.path))
    leaving = asyncio.create_task(_until_gone(request))
    try:
        await asyncio.wait((reading, leaving), return_when=asyncio.FIRST_COMPLETED)
        if not reading.done():
            raise ClientDisconnect
        return await reading
    except UnreadableError as error:
        raise UnreadableError(upload.shown(str(error))) from None
    finally:
        leaving.cancel()
        reading.cancel()


async def _until_gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
