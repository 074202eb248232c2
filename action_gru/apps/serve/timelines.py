"""POST /timeline and what becomes of it: GET, DELETE."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request, Response

from action_gru.apps.checks import check_detection
from action_gru.apps.serve.answers import JobAnswer
from action_gru.apps.serve.clips import ModelName, errors
from action_gru.apps.serve.jobs import Job
from action_gru.apps.serve.models import Served
from action_gru.apps.serve.service import Service
from action_gru.apps.serve.uploads import SCHEMA, Upload
from action_gru.core.errors import ActionGruError, BackboneError, MissingExtraError
from action_gru.timeline.formats import FORMATS
from action_gru.training.document import check_runs_live

PerPerson = Annotated[bool, Query(description="Whether each person is followed by itself.")]


class NotHereError(ActionGruError):
    """What this server was not set up for."""

    status = 501


class NotReadyError(ActionGruError):
    """A result that is not there yet, or never will be."""

    status = 409


def routes(service: Service) -> APIRouter:
    """The routes of jobs."""
    router = APIRouter(tags=["videos"])

    @router.post(
        "/timeline",
        operation_id="start_timeline",
        summary="Read a long video",
        status_code=202,
        responses=errors(400, 401, 404, 408, 413, 415, 422, 429, 501, 503, 507),
        openapi_extra={"requestBody": SCHEMA},
    )
    async def start(
        request: Request, model: ModelName = None, per_person: PerPerson = False
    ) -> JobAnswer:
        served = service.models.find(model)
        check_runs_live(not served.recognizer.model.can_stream)
        _check_people(served, per_person)
        with service.job_place():
            upload = Upload(service.folder)
            try:
                await upload.receive(request)
                job = Job(served, upload, per_person)
                service.jobs.add(job)
            except BaseException:
                upload.remove()
                raise
        return job.answer()

    @router.get(
        "/timeline/{job_id}",
        operation_id="get_timeline",
        summary="How far it is read, and the result",
        responses=errors(401, 404, 422, 503),
    )
    async def news(job_id: str) -> JobAnswer:
        return service.jobs.find(job_id).answer()

    @router.get(
        "/timeline/{job_id}/file",
        operation_id="get_timeline_file",
        summary="The result as a file",
        response_class=Response,
        responses={
            200: {"content": {"text/plain": {"schema": {"type": "string"}}}},
            **errors(401, 404, 409, 422, 503),
        },
    )
    async def file(
        job_id: str, format: Literal["json", "csv", "vtt", "srt", "eaf"] = "json"
    ) -> Response:
        job = service.jobs.find(job_id)
        if job.timeline is None:
            raise NotReadyError(f"this timeline is {job.state}; ask again once it is done")
        headers = {"content-disposition": f'attachment; filename="timeline.{format}"'}
        text = FORMATS[f".{format}"](job.timeline)
        return Response(text, media_type="text/plain; charset=utf-8", headers=headers)

    @router.delete(
        "/timeline/{job_id}",
        operation_id="cancel_timeline",
        summary="Stop and forget it",
        responses=errors(401, 404, 422, 503),
    )
    async def cancel(job_id: str) -> JobAnswer:
        return service.jobs.remove(job_id).answer()

    return router


def _check_people(served: Served, per_person: bool) -> None:
    """Raise NotHereError where people cannot be followed by this server."""
    try:
        check_detection(served.recognizer.config, per_person)
    except (MissingExtraError, BackboneError) as error:
        raise NotHereError(str(error)) from error
