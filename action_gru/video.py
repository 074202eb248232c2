"""Reads and writes video: files as `Frame`s with real timestamps. Knows nothing of sampling or models.

Images are RGB everywhere outside this module. OpenCV reads by default; PyAV (extra `av`) takes
over where OpenCV opens a file and decodes nothing, as with AV1.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

# A damaged file makes FFmpeg chatter on stderr; the typed error below says the same once.
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
os.environ.setdefault("OPENCV_LOG_LEVEL", "ERROR")

import cv2
import numpy as np
from numpy.typing import NDArray

from action_gru.errors import MissingExtraError, VideoError

Image = NDArray[np.uint8]

VIDEO_SUFFIXES = frozenset(
    ".3gp .asf .avi .flv .gif .m4v .mkv .mov .mp4 .mpeg .mpg .mts .ogv .ts .webm .wmv".split()
)
DEFAULT_FPS = 25.0


@dataclass(frozen=True)
class Frame:
    """One decoded picture. image (H, W, 3) uint8 RGB; time_s counts from the file's start."""

    index: int
    time_s: float
    image: Image


class Reader(Protocol):
    """One pass over a file: `grab` moves to the next frame, `retrieve` converts it."""

    fps: float

    def grab(self) -> float | None:
        """Instant of the next frame in seconds, None at the end."""

    def retrieve(self) -> Image: ...

    def close(self) -> None: ...


class OpenCVReader:
    """Frames through OpenCV's FFmpeg; the display rotation is applied."""

    def __init__(self, path: Path) -> None:
        self._capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
        fps = self._capture.get(cv2.CAP_PROP_FPS) if self._capture.isOpened() else 0.0
        self.fps = fps if np.isfinite(fps) and fps > 0 else DEFAULT_FPS

    @property
    def is_open(self) -> bool:
        return bool(self._capture.isOpened())

    @property
    def codec(self) -> str:
        code = int(self._capture.get(cv2.CAP_PROP_FOURCC))
        return code.to_bytes(4, "little", signed=code < 0).decode("ascii", "replace").strip("\0 ")

    def grab(self) -> float | None:
        if not self._capture.grab():
            return None
        return float(self._capture.get(cv2.CAP_PROP_POS_MSEC)) / 1000.0

    def retrieve(self) -> Image:
        ok, bgr = self._capture.retrieve()
        if not ok:
            raise VideoError("a frame was announced by the decoder but could not be converted")
        return np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), dtype=np.uint8)

    def close(self) -> None:
        self._capture.release()


class PyAVReader:
    """Frames through PyAV, which decodes what OpenCV's wheel leaves out (AV1)."""

    def __init__(self, path: Path) -> None:
        av = _import_av(f"decoding {path}")
        try:
            self._container: Any = av.open(str(path))
            stream = self._container.streams.video[0]
        except (av.FFmpegError, IndexError) as error:
            raise VideoError(f"{path}: PyAV finds no video stream in it ({error})") from error
        self._error: type[Exception] = av.FFmpegError
        self._start_s = float((stream.start_time or 0) * stream.time_base)
        self.fps = float(stream.average_rate or DEFAULT_FPS)
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


class VideoFile:
    """The frames of one file, in order, one at a time. Use as a context manager.

    Raises VideoError from iteration when the file holds no decodable frame.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._reader: Reader | None = None

    def __enter__(self) -> VideoFile:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        if self._reader is not None:
            self._reader.close()
            self._reader = None

    def __iter__(self) -> Iterator[Frame]:
        return self.frames()

    def frames(self, wanted: Callable[[float], bool] | None = None) -> Iterator[Frame]:
        """Frames whose instant (seconds) is wanted; the others are decoded, never converted."""
        for index, time_s in self._instants():
            if wanted is None or wanted(time_s):
                assert self._reader is not None
                yield Frame(index, time_s, self._reader.retrieve())

    def _instants(self) -> Iterator[tuple[int, float]]:
        """(index, time_s) of each decoded frame; times strictly grow."""
        self.close()
        self._reader, first_s = open_reader(self.path)
        time_s, index = first_s, 0
        grabbed: float | None = first_s
        while grabbed is not None:
            # Broken timestamps (all zero, or jumping back) become steps of the declared rate.
            time_s = grabbed if index == 0 or grabbed > time_s else time_s + 1 / self._reader.fps
            yield index, time_s
            index += 1
            grabbed = self._reader.grab()
        self.close()


def open_reader(path: Path) -> tuple[Reader, float]:
    """A reader that stands on its first decoded frame, and that frame's instant in seconds."""
    if not path.is_file():
        raise VideoError(f"{path}: no such video file; check the path")
    reader = OpenCVReader(path)
    first_s = reader.grab() if reader.is_open else None
    if first_s is not None:
        return reader, first_s
    opened, codec = reader.is_open, reader.codec if reader.is_open else ""
    reader.close()
    if not opened:
        raise VideoError(f"{path}: {diagnose(path)}")
    try:
        fallback = PyAVReader(path)
    except MissingExtraError as error:
        raise VideoError(
            f"{path}: opened, but no frame decoded (codec {codec or 'unknown'}); "
            "install the 'av' extra (pip install 'action-gru[av]') or re-encode to H.264"
        ) from error
    first_s = fallback.grab()
    if first_s is None:
        fallback.close()
        raise VideoError(
            f"{path}: opened, but neither OpenCV nor PyAV decoded a frame "
            f"(codec {codec or 'unknown'}); re-encode it to H.264"
        )
    return fallback, first_s


def diagnose(path: Path) -> str:
    """Why a file does not open as video, in words, with the mend."""
    with path.open("rb") as file:
        head = file.read(512)
        boxes = _mp4_boxes(path) if head[4:8] == b"ftyp" else []
    if not head:
        return "the file is empty (0 bytes); copy or download it again"
    if head.startswith(b"version https://git-lfs"):
        return "this is a Git LFS pointer (text), not the video; run 'git lfs pull'"
    if boxes and b"moov" not in boxes:
        return "the MP4 is cut short: its index (moov) is missing; copy or download it again"
    if boxes:
        return "no video stream in it (audio only?); give a file that holds video"
    if not any(byte < 9 for byte in head):
        return "this is text, not a video; check what the path points to"
    return "not a video that can be read (random or damaged bytes); copy it again or re-encode it"


def _mp4_boxes(path: Path) -> list[bytes]:
    """Names of the top-level boxes that lie wholly inside the file (ISO/IEC 14496-12, 4.2)."""
    names: list[bytes] = []
    offset, size = 0, path.stat().st_size
    with path.open("rb") as file:
        while offset + 8 <= size and len(names) < 64:
            file.seek(offset)
            header = file.read(16)
            length = int.from_bytes(header[:4], "big")
            if length == 1:
                length = int.from_bytes(header[8:16], "big")
            length = length or size - offset
            if length < 8 or offset + length > size:
                break
            names.append(header[4:8])
            offset += length
    return names


def _import_av(purpose: str) -> Any:
    try:
        import av
    except ImportError as error:
        raise MissingExtraError("av", "av", purpose) from error
    av.logging.set_level(None)
    return av


class VideoWriter:
    """Writes RGB frames to a file: H.264 through PyAV when installed, else MPEG-4 by OpenCV.

    The file appears under its name only when the writer closes without an error.
    """

    def __init__(self, path: str | Path, size_px: tuple[int, int], fps: float) -> None:
        self.path = Path(path)
        self.size_px = size_px
        self.fps = fps
        self._part = self.path.with_name(f".{self.path.stem}.part-{os.getpid()}{self.path.suffix}")
        self._sink: _AVSink | _OpenCVSink | None = None

    def __enter__(self) -> VideoWriter:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._sink = _AVSink(self._part, self.size_px, self.fps)
        except MissingExtraError:
            self._sink = _OpenCVSink(self._part, self.size_px, self.fps)
        return self

    @property
    def codec(self) -> str:
        """Name of the codec in use, once the writer is open."""
        return self._sink.codec if self._sink else ""

    def write(self, image: Image) -> None:
        """Append one frame. image (H, W, 3) uint8 RGB of the writer's size."""
        width_px, height_px = self.size_px
        if image.shape != (height_px, width_px, 3):
            raise VideoError(
                f"{self.path}: a frame of shape {image.shape} does not fit the video's "
                f"({height_px}, {width_px}, 3); resize it first"
            )
        if self._sink is None:
            raise VideoError(f"{self.path}: the writer is not open; use it in a 'with' block")
        self._sink.write(image)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if self._sink is not None:
                self._sink.close()
            if kind is None:
                self._part.replace(self.path)
        finally:
            self._sink = None
            self._part.unlink(missing_ok=True)


class _AVSink:
    codec = "h264"

    def __init__(self, path: Path, size_px: tuple[int, int], fps: float) -> None:
        from fractions import Fraction

        av = _import_av(f"writing {path} as H.264")
        self._av = av
        self._container = av.open(str(path), "w")
        try:
            self._stream = self._container.add_stream(
                "libx264", rate=Fraction(fps).limit_denominator(100000)
            )
        except (av.FFmpegError, ValueError) as error:
            self._container.close()
            raise VideoError(f"{path}: this container takes no H.264 ({error}); use .mp4") from error
        # yuv420p, which every player shows, needs even sides: an odd last row or column is dropped.
        self._stream.width, self._stream.height = size_px[0] // 2 * 2, size_px[1] // 2 * 2
        self._stream.pix_fmt = "yuv420p"

    def write(self, image: Image) -> None:
        even = np.ascontiguousarray(image[: self._stream.height, : self._stream.width])
        frame = self._av.VideoFrame.from_ndarray(even, format="rgb24")
        self._container.mux(self._stream.encode(frame))

    def close(self) -> None:
        self._container.mux(self._stream.encode())
        self._container.close()


class _OpenCVSink:
    codec = "mpeg4"

    def __init__(self, path: Path, size_px: tuple[int, int], fps: float) -> None:
        fourcc = cv2.VideoWriter.fourcc(*"mp4v")
        self._writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, fourcc, fps, size_px)
        if not self._writer.isOpened():
            raise VideoError(f"{path}: cannot be written as MPEG-4; use a .mp4 name and check space")

    def write(self, image: Image) -> None:
        self._writer.write(cv2.cvtColor(image, cv2.COLOR_RGB2BGR))

    def close(self) -> None:
        self._writer.release()
