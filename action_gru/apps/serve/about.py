"""What a server tells of itself: health, models, counts, and the page that shows its routes."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

from fastapi import APIRouter, Response
from fastapi.responses import FileResponse

from action_gru.apps.serve.answers import Health, ModelList
from action_gru.apps.serve.clips import errors
from action_gru.apps.serve.metrics import CONTENT_TYPE
from action_gru.apps.serve.service import Service

PAGE = Path(__file__).parent / "page"


def routes(service: Service) -> APIRouter:
    """GET /health, /models, /metrics, and the page."""
    router = APIRouter(tags=["server"])

    @router.get("/", include_in_schema=False)
    def page() -> FileResponse:
        return FileResponse(PAGE / "index.html")

    @router.get(
        "/health",
        operation_id="health",
        summary="Whether requests are taken",
        responses={503: {"model": Health, "description": "The server is closing."}},
    )
    async def health(response: Response) -> Health:
        response.status_code = 503 if service.is_closing else 200
        return Health(
            status="closing" if service.is_closing else "ready",
            models=list(service.models),
            waiting=service.clips,
            version=version("action_gru"),
        )

    @router.get(
        "/models", operation_id="list_models", summary="What is served", responses=errors(401, 503)
    )
    async def models() -> ModelList:
        return ModelList(models=[one.facts() for one in service.models.values()])

    @router.get(
        "/metrics",
        operation_id="metrics",
        summary="Counts, as Prometheus reads them",
        response_class=Response,
        responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}, **errors(401)},
    )
    async def metrics() -> Response:
        return Response(service.metrics.text(), headers={"content-type": CONTENT_TYPE})

    return router
