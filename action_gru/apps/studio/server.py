"""The studio's web server: the page, the state, and the routes of each step."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from fastapi import FastAPI, WebSocket, WebSocketDisconnect
from fastapi.responses import FileResponse
from fastapi.staticfiles import StaticFiles

from action_gru.apps.studio.session import Studio

PAGE = Path(__file__).parent / "page"
TOGETHER_S = 0.05  # changes this close are one push


def make_app(studio: Studio) -> FastAPI:
    """The studio's app. It starts the engines with itself and ends them at its end."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        studio.start()
        yield
        studio.close()

    app = FastAPI(title="action_gru studio", lifespan=lifespan, docs_url=None, redoc_url=None)

    @app.get("/")
    def page() -> FileResponse:
        return FileResponse(PAGE / "index.html")

    @app.get("/api/state")
    def state() -> dict[str, object]:
        return studio.state()

    @app.websocket("/api/events")
    async def events(socket: WebSocket) -> None:
        await socket.accept()
        loop, again = asyncio.get_running_loop(), asyncio.Event()

        def changed() -> None:
            loop.call_soon_threadsafe(again.set)

        studio.listeners.append(changed)
        try:
            with suppress(WebSocketDisconnect):
                while True:
                    await socket.send_json(studio.state())
                    await again.wait()
                    await asyncio.sleep(TOGETHER_S)
                    again.clear()
        finally:
            studio.listeners.remove(changed)

    app.mount("/page", StaticFiles(directory=PAGE), name="page")
    return app
