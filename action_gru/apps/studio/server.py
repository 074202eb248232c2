"""The studio's web server: the page, the state, the routes of each step, errors as sentences."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import signal
import threading
import webbrowser
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI, Request, WebSocket, WebSocketDisconnect
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse, Response
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from action_gru.apps.serving import TooLargeError, free_port
from action_gru.apps.studio import (
    clips,
    extraction,
    labelling,
    live,
    training,
    trying,
    using,
)
from action_gru.apps.studio.errors import FULL_MEND, status_of
from action_gru.apps.studio.guard import Guard
from action_gru.apps.studio.session import Studio
from action_gru.core.errors import ActionGruError, is_full

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
    _answer_errors(app)
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


def _answer_errors(app: FastAPI) -> None:
    """Every error is {"error": a sentence}."""

    def sentence(status: int, text: str) -> JSONResponse:
        return JSONResponse({"error": text}, status)

    async def own(_: Request, error: Any) -> JSONResponse:
        return sentence(status_of(error), str(error))

    async def invalid(_: Request, error: Any) -> JSONResponse:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"][1:]) or "the request"
        return sentence(422, f"{where}: {first['msg']}")

    async def of_http(_: Request, error: Any) -> JSONResponse:
        return sentence(error.status_code, f"{error.detail}; reload the page")

    async def too_large(_: Request, __: Any) -> JSONResponse:
        return sentence(413, "the file is larger than the limit here; cut it into parts")

    async def gone(_: Request, __: Any) -> JSONResponse:
        return sentence(400, "the page left before all of it came")

    async def of_system(_: Request, error: Any) -> JSONResponse:
        if is_full(error):
            return sentence(507, f"{FULL_MEND} ({error.filename or error.strerror})")
        return sentence(500, f"{error}; make the project's folder readable and writable")

    async def unforeseen(_: Request, error: Any) -> JSONResponse:
        return sentence(500, f"{type(error).__name__}: {error}; the terminal tells more")

    app.exception_handler(ActionGruError)(own)
    app.exception_handler(RequestValidationError)(invalid)
    app.exception_handler(HTTPException)(of_http)
    app.exception_handler(TooLargeError)(too_large)
    app.exception_handler(ClientDisconnect)(gone)
    app.exception_handler(OSError)(of_system)
    app.exception_handler(Exception)(unforeseen)


class _Server(uvicorn.Server):
    """Calls `ready` once it listens."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: Any = None) -> None:
        await super().startup(sockets)
        signal.signal(signal.SIGHUP, self.handle_exit)  # the terminal is closed: as by ctrl-C
        if self.started:
            self._ready()


def serve(
    folder: Path, host: str, port: int, open_browser: bool, ready: Callable[[str], None]
) -> None:
    """Serve a project's studio until ctrl-C; `ready` is called with its address.

    Raises ConfigError for a folder that is no project, that is open in another studio, and for a
    port that is taken.
    """
    port, studio = free_port(host, port), Studio(folder)
    studio.hold()
    shown = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)
    address = f"http://{shown}:{port}/"

    studio.tell_address(address)

    def listening() -> None:
        ready(address)
        if open_browser:
            threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()

    config = uvicorn.Config(
        make_app(studio, host),
        host,
        port,
        log_config=None,
        log_level=logging.WARNING,
        access_log=False,
        server_header=False,
        ws_max_size=SOCKET_BYTES,
        ws_per_message_deflate=False,  # costs more than it saves on one machine
        timeout_graceful_shutdown=END_S,
        lifespan="on",
    )
    try:
        with contextlib.suppress(KeyboardInterrupt):  # uvicorn raises it again after a clean end
            _Server(config, listening).run()
    finally:
        studio.close()  # where it did not come to its end, as when the terminal is closed
