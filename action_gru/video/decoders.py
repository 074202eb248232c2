"""The two ways a file is decoded: OpenCV first, PyAV where OpenCV decodes nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np

from action_gru.errors import MissingExtraError, VideoError
from action_gru.video.diagnosis import diagnose
from action_gru.video.frame import Image, import_av

DEFAULT_FPS = 25.0


class Reader(Protocol):
    """One pass over a file: `grab` moves to the next frame, `retrieve` converts it."""

    fps: float
    declared_s: float | None  # what the header says of its length
    size_px: tuple[int, ...]  # (width, height), as the header says

    def grab(self) -> float | None:
        """Instant of the next frame in seconds, None at the end."""

    def retrieve(self) -> Image: ...

    def close(self) -> None: ...


class OpenCVReader:
    """Frames through OpenCV's FFmpeg; the display rotation is applied."""

    def __init__(self, path: Path, threads: int | None = None) -> None:
        cv2.utils.logging.setLogLevel(
            2
        )  # errors only: a file that does not open gets a typed error instead
        options = [] if threads is None else [cv2.CAP_PROP_N_THREADS, threads]
        self._capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG, options)
        fps = self._capture.get(cv2.CAP_PROP_FPS) if self._capture.isOpened() else 0.0
        self.fps = fps if np.isfinite(fps) and fps > 0 else DEFAULT_FPS
        frames = self._capture.get(cv2.CAP_PROP_FRAME_COUNT) if self._capture.isOpened() else 0.0
        self.declared_s = frames / self.fps if np.isfinite(frames) and frames > 0 else None
        self.size_px: tuple[int, ...] = tuple(
            int(self._capture.get(side)) if self._capture.isOpened() else 0
            for side in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT)
        )

    @property
    def is_open(self) -> bool:
        return bool(self._capture.isOpened())

    @property
    def codec(self) -> str:
        code = int(self._capture.get(cv2.CAP_PROP_FOURCC))
        return code.to_bytes(4, "little", signed=code < 0).decode("ascii", "replace").strip("\0 ")

    def grab(self) -> float | None:
        return grab(self._capture)

    def retrieve(self) -> Image:
        return retrieve(self._capture)

    def close(self) -> None:
        self._capture.release()


def grab(capture: cv2.VideoCapture) -> float | None:
    """Move to the next frame; its instant in seconds, None where there is none."""
    if not capture.grab():  # False also where nothing opened
        return None
    return float(capture.get(cv2.CAP_PROP_POS_MSEC)) / 1000.0


def retrieve(capture: cv2.VideoCapture) -> Image:
    """The frame that was grabbed, (H, W, 3) uint8 RGB. Raises VideoError."""
    ok, bgr = capture.retrieve()
    if not ok:
        raise VideoError("a frame was announced by the decoder but could not be converted")
    return np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), dtype=np.uint8)


class PyAVReader:
    """Frames through PyAV, which decodes what OpenCV's wheel leaves out (AV1)."""

    def __init__(self, path: Path, threads: int | None = None) -> None:
        av = import_av(f"decoding {path}")
        try:
            # Only files: a playlist in a file's clothes must not make us fetch what it names.
            self._container: Any = av.open(str(path), options={"protocol_whitelist": "file"})
            stream = self._container.streams.video[0]
        except (av.FFmpegError, IndexError) as error:
            raise VideoError(f"{path}: PyAV finds no video stream in it ({error})") from error
        stream.codec_context.thread_count = threads or 0  # 0: as many as it likes
        self._error: type[Exception] = av.FFmpegError
        self._start_s = float((stream.start_time or 0) * stream.time_base)
        self.fps = float(stream.average_rate or DEFAULT_FPS)
        duration = self._container.duration  # microseconds
        self.declared_s = duration / 1e6 if duration and duration > 0 else None
        context = stream.codec_context
        self.size_px: tuple[int, ...] = (context.width, context.height)
        self._frames = self._container.decode(stream)
        self._frame: Any = None

    def grab(self) -> float | None:
        try:
            self._frame = next(self._frames, None)
        except self._error:  # damaged part-way: what was decoded so far counts, as with OpenCV
            self._frame = None
        if self._frame is None:
            return None
        return float(self._frame.time or 0.0) - self._start_s

    def retrieve(self) -> Image:
        image = self._frame.to_ndarray(format="rgb24")
        quarter_turns = round(self._frame.rotation / 90) % 4
        return np.ascontiguousarray(np.rot90(image, quarter_turns), dtype=np.uint8)

    def close(self) -> None:
        self._container.close()


def open_reader(
    path: Path, threads: int | None = None, most_pixels: int | None = None
) -> tuple[Reader, float]:
    """A reader that stands on its first decoded frame, and that frame's instant in seconds.

    most_pixels: of a frame; a header that announces more is refused before any is decoded.
    """
    try:
        str(path).encode()
    except UnicodeEncodeError as error:  # OpenCV would end the process
        raise VideoError(f"{str(path)!r}: the name is no valid text; rename the file") from error
    if not path.is_file():
        raise VideoError(f"{path}: no such video file; check the path")
    reader = OpenCVReader(path, threads)
    _check_size(path, reader, most_pixels)
    first_s = reader.grab() if reader.is_open else None
    if first_s is not None:
        return reader, first_s
    opened, codec = reader.is_open, reader.codec if reader.is_open else ""
    reader.close()
    if not opened:
        raise VideoError(f"{path}: {diagnose(path)}")
    try:
        fallback = PyAVReader(path, threads)
    except MissingExtraError as error:
        raise VideoError(
            f"{path}: opened, but no frame decoded (codec {codec or 'unknown'}); "
            "install the 'av' extra (pip install 'action-gru[av]') or re-encode to H.264"
        ) from error
    _check_size(path, fallback, most_pixels)
    first_s = fallback.grab()
    if first_s is None:
        fallback.close()
        raise VideoError(
            f"{path}: opened, but neither OpenCV nor PyAV decoded a frame "
            f"(codec {codec or 'unknown'}); re-encode it to H.264"
        )
    return fallback, first_s


def _check_size(path: Path, reader: Reader, most_pixels: int | None) -> None:
    width_px, height_px = reader.size_px
    if most_pixels is not None and width_px * height_px > most_pixels:
        reader.close()
        raise VideoError(
            f"{path}: its header announces frames of {width_px} x {height_px}, more than "
            f"{most_pixels:,} pixels; scale it down, or raise decoding.max_pixels"
        )
