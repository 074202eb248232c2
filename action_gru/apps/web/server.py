"""From a trained run to a page, its address in the browser, and a clean end."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import tempfile
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from fastapi.responses import FileResponse
from fastapi.staticfiles import StaticFiles

from action_gru.apps.listening import Server, answer_errors
from action_gru.apps.serving import free_port, shown_address
from action_gru.apps.studio.current import Room
from action_gru.apps.studio.engine import Engine
from action_gru.apps.studio.guard import Guard
from action_gru.apps.studio.live import camera_routes
from action_gru.apps.studio.server import END_S, PAGE, SOCKET_BYTES
from action_gru.apps.studio.session import WORK
from action_gru.apps.studio.trying import Keeping, Tries, file_routes
from action_gru.core.graphics import class_colours
from action_gru.core.paths import VIDEO_SUFFIXES

OWN_PAGE = Path(__file__).parent / "page"
MODULES = tuple(WORK + name for name in ("visits", "live", "tries"))  # of the worker
SWEEP_EVERY_S = 10.0
HELD_UPLOADS = 10  # uploads and results may take so many times the largest upload
KEEP_S, LEFT_S = 1800.0, 90.0  # browsers let a page in the background ask once a minute
WAITING = 16  # videos that wait, beside those that are read
RATES = (1.0, 40.0)  # uploads, cameras and leaves of one address: so many a second, and at once


@dataclass(frozen=True)
class Limits:
    """max_upload_mb: of one file. max_duration_s: of one video. videos, cameras: at the same time.

    Each is at least 1.
    """

    max_upload_mb: int = 200
    max_duration_s: float = 600.0
    videos: int = 2
    cameras: int = 4

    @property
    def max_upload_bytes(self) -> int:
        return self.max_upload_mb * 1_000_000


@dataclass(frozen=True)
class Shown:
    """The model that is tried: its run and its classes."""

    run: Path
    classes: tuple[str, ...]


def make_app(
    shown: Shown, reader: Engine, folder: Path, limits: Limits, host: str, names: Sequence[str] = ()
) -> FastAPI:
    """The page's app. folder: of temporary files. names: see `Guard`."""
    keeping = Keeping(
        files=WAITING + limits.videos,
        keep_s=KEEP_S,
        most_s=limits.max_duration_s,
        most_bytes=HELD_UPLOADS * limits.max_upload_bytes,
        left_s=LEFT_S,
        for_visitors=True,
    )
    room = Room(reader, folder, lambda: folder / secrets.token_hex(8), lambda: shown.run, [])
    tries = Tries(room, keeping)
    folder.mkdir(exist_ok=True)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        sweeping = asyncio.create_task(_sweep(tries))
        yield
        sweeping.cancel()
        await asyncio.to_thread(reader.close)

    # No page of FastAPI's own: they load scripts from other servers.
    app = FastAPI(lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None)
    largest = {"/api/tries": limits.max_upload_bytes}
    app.add_middleware(Guard, host=host, names=names, limits=largest, rates=RATES)

    @app.get("/")
    def page() -> FileResponse:
        return FileResponse(OWN_PAGE / "index.html")

    @app.get("/api/model")
    def model() -> dict[str, Any]:
        return {
            "run": shown.run.name,
            "colours": class_colours(shown.classes),
            "megabytes": limits.max_upload_mb,
            "seconds": limits.max_duration_s,
            "suffixes": sorted(VIDEO_SUFFIXES),
        }

    app.include_router(file_routes(tries))
    app.include_router(camera_routes(room, limits.cameras))
    app.mount("/page", StaticFiles(directory=PAGE))
    app.mount("/web", StaticFiles(directory=OWN_PAGE))
    answer_errors(app, "reload the page", "look at the server's terminal")
    return app


async def _sweep(tries: Tries) -> None:
    """Remove what nobody asks for any more, also while nobody asks for anything."""
    while True:
        await asyncio.sleep(SWEEP_EVERY_S)
        tries.sweep()


def serve(
    shown: Shown,
    overrides: Sequence[str],
    host: str,
    port: int,
    limits: Limits,
    names: Sequence[str],
    ready: Callable[[str], None],
) -> None:
    """Serve the page until ctrl-C; `ready` is called with its address once the model is loaded.

    Raises TaskError where it cannot be, ConfigError for a port that is taken.
    """
    port = free_port(host, port)
    address = shown_address(host, port)
    with (
        tempfile.TemporaryDirectory(prefix="action_gru_web_") as held,
        contextlib.closing(Engine("reader", MODULES, lambda: None)) as reader,
    ):
        reader.start()
        model = str(shown.run), list(overrides), limits.videos, limits.cameras
        reader.ask("visits_open", *model).result()
        app = make_app(shown, reader, Path(held).resolve() / "tries", limits, host, names)
        Server(
            app,
            host,
            port,
            lambda: ready(address),
            ws_max_size=SOCKET_BYTES,
            timeout_graceful_shutdown=END_S,
        ).serve_until_stopped()
