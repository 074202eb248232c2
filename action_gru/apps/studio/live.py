"""The web socket of Try: a page's camera, frame by frame, and corrections from it."""

from __future__ import annotations

import asyncio
import math
import secrets
import struct
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from fastapi import APIRouter, WebSocket, WebSocketDisconnect
from pydantic import ValidationError

from action_gru.apps.studio.bodies import Body
from action_gru.apps.studio.current import NO_MODEL, ask, current_run
from action_gru.apps.studio.session import Studio
from action_gru.core.errors import ActionGruError, VideoError

MOST_CAMERAS = 4
MOST_FRAME_BYTES = 2_000_000
MOST_TEXT = 2_000
IDLE_S = 60.0  # a page that sends nothing for so long loses its place
CLOSED_NORMALLY, MODEL_CHANGED, TRY_LATER = 1000, 4000, 1013
TIME = struct.Struct("<d")
FULL = f"{MOST_CAMERAS} cameras are live already; close Try in another tab, then come back"


class Correction(Body):
    """What the last two seconds up to time_s were; person: who is in them."""

    correct: str
    time_s: float
    person: str | None = None


def routes(studio: Studio) -> APIRouter:
    """WS /api/live."""
    router, live = APIRouter(), set[str]()
    warmed: Path | None = None

    def warm() -> None:
        """Load a new model before somebody waits for it."""
        nonlocal warmed
        run = current_run(studio)
        if run is not None and run != warmed:
            warmed = run
            studio.reader.ask("live_open", str(run))

    studio.listeners.append(warm)

    @router.websocket("/api/live")
    async def camera(socket: WebSocket) -> None:
        key = secrets.token_hex(8)
        # A page may leave at any time, also while it is answered.
        with suppress(WebSocketDisconnect):
            await socket.accept()
            if len(live) >= MOST_CAMERAS:
                await _refuse(socket, FULL)
                return
            live.add(key)
            try:
                await CameraSocket(studio, socket, key).serve()
            finally:
                live.discard(key)
                studio.reader.ask("live_close", key, urgent=True)

    return router


async def _refuse(socket: WebSocket, sentence: str) -> None:
    await socket.send_json({"error": sentence})
    await socket.close(TRY_LATER)


class CameraSocket:
    """One connection, until its page leaves, is silent for too long, or the model is another."""

    def __init__(self, studio: Studio, socket: WebSocket, key: str) -> None:
        self.studio, self.socket, self.key = studio, socket, key
        self.run = current_run(studio)
        self.take = time.strftime("%Y%m%d-%H%M%S")  # of all corrections of this connection
        self._saved = 0
        self._changed = asyncio.Event()

    async def serve(self) -> None:
        """Answer frames and corrections, one at a time in their order."""
        if self.run is None:
            await _refuse(self.socket, NO_MODEL)
            return
        stop_listening = self._listen()
        try:
            facts = await ask(self.studio.reader, "live_open", str(self.run))
            await self.socket.send_json(facts | {"run": self.run.name})
            await self._answer_all()
        except ActionGruError as error:
            await _refuse(self.socket, str(error))
        finally:
            stop_listening()

    def _listen(self) -> Callable[[], None]:
        loop = asyncio.get_running_loop()

        def changed() -> None:
            loop.call_soon_threadsafe(self._changed.set)

        self.studio.listeners.append(changed)
        return lambda: self.studio.listeners.remove(changed)

    async def _answer_all(self) -> None:
        while True:
            message = await self._next()
            if message is None:
                return
            answer = await self._answer(message)
            await self.socket.send_json(answer)

    async def _next(self) -> dict[str, Any] | None:
        """The next message; None where the connection is over, for the page too."""
        receiving = asyncio.ensure_future(self.socket.receive())
        try:
            while True:
                changing = asyncio.ensure_future(self._changed.wait())
                both = {receiving, changing}
                await asyncio.wait(both, timeout=IDLE_S, return_when=asyncio.FIRST_COMPLETED)
                is_changed = changing.done()
                changing.cancel()
                self._changed.clear()
                if is_changed and current_run(self.studio) != self.run:
                    await self.socket.close(MODEL_CHANGED)
                    return None
                if receiving.done():
                    message = dict(receiving.result())
                    return None if message["type"] == "websocket.disconnect" else message
                if not is_changed:
                    await self.socket.close(CLOSED_NORMALLY, "no frame came for a while")
                    return None
        finally:
            receiving.cancel()

    async def _answer(self, message: dict[str, Any]) -> dict[str, Any]:
        try:
            data, text = message.get("bytes"), message.get("text")
            if data is not None:
                return await self._scores(data)
            return await self._save(_correction(text or ""))
        except ActionGruError as error:
            return {"error": str(error)}

    async def _scores(self, message: bytes) -> dict[str, Any]:
        began_s = time.perf_counter()
        if not TIME.size < len(message) <= MOST_FRAME_BYTES:
            raise VideoError(
                f"a frame is 8 bytes of time and a JPEG, {MOST_FRAME_BYTES // 1_000_000} MB at most"
                f"; got {len(message):,} bytes: send a smaller picture"
            )
        (time_s,) = TIME.unpack(message[: TIME.size])
        if not math.isfinite(time_s) or abs(time_s) > 1e12:
            raise VideoError(f"a frame's time is a number of seconds; got {time_s}")
        frame = message[TIME.size :]
        told = await ask(self.studio.reader, "live_push", self.key, str(self.run), frame, time_s)
        ms = round(1000 * (time.perf_counter() - began_s), 1)
        slow = told.get("slow", "")
        return {"time_s": time_s, "scores": told["scores"], "ms": ms, "slow": slow}

    async def _save(self, wish: Correction) -> dict[str, Any]:
        """Put the last two seconds into the right action."""
        self.studio.project.action(wish.correct)  # before any work
        self._saved += 1
        path = self.studio.shelf.new_file().with_suffix(".mp4")
        try:
            await ask(self.studio.reader, "live_clip", self.key, wish.time_s, str(path))
            return {"saved": await asyncio.to_thread(self._add, path, wish)}
        finally:
            path.unlink(missing_ok=True)

    def _add(self, path: Path, wish: Correction) -> str:
        person, number = wish.person or None, self._saved
        return self.studio.shelf.add(
            path, wish.correct, person=person, take=self.take, number=number
        )


def _correction(text: str) -> Correction:
    """Raises VideoError for a text that is none."""
    try:
        if len(text) > MOST_TEXT:
            raise ValueError(f"{len(text)} characters")
        return Correction.model_validate_json(text)
    except (ValidationError, ValueError) as error:
        raise VideoError(
            f'a correction is {{"correct": ACTION, "time_s": SECONDS}}; got {text[:60]!r}'
        ) from error
