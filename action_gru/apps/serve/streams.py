"""WS /stream: frames in, answers and finished events out, as JSON.

The client sends pictures as binary messages, each with its time before it or without, and
{"type": "finish"} when no more will come. The server says {"type": "ready"}, then an "answer" for
each sampled frame, an "event" for each that is over, "error" for a frame that cannot be used, and
"end" before it closes.
"""

from __future__ import annotations

import asyncio
import json
import math
import time
from contextlib import suppress
from typing import Annotated, Any

from fastapi import APIRouter, Query, WebSocket, WebSocketDisconnect

from action_gru.apps.checks import check_detection
from action_gru.apps.serve.frames import FrameDecoder, split_message
from action_gru.apps.serve.service import BusyError, Service
from action_gru.apps.serve.stream_loop import Line
from action_gru.core.errors import ActionGruError, VideoError
from action_gru.video import Frame

PROTOCOL = "action-gru"
IDLE_S = 300.0  # a client that sends nothing for so long loses its place
MOST_BAD = 50  # frames after each other that cannot be used
MOST_UNSENT = 1000  # messages that a client does not take
NORMAL, AWAY, POLICY, TRY_LATER = 1000, 1001, 1008, 1013
FINISH = '{"type": "finish"}'


def routes(service: Service) -> APIRouter:
    """WS /stream."""
    router = APIRouter()

    @router.websocket("/stream")
    async def stream(
        socket: WebSocket,
        model: str | None = None,
        per_person: bool = False,
        top: Annotated[int, Query(ge=1, le=1000)] = 3,
        drop: bool = True,
    ) -> None:
        with suppress(WebSocketDisconnect, RuntimeError):  # a client may leave at any time
            offered = socket.headers.get("sec-websocket-protocol", "")
            names = [one.strip() for one in offered.split(",")]
            await socket.accept(PROTOCOL if PROTOCOL in names else None)
            client = Client(service, socket)
            try:
                with service.stream_place():
                    await client.serve(model, per_person, top, drop)
            except ActionGruError as error:
                await client.refuse(error)

    return router


class Client:
    """One connection, until its client finishes or leaves, or the server closes."""

    def __init__(self, service: Service, socket: WebSocket) -> None:
        self.service, self.socket, self.pool = service, socket, service.pool
        self._told: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._frames = self._bad = 0
        self._began_s = time.monotonic()
        self._pushing: asyncio.Future[None] | None = None

    async def refuse(self, error: ActionGruError) -> None:
        await self.socket.send_json({"type": "error", "error": str(error)})
        await self.socket.close(TRY_LATER if isinstance(error, BusyError) else POLICY)

    async def serve(self, model: str | None, per_person: bool, top: int, drop: bool) -> None:
        """Raises ActionGruError where there is no such stream."""
        served = self.service.models.find(model)
        recognizer, loop = served.recognizer, asyncio.get_running_loop()
        check_detection(recognizer.config, per_person)

        def tell(message: dict[str, Any]) -> None:
            with suppress(RuntimeError):  # the server has ended
                loop.call_soon_threadsafe(self._told.put_nowait, message)

        line = await asyncio.to_thread(self.service.loop.open, served, tell, top, per_person, drop)
        decoder = FrameDecoder(recognizer.limits)
        facts = served.facts().model_dump()
        await self.socket.send_json({"type": "ready"} | facts)
        sending = asyncio.create_task(self._send())
        taking = asyncio.create_task(self._take(line, decoder))
        closing = asyncio.create_task(self.service.closing.wait())
        try:
            await asyncio.wait((sending, taking, closing), return_when=asyncio.FIRST_COMPLETED)
            if not sending.done() and not (taking.done() and taking.exception()):
                self.service.loop.finish(line)
                await asyncio.wait_for(sending, self.service.limits.stop_s + 1)
                await self.socket.close(AWAY if closing.done() else NORMAL)
            errors = [task.exception() for task in (sending, taking) if task.done()]
            for error in filter(None, errors):
                raise error
        finally:
            self.service.loop.drop(line)
            for task in (sending, taking):
                task.cancel()
            closing.cancel()
            if self._pushing is not None:
                await asyncio.wait((self._pushing,))  # its thread may be in the decoder
            await loop.run_in_executor(self.pool, decoder.close)

    async def _send(self) -> None:
        """Tell what there is to tell, until the end."""
        while True:
            message = await self._told.get()
            if self._told.qsize() > MOST_UNSENT:
                await self.socket.close(POLICY, "the answers are not taken")
                return
            await self.socket.send_json(message)
            if message["type"] == "end":
                return

    async def _take(self, line: Line, decoder: FrameDecoder) -> None:
        """Take frames until the client says that it is done. Raises WebSocketDisconnect."""
        loop = asyncio.get_running_loop()
        while True:
            try:
                message = await asyncio.wait_for(self.socket.receive(), IDLE_S)
            except TimeoutError:
                return
            if message["type"] == "websocket.disconnect":
                raise WebSocketDisconnect(message.get("code", NORMAL))
            try:
                if message.get("bytes") is None:
                    if _is_finish(message.get("text") or ""):
                        return
                    continue
                arrived_s = time.monotonic() - self._began_s
                self._pushing = loop.run_in_executor(
                    self.pool, self._push, line, decoder, message["bytes"], arrived_s
                )
                await asyncio.shield(self._pushing)
                self._bad = 0
            except VideoError as error:
                self._bad += 1
                self._told.put_nowait({"type": "error", "error": str(error)})
                if self._bad >= MOST_BAD:
                    return

    def _push(self, line: Line, decoder: FrameDecoder, message: bytes, arrived_s: float) -> None:
        time_s, picture = split_message(message)
        if time_s is not None and not (math.isfinite(time_s) and abs(time_s) < 1e12):
            raise VideoError(f"a frame's time is a number of seconds; got {time_s}")
        image = decoder.decode(picture)
        line.push(Frame(self._frames, arrived_s if time_s is None else time_s, image))
        self._frames += 1
        self.service.metrics.frames.inc()


def _is_finish(text: str) -> bool:
    """Raises VideoError for what is no message of this protocol."""
    try:
        if json.loads(text) == json.loads(FINISH):
            return True
    except ValueError:
        pass
    raise VideoError(f"a text is {FINISH}, and a frame is binary; got {text[:60]!r}")
