"""What the servers that are made with FastAPI share: errors as sentences, and how they listen."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
from collections.abc import Awaitable, Callable
from types import FrameType
from typing import Any

import uvicorn
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from action_gru.apps.serving import FULL_MEND, TooLargeError, status_of
from action_gru.core.errors import ActionGruError, is_full


def answer_errors(app: FastAPI, absent: str, denied: str) -> None:
    """Every error is {"error": a sentence}.

    absent: the mend where a path is not known; denied: where the system refuses a file.
    """

    def sentence(status: int, text: str) -> JSONResponse:
        return JSONResponse({"error": text}, status)

    async def own(_: Request, error: Any) -> JSONResponse:
        answer = sentence(status_of(error), str(error))
        answer.headers.update(getattr(error, "headers", {}))
        return answer

    async def invalid(_: Request, error: Any) -> JSONResponse:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"][1:]) or "the request"
        return sentence(422, f"{where}: {first['msg']}")

    async def of_http(_: Request, error: Any) -> JSONResponse:
        return sentence(error.status_code, f"{error.detail}; {absent}")

    async def too_large(_: Request, __: Any) -> JSONResponse:
        return sentence(413, "the file is larger than the limit here; cut it into parts")

    async def gone(_: Request, __: Any) -> JSONResponse:
        return sentence(400, "the client left before all of it came")

    async def of_system(_: Request, error: Any) -> JSONResponse:
        if is_full(error):
            return sentence(507, f"{FULL_MEND} ({error.filename or error.strerror})")
        return sentence(500, f"{error}; {denied}")

    async def unforeseen(_: Request, error: Any) -> JSONResponse:
        return sentence(500, f"{type(error).__name__}: {error}; the terminal tells more")

    app.exception_handler(ActionGruError)(own)
    app.exception_handler(RequestValidationError)(invalid)
    app.exception_handler(HTTPException)(of_http)
    app.exception_handler(TooLargeError)(too_large)
    app.exception_handler(ClientDisconnect)(gone)
    app.exception_handler(OSError)(of_system)
    app.exception_handler(Exception)(unforeseen)


class Server(uvicorn.Server):
    """Calls `ready` once it listens, and `drain` before it stops listening."""

    def __init__(
        self,
        app: FastAPI,
        host: str,
        port: int,
        ready: Callable[[], None],
        drain: Callable[[], Awaitable[None]] | None = None,
        **more: Any,
    ) -> None:
        """drain: what still answers after the first signal to end; a second signal does not wait
        for it. more: of uvicorn's settings.
        """
        config = uvicorn.Config(
            app,
            host,
            port,
            log_config=None,
            log_level=logging.WARNING,
            access_log=False,
            server_header=False,
            ws_per_message_deflate=False,  # costs more than it saves on pictures
            lifespan="on",
            **more,
        )
        super().__init__(config)
        self._ready, self._drain = ready, drain
        self._is_stopping = False

    async def startup(self, sockets: Any = None) -> None:
        await super().startup(sockets)
        self._loop = asyncio.get_running_loop()
        signal.signal(signal.SIGHUP, self.handle_exit)  # the terminal is closed: as by ctrl-C
        if self.started:
            self._ready()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self._drain is None or self._is_stopping:
            super().handle_exit(sig, frame)
            return
        self._is_stopping = True
        self._loop.call_soon_threadsafe(self._begin_drain, sig, frame)

    def _begin_drain(self, sig: int, frame: FrameType | None) -> None:
        async def drained() -> None:
            assert self._drain is not None
            await self._drain()
            super(Server, self).handle_exit(sig, frame)

        self._draining = self._loop.create_task(drained())

    def serve_until_stopped(self) -> None:
        """Until ctrl-C or a signal to end."""
        with contextlib.suppress(KeyboardInterrupt):  # uvicorn raises it again after a clean end
            self.run()
