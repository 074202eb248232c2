"""What the tests of live sources need: servers on loopback that misbehave, and one that sees."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import cv2
import numpy as np

from action_gru.video import Frame

QUICK = {"open_timeout_s": 1.5, "read_timeout_s": 1.5, "backoff_s": (0.05, 0.2)}


class Seen:
    """An on_frame that keeps times, sizes and middle colours, and waits for a count."""

    def __init__(self, work_s: float = 0.0) -> None:
        self.work_s = work_s
        self.indices: list[int] = []
        self.times_s: list[float] = []
        self.sizes_px: list[tuple[int, int]] = []
        self.colours: list[tuple[int, int, int]] = []

    def __call__(self, frame: Frame) -> None:
        height_px, width_px = frame.image.shape[:2]
        self.indices.append(frame.index)
        self.sizes_px.append((width_px, height_px))
        red, green, blue = frame.image[height_px // 2, width_px // 2]
        self.colours.append((int(red), int(green), int(blue)))
        self.times_s.append(frame.time_s)
        time.sleep(self.work_s)


def eventually(happens: Callable[[], bool], within_s: float = 20.0) -> bool:
    """Whether it happens; looks every 10 ms."""
    end_s = time.monotonic() + within_s
    while time.monotonic() < end_s:
        if happens():
            return True
        time.sleep(0.01)
    return happens()


def open_handles() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


SAMPLING = cv2.IMWRITE_JPEG_SAMPLING_FACTOR
PIXELS = {  # how JPEG keeps colours: half as fine as light, as fine, or not at all
    "halved": [SAMPLING, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420],
    "full": [SAMPLING, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444],
    "grey": [],
}


class MJPEGServer:
    """Pictures for whoever asks for /cam; `size_px` and `pixels` may change while it runs."""

    def __init__(
        self,
        port: int = 0,
        frames: int | None = None,
        silent_after: int | None = None,
        interval_s: float = 0.02,
    ) -> None:
        self.interval_s = interval_s
        self.size_px, self.pixels = (96, 64), "halved"
        self.frames = frames
        self.silent_after = silent_after
        self.asked: list[str] = []
        self._stop = threading.Event()
        self._sockets: list[socket.socket] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.asked.append(self.path)
                outer._sockets.append(self.connection)
                if self.path != "/cam":
                    self.send_error(401 if self.path == "/locked" else 404)
                    return
                self.send_response(200)
                self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
                self.end_headers()
                with suppress(OSError):
                    outer._send(self.wfile.write)

            def log_message(self, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.port = self._server.server_port
        self.url = f"http://127.0.0.1:{self.port}/cam"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    def _send(self, write: Callable[[bytes], object]) -> None:
        sent = 0
        while not self._stop.wait(self.interval_s) and (self.frames is None or sent < self.frames):
            if self.silent_after is not None and sent >= self.silent_after:
                continue
            width_px, height_px = self.size_px
            picture = np.full((height_px, width_px, 3), (40, 90, 220), np.uint8)  # BGR: reddish
            shown = picture[..., 1] if self.pixels == "grey" else picture
            data = cv2.imencode(".jpg", shown, PIXELS[self.pixels])[1].tobytes()
            head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(data)}\r\n\r\n"
            write(head.encode() + data + b"\r\n")
            sent += 1

    def cut(self) -> None:
        """End every connection and stop listening."""
        self._stop.set()
        for each in self._sockets:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def __enter__(self) -> MJPEGServer:
        return self

    def __exit__(self, *args: object) -> None:
        self.cut()


@contextmanager
def socket_server(answer: bytes | None = None, noise: bool = False) -> Iterator[int]:
    """A port that accepts and says nothing, one answer, or random bytes for ever."""
    listener = socket.create_server(("127.0.0.1", 0))
    accepted: list[socket.socket] = []

    def talk(connection: socket.socket) -> None:
        with suppress(OSError):
            if answer is not None or noise:
                connection.recv(4096)
                connection.sendall(answer or b"")
            while noise:
                connection.sendall(os.urandom(65536))
        if answer is not None and not noise:
            connection.close()

    def listen() -> None:
        with suppress(OSError):
            while True:
                accepted.append(listener.accept()[0])
                threading.Thread(target=talk, args=(accepted[-1],), daemon=True).start()

    thread = threading.Thread(target=listen, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        for each in (listener, *accepted):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()
        thread.join(5)


def refusing_port() -> int:
    """A port where nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def live_threads() -> list[str]:
    """Names of the reading threads that still run."""
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("live ")]
