"""A file's frames, decoded by FFmpeg through PyAV: pictures and times as a player shows them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from itertools import chain
from pathlib import Path

import av
import av.container
import av.stream

from action_gru.errors import VideoError
from action_gru.paths.to_paste import about_pictures
from action_gru.video.clock import FrameClock
from action_gru.video.diagnosis import diagnose
from action_gru.video.frame import Image
from action_gru.video.picture import PictureMaker

DEFAULT_FPS = 25.0
MOST_FPS = 1000.0
# Of the container's flags: without it FFmpeg tells a time stamp that it has from one that it made.
GENERATE_PTS = 1
TIMES_MAY_JUMP = 0x0200  # of the format's flags (AVFMT_TS_DISCONT)


class FileReader:
    """One pass over a file: `grab` moves to the next frame, `retrieve` converts it.

    first_s: the instant of the first frame, on which a new reader stands. fps: as declared.
    declared_s: what the header says of its length. Raises VideoError where there is no frame.
    """

    def __init__(
        self, path: Path, threads: int | None = None, most_pixels: int | None = None
    ) -> None:
        """threads: of the decoder, None: as many as it likes. most_pixels: of a frame; a header
        that announces more is refused before any is decoded.
        """
        self._path = path
        self._container = _open(path)
        try:
            self._begin(threads, most_pixels)
        except BaseException:
            self.close()
            raise

    def _begin(self, threads: int | None, most_pixels: int | None) -> None:
        container, stream = self._container, video_stream(self._container, self._path)
        context = stream.codec_context
        self.size_px = (context.width, context.height)
        if most_pixels is not None:
            self._check_size(most_pixels)
            # Of later frames, which may be larger: FFmpeg counts with widths rounded up.
            context.options = {"max_pixels": str(2 * most_pixels)}
        context.thread_count = threads or 0
        context.thread_type = "AUTO"
        self.fps = rate_of(stream)
        duration = container.duration  # microseconds
        self.declared_s = duration / av.time_base if duration and duration > 0 else None
        self._clock = FrameClock(
            float(stream.time_base or 1 / av.time_base),
            _start_s(container, stream),
            1 / self.fps,
            bool(container.format.flags & TIMES_MAY_JUMP),
        )
        self._pictures = PictureMaker(one_size=True)
        self._frames = decoded(container, stream)
        self._frame: av.VideoFrame | None = None
        first_s = self.grab()
        if first_s is None:
            raise VideoError(
                f"{self._path}: opened, but no frame decoded (codec {context.name}); copy it "
                "again, or re-encode it to H.264"
            )
        self.first_s: float = first_s

    def _check_size(self, most_pixels: int) -> None:
        width_px, height_px = self.size_px
        if width_px * height_px > most_pixels:
            raise VideoError(
                f"{self._path}: its header announces frames of {width_px} x {height_px}, more than "
                f"{most_pixels:,} pixels; scale it down, or raise decoding.max_pixels"
            )

    def grab(self) -> float | None:
        """Instant of the next frame in seconds, None at the end."""
        self._frame = next(self._frames, None)
        if self._frame is None:
            return None
        return self._clock.time_s(self._frame.pts, self._frame.dts)

    def retrieve(self) -> Image:
        """The frame that was grabbed, (H, W, 3) uint8 RGB. Raises VideoError."""
        assert self._frame is not None
        try:
            return self._pictures.picture(self._frame)
        except (av.FFmpegError, ValueError) as error:
            raise VideoError(
                f"{self._path}: a frame ({self._frame.format.name}) cannot be converted to RGB "
                f"({error}); re-encode it to H.264"
            ) from error

    def close(self) -> None:
        self._container.close()


def _open(path: Path) -> av.container.InputContainer:
    try:
        str(path).encode()
    except UnicodeEncodeError as error:
        raise VideoError(f"{str(path)!r}: the name is no valid text; rename the file") from error
    if path.is_dir():
        mend = about_pictures(path) or "name one of its files"
        raise VideoError(f"{path}: this is a folder, no video; {mend}")
    if not path.is_file():
        raise VideoError(f"{path}: no such video file; check the path")
    try:
        # Absolute: of `cam1:12.mp4` FFmpeg would take `cam1` for a protocol. Only files: a playlist
        # in a file's clothes must not make us fetch what it names.
        container = av.open(
            str(path.absolute()),
            options={"protocol_whitelist": "file"},
            metadata_errors="replace",
        )
    except (av.FFmpegError, ValueError) as error:
        raise VideoError(f"{path}: {diagnose(path)}") from error
    container.flags &= ~GENERATE_PTS
    return container


def video_stream(container: av.container.InputContainer, path: Path) -> av.VideoStream:
    """The stream that a player shows; a cover picture is none. Raises VideoError."""
    covers = av.stream.Disposition.attached_pic
    streams = container.streams.video
    shown = [stream for stream in streams if not stream.disposition & covers]
    if not streams:
        raise VideoError(f"{path}: {diagnose(path)}")
    if not shown:
        raise VideoError(
            f"{path}: no video in it but a cover picture; give a file that holds video"
        )
    if shown[0].codec_context is None:
        raise VideoError(f"{path}: no decoder here for the video in it; re-encode it to H.264")
    return shown[0]


def _start_s(container: av.container.InputContainer, stream: av.VideoStream) -> float:
    """Where a player's clock stands at 0, in the container's time.

    Sound from before 0 is what its decoder needs to begin with, and nobody hears it.
    """
    start_s = (container.start_time or 0) / av.time_base
    picture_s = float((stream.start_time or 0) * (stream.time_base or 0))
    return float(max(start_s, min(0.0, picture_s)))


def rate_of(stream: av.VideoStream) -> float:
    """The declared frames per second."""
    return believable_fps(float(stream.guessed_rate or stream.average_rate or 0))


def believable_fps(fps: float) -> float:
    """The declared rate, or the default for one that is absent or a clock's (90000)."""
    return fps if 0 < fps <= MOST_FPS else DEFAULT_FPS


def decoded(
    container: av.container.InputContainer, stream: av.VideoStream
) -> Iterator[av.VideoFrame]:
    """The stream's frames. A damaged packet costs its own frames, a damaged container the rest."""
    for packet in chain(_whole_packets(container, stream), [None]):  # None: give what is held back
        with suppress(av.FFmpegError, OSError):
            yield from stream.decode(packet)


def _whole_packets(
    container: av.container.InputContainer, stream: av.VideoStream
) -> Iterator[av.Packet]:
    """The stream's packets, without the one in which the file is cut off.

    It would decode to a picture whose foot is green, or left over from another.
    """
    held: av.Packet | None = None
    with suppress(av.FFmpegError, OSError):
        for packet in container.demux(stream):
            if held is not None and packet.size:
                yield held
            held = packet if packet.size else held
    if held is not None and not held.is_corrupt:
        yield held
