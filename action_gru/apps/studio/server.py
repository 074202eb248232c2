"""The studio's web server: the page, the state, the routes of each step, errors as sentences."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
import webbrowser
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import FastAPI, WebSocket, WebSocketDisconnect
from fastapi.responses import FileResponse, Response
from fastapi.staticfiles import StaticFiles

from action_gru.apps.listening import Server, answer_errors
from action_gru.apps.serving import free_port, shown_address
from action_gru.apps.studio import (
    clips,
    extraction,
    labelling,
    live,
    training,
    trying,
    using,
)
from action_gru.apps.studio.guard import Guard
from action_gru.apps.studio.session import Studio

PAGE = Path(__file__).parent / "page"
TOGETHER_S = 0.05  # changes this close are one push
SOCKET_BYTES = 4_000_000  # of a message: a camera's picture
END_S = 2  # how long open requests may go on after ctrl-C
ROUTES = tuple(
    part.routes for part in (clips, extraction, labelling, live, training, trying, using)
)


def make_app(studio: Studio, host: str = "127.0.0.1") -> FastAPI:
    """The studio's app. It starts the engines with itself and ends them at its end."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        studio.start()
        yield
        await asyncio.to_thread(studio.close)

    # No page of FastAPI's own: they load scripts from other servers.
    app = FastAPI(lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None)
    app.add_middleware(Guard, host=host)
    studio.parts.update(clips.parts(studio))

    @app.get("/")
    def page() -> FileResponse:
        return FileResponse(PAGE / "index.html")

    @app.get("/api/state")
    def state() -> Response:
        # Escaped, so that also names which are no text can be told.
        return Response(json.dumps(studio.state()), media_type="application/json")

    @app.websocket("/api/events")
    async def events(socket: WebSocket) -> None:
        await socket.accept()
        await _push(studio, socket)

    for routes in ROUTES:
        app.include_router(routes(studio))
    app.mount("/page", StaticFiles(directory=PAGE), name="page")
    answer_errors(app, "reload the page", "make the project's folder readable and writable")
    return app


async def _push(studio: Studio, socket: WebSocket) -> None:
    """Send the state now and after each change, until the page is gone."""
    loop, again = asyncio.get_running_loop(), asyncio.Event()

    def changed() -> None:
        with contextlib.suppress(RuntimeError):  # the server ends: the loop is closed
            loop.call_soon_threadsafe(again.set)

    async def send() -> None:
        while True:
            again.clear()
            await socket.send_text(json.dumps(await asyncio.to_thread(studio.state)))
            await again.wait()
            await asyncio.sleep(TOGETHER_S)

    async def until_gone() -> None:
        while (await socket.receive())["type"] != "websocket.disconnect":
            pass  # what a page says is not needed

    studio.listeners.append(changed)
    tasks = [asyncio.create_task(work()) for work in (send, until_gone)]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            error = task.exception()
            if error is not None and not isinstance(error, WebSocketDisconnect):
                raise error
    finally:
        studio.listeners.remove(changed)
        for task in tasks:
            task.cancel()


def serve(
    folder: Path, host: str, port: int, open_browser: bool, ready: Callable[[str], None]
) -> None:
    """Serve a project's studio until ctrl-C; `ready` is called with its address.

    Raises ConfigError for a folder that is no project, that is open in another studio, and for a
    port that is taken.
    """
    port, studio = free_port(host, port), Studio(folder)
    studio.hold()
    address = shown_address(host, port)

    studio.tell_address(address)

    def listening() -> None:
        ready(address)
        if open_browser:
            threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()

    app = make_app(studio, host)
    try:
        Server(
            app, host, port, listening, ws_max_size=SOCKET_BYTES, timeout_graceful_shutdown=END_S
        ).serve_until_stopped()
    finally:
        studio.close()  # where it did not come to its end, as when the terminal is closed
