"""A network stream, decoded in another process: whatever a server sends costs a reconnect at most.

Knows nothing of threads or of trying again.
"""

from __future__ import annotations

import contextlib
import time
from dataclasses import asdict
from typing import Any

from action_gru.errors import VideoError
from action_gru.video.connection import Connection
from action_gru.video.frame import Image
from action_gru.video.limits import DecodeLimits
from action_gru.video.processes import Worker, give_back_worker, take_worker
from action_gru.video.source import Source


class StreamDecoder:
    """The process of one source, over all its connections. One thread asks, any may `stop` it.

    crashes: how often the process ended by itself.
    """

    def __init__(self, limits: DecodeLimits) -> None:
        self.crashes = 0
        self._limits = limits
        self._worker: Worker | None = None

    def start(self) -> None:
        """Have a process; the first one takes about a second to start."""
        if self._worker is None:
            self._worker = take_worker()
            with contextlib.suppress(EOFError):
                self._worker.ask("close")

    def connect(
        self, source: Source, open_timeout_s: float, read_timeout_s: float
    ) -> tuple[Connection, float]:
        """Like `connection.connect`, in the process."""
        self.start()
        began_s = time.monotonic()
        try:
            opened = self.ask(
                "connect",
                source=asdict(source),
                open_timeout_s=open_timeout_s,
                read_timeout_s=read_timeout_s,
                limits=asdict(self._limits),
            )
        except EOFError as error:
            raise VideoError(
                f"{source.name}: its decoder ended after {time.monotonic() - began_s:.1f} s "
                f"without a picture ({error}); check what the server sends"
            ) from None
        return _WorkerConnection(self, opened), float(opened["time_s"])

    def ask(self, do: str, **arguments: Any) -> dict[str, Any]:
        """The answer. Raises VideoError as the process says, and EOFError when it has ended."""
        if self._worker is None:
            raise EOFError("stopped")
        try:
            answer = self._worker.ask(do, **arguments)
        except EOFError:
            worker, self._worker = self._worker, None
            self.crashes += not worker.is_ours
            raise EOFError(worker.how_it_ended()) from None
        if "error" in answer:
            raise VideoError(answer["error"])
        return answer

    def picture(self, answer: dict[str, Any]) -> Image:
        """The picture that an answer tells of."""
        if "needs" in answer:
            assert self._worker is not None
            self._worker.make_room(answer["needs"])
            answer = self.ask("retrieve")
        assert self._worker is not None
        return self._worker.pictures(0, [("", answer["shape"])])[""]

    def stop(self) -> None:
        """End the process, whatever it waits for: whoever asks it gets EOFError."""
        worker = self._worker
        if worker is not None:
            worker.kill()

    def leave(self) -> None:
        """Let the process go, for whoever wants one next."""
        worker, self._worker = self._worker, None
        if worker is not None:
            with contextlib.suppress(EOFError):
                worker.ask("close")
            give_back_worker(worker)


class _WorkerConnection:
    """A `Connection` that the process holds."""

    def __init__(self, decoder: StreamDecoder, opened: dict[str, Any]) -> None:
        self._decoder = decoder
        self.fps = float(opened["fps"])
        self.size_px: tuple[int, int] = (opened["size_px"][0], opened["size_px"][1])
        self.length_s: float | None = opened["length_s"]
        self.waits = bool(opened["waits"])

    def grab(self) -> float | None:
        try:
            time_s: float | None = self._decoder.ask("grab")["time_s"]
        except (VideoError, EOFError):
            return None
        return time_s

    def retrieve(self) -> Image:
        try:
            return self._decoder.picture(self._decoder.ask("retrieve"))
        except EOFError as error:
            raise VideoError(f"the decoder of the stream ended ({error})") from None

    def close(self) -> None:
        with contextlib.suppress(VideoError, EOFError):
            self._decoder.ask("close")
