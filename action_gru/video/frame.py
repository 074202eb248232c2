"""What readers of every kind share: frames as RGB pictures, facts about a video, limits.

Knows no file and no process.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from typing import Any, ClassVar, Protocol

import av
import av.container
import av.filter
import av.logging
import numpy as np
from av.codec.hwaccel import HWAccel
from av.sidedata.sidedata import Type as SideData
from av.video.reformatter import VideoReformatter
from numpy.typing import NDArray

from action_gru.core.errors import ConfigError, VideoError

# A damaged file makes FFmpeg chatter on stderr; the typed errors say the same once.
av.logging.set_level(None)
os.environ.setdefault("OPENCV_LOG_LEVEL", "ERROR")

# Raised when the same file gives other pictures or times: its features are then extracted again.
# 2: interlaced and mirrored video, times since the container's start.
DECODING_VERSION = 2

DEFAULT_FPS, MOST_FPS = 25.0, 1000.0
# Of AVColorSpace, what FFmpeg's converter knows. It refuses other headers (reserved values, YCgCo,
# ICtCp), where players take the usual one; BT.2020 with constant luminance reads as without.
CONVERTIBLE = {0, 1, 2, 4, 5, 6, 7, 9}
UNSPECIFIED, BT2020_NCL, BT2020_CL = 2, 9, 10
UPRIGHT = (1, 0, 0, 1)

Image = NDArray[np.uint8]


@dataclass(frozen=True)
class Frame:
    """One decoded picture. image (H, W, 3) uint8 RGB; time_s counts from the file's start."""

    index: int
    time_s: float
    image: Image


@dataclass(frozen=True)
class VideoInfo:
    """What is known of a video at its first frame, first_s.

    fps: as declared. size_px: width and height as announced; (0, 0) where nothing opened.
    length_s: as declared, which can be wrong; None where it is live and has no end. waits: the
    server sends as fast as it is read, so that the reader must keep the time. notes: what to know
    before believing an answer. codec: FFmpeg's names of it and of its pixels, 'h264 yuv420p'; ''
    for pictures.
    """

    first_s: float
    fps: float
    size_px: tuple[int, int]
    length_s: float | None = None
    waits: bool = False
    notes: tuple[str, ...] = ()
    codec: str = ""


class FrameReader(Protocol):
    """Frames one after the other. `grab` moves to the next one, `retrieve` converts it.

    damaged: places so far that could not be decoded.
    """

    @property
    def damaged(self) -> int: ...

    @property
    def info(self) -> VideoInfo: ...

    def grab(self) -> float | None:
        """The next frame's instant in seconds; None: ended, lost or silent. Raises VideoError."""

    def retrieve(self) -> Image:
        """The frame that was grabbed, (H, W, 3) uint8 RGB. Raises VideoError."""

    def close(self) -> None: ...


@dataclass(frozen=True)
class DecodeLimits:
    """max_pixels of one frame, max_frames of one file, max_silence_s until the next frame,
    max_decode_s of work on one file in all, max_memory_gb beyond what the process needs by itself.

    isolate: decode in a process of its own, the only way to stop a decoder that hangs, crashes or
    eats memory. hardware: none, or what decodes instead of the processor: cuda. Raises ConfigError
    where FFmpeg finds no such device.
    """

    max_pixels: int = 1 << 26
    max_frames: int = 10_000_000
    max_silence_s: float = 60.0
    max_decode_s: float = 86_400.0
    max_memory_gb: float = 4.0
    isolate: bool = True
    hardware: str = "none"

    def __post_init__(self) -> None:
        if self.hardware != "none":
            check_hardware(self.hardware)


@cache
def check_hardware(name: str) -> None:
    """Raise ConfigError where FFmpeg finds no device of this name to decode with."""
    try:
        HWAccel(name).create(av.Codec("h264", "r"))
    except (av.FFmpegError, NotImplementedError, OSError) as error:
        raise ConfigError(
            f"decoding.hardware: FFmpeg finds no GPU to decode with ({name}: {error}); it needs an "
            "NVIDIA GPU and its driver's libnvcuvid. Set decoding.hardware=none"
        ) from error


class Watch:
    """Measures a decoder's work, each piece in a `with` block.

    alarm is called with the longest silence before each piece, and with 0 after it. Raises
    VideoError, which names the limit's key, when a limit is passed.
    """

    alarm: ClassVar[Callable[[float], object]] = lambda seconds: None

    def __init__(
        self,
        name: str,
        silence_s: float,
        max_frames: float = math.inf,
        max_decode_s: float = math.inf,
    ) -> None:
        self.frames = 0
        self._name, self._silence_s = name, silence_s
        self._max_frames, self._max_decode_s = max_frames, max_decode_s
        self._work_s = self._began_s = 0.0

    def __enter__(self) -> None:
        self._began_s = time.monotonic()
        type(self).alarm(self._silence_s)

    def go_on(self) -> None:
        """Within a piece: it goes on, and the silence begins anew."""
        type(self).alarm(self._silence_s)

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        type(self).alarm(0)
        self._work_s += time.monotonic() - self._began_s
        if kind is None and self._work_s > self._max_decode_s:
            raise VideoError(
                f"{self._name}: decoding took more than {self._max_decode_s:g} s, up to frame "
                f"{self.frames:,}; cut it, or raise decoding.max_decode_s"
            )
        if kind is None and self.frames > self._max_frames:
            raise VideoError(
                f"{self._name}: holds more than {self._max_frames:,} frames; cut it, or raise "
                "decoding.max_frames"
            )


def believable_fps(*declared: Any) -> float:
    """The first rate that is declared, or the default for none or a clock's (90000)."""
    fps = float(next(filter(None, declared), 0.0))
    return fps if 0 < fps <= MOST_FPS else DEFAULT_FPS


def declared_length_s(container: av.container.InputContainer) -> float | None:
    """The container's declared length in seconds; None where it declares none."""
    duration = container.duration or 0  # microseconds
    return duration / av.time_base if duration > 0 else None


class PictureMaker:
    """Makes (H, W, 3) uint8 RGB of the frames of one stream.

    one_size: scale what is larger or smaller than the first frame to its size. Interlaced frames
    are woven: one picture holds both fields, line by line, as recorded. The display
    matrix is applied, mirrored ones included.
    """

    def __init__(self, one_size: bool = False) -> None:
        self._one_size = one_size
        self._reformatter, self._laid_out = VideoReformatter(), VideoReformatter()
        self._weave: av.filter.Graph | None = None
        self._woven_kind: tuple[int, int, str] | None = None
        self._size_px: tuple[int, int] | None = None
        self._turned: tuple[int, tuple[int, int, int, int]] | None = None  # rotation, orientation

    def picture(self, frame: av.VideoFrame, layout: str | None = None) -> Image:
        """layout: the pixel format to go through, where its RGB is wanted.

        Raises av.FFmpegError for a frame that cannot be converted.
        """
        # PyAV's side_data and its frame refer to each other: hundreds of frames would wait for
        # the collector of cycles, 700 MB of 1080p. So it is read where the rotation is a new one.
        if self._turned is None or self._turned[0] != frame.rotation:
            self._turned = frame.rotation, _orientation(frame)
        orientation = self._turned[1]
        if frame.interlaced_frame:
            frame = self._woven(frame)
        if frame.colorspace not in CONVERTIBLE:
            frame.colorspace = BT2020_NCL if frame.colorspace == BT2020_CL else UNSPECIFIED
        if layout is not None:
            frame = self._laid_out.reformat(frame, format=layout, threads=1)
        if self._size_px is None or not self._one_size:
            self._size_px = frame.width, frame.height
        width_px, height_px = self._size_px
        shown = self._reformatter.reformat(
            frame, width=width_px, height=height_px, format="rgb24", threads=1
        )
        plane = shown.planes[0]
        rows = np.frombuffer(memoryview(plane), np.uint8).reshape(height_px, plane.line_size)
        return oriented(rows[:, : 3 * width_px].reshape(height_px, width_px, 3), orientation)

    def _woven(self, frame: av.VideoFrame) -> Any:
        """The frame marked as progressive.

        The converter would take its colours field by field, and OpenCV's refuses such frames: most
        recordings that are marked as interlaced show whole frames.
        """
        kind = frame.width, frame.height, frame.format.name
        if self._weave is None or kind != self._woven_kind:
            self._weave, self._woven_kind = graph, _ = av.filter.Graph(), kind
            graph.link_nodes(
                graph.add_buffer(None, *kind, time_base=Fraction(1, 1000)),
                graph.add("setfield", "prog"),
                graph.add("buffersink"),
            ).configure()
        self._weave.push(frame)
        return self._weave.pull()


def _orientation(frame: av.VideoFrame) -> tuple[int, int, int, int]:
    """(a, b, c, d) of the display matrix, each -1, 0 or 1: x' = a x + c y, y' = b x + d y."""
    data = frame.side_data.get(SideData.DISPLAYMATRIX)
    if data is None:
        return UPRIGHT
    matrix = np.frombuffer(data, np.int32).reshape(3, 3)[:2, :2].astype(float)
    a, b, c, d = (int(value) for value in np.rint(matrix / (np.abs(matrix).max() or 1)).flat)
    return (a, b, c, d) if abs(a * d - b * c) == 1 else UPRIGHT


def oriented(image: Image, orientation: tuple[int, int, int, int]) -> Image:
    """The picture turned and mirrored as a display matrix says: (H, W, 3) -> the same or (W, H, 3).

    orientation: (a, b, c, d) as x' = a x + c y, y' = b x + d y, with y growing downwards (FFmpeg,
    libavutil/display.h). Turns that are no quarter turns are rounded to one.
    """
    a, b, c, d = orientation
    if b or c:  # x' depends on y
        image, a, d = image.transpose(1, 0, 2), c, b
    return np.ascontiguousarray(image[:: d or 1, :: a or 1])
