"""A file's frames, decoded by FFmpeg through PyAV: pictures and times as a player shows them.

Knows nothing of limits or processes.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from itertools import chain
from pathlib import Path

import av
import av.container
import av.stream

from action_gru.core.errors import VideoError
from action_gru.core.paths import about_pictures
from action_gru.video.errors import diagnose
from action_gru.video.frame import Image, VideoInfo
from action_gru.video.picture import PictureMaker

DEFAULT_FPS = 25.0
MOST_FPS = 1000.0
# Of the container's flags: without it FFmpeg tells a time stamp that it has from one that it made.
GENERATE_PTS = 1
JOIN_BACK_S, JOIN_AHEAD_S = 0.1, 10.0  # as ffmpeg's dts_delta_threshold
TIMES_MAY_JUMP = 0x0200  # of the format's flags (AVFMT_TS_DISCONT)


class FileReader:
    """One pass over a file: `grab` moves to the next frame, `retrieve` converts it.

    A new reader stands on the first frame. Raises VideoError where there is none.
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
        size_px = (context.width, context.height)
        if most_pixels is not None:
            self._check_size(size_px, most_pixels)
            # Of later frames, which may be larger: FFmpeg counts with widths rounded up.
            context.options = {"max_pixels": str(2 * most_pixels)}
        context.thread_count = threads or 0
        context.thread_type = "AUTO"
        fps = rate_of(stream)
        self._clock = FrameClock(
            float(stream.time_base or 1 / av.time_base),
            _start_s(container, stream),
            1 / fps,
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
        self.info = VideoInfo(first_s, fps, size_px, declared_length_s(container))

    def _check_size(self, size_px: tuple[int, int], most_pixels: int) -> None:
        width_px, height_px = size_px
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


def declared_length_s(container: av.container.InputContainer) -> float | None:
    """What the container says of its length in seconds; None where it says nothing."""
    duration = container.duration or 0  # microseconds
    return duration / av.time_base if duration > 0 else None


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


class FrameClock:
    """Seconds since the start of a file, from the time stamps of its frames in their order.

    time_base_s: one tick. start_s: where the container starts, sound included, so that a picture
    that starts after the sound has a player's time. step_s: from frame to frame where a frame has
    no stamp. may_restart: the format is one whose files can be joined end to end (MPEG-TS), so that
    a jump is a join and no pause; what follows it goes on one step after the last frame.
    """

    def __init__(
        self, time_base_s: float, start_s: float, step_s: float, may_restart: bool
    ) -> None:
        self._time_base_s, self._start_s, self._step_s = time_base_s, start_s, step_s
        self._may_restart = may_restart
        self._pts, self._dts = _Stamps(), _Stamps()
        self._last_s: float | None = None

    def time_s(self, pts: int | None, dts: int | None) -> float:
        """The next frame's instant. pts, dts: its time stamps in ticks, None where it has none."""
        last_s = self._last_s
        expected_s = 0.0 if last_s is None else last_s + self._step_s
        stamp = self._best(pts, dts)
        time_s = expected_s if stamp is None else stamp * self._time_base_s - self._start_s
        # 1.4, 1.44, 0.02, 0.06 -> 1.4, 1.44, 1.48, 1.52
        joins = last_s is not None and not -JOIN_BACK_S <= time_s - last_s <= JOIN_AHEAD_S
        if self._may_restart and joins:
            self._start_s += time_s - expected_s
            time_s = expected_s
        self._last_s = time_s
        return time_s

    def _best(self, pts: int | None, dts: int | None) -> int | None:
        """The stamp to believe, as FFmpeg's best_effort_timestamp.

        AVI with B-frames gives many frames no pts, or ones that do not grow; its dts is right then.
        """
        self._pts.take(pts, dts)
        self._dts.take(dts, pts)
        if pts is not None and (dts is None or self._pts.faults <= self._dts.faults):
            return pts
        return dts


class _Stamps:
    """Counts how often the stamps of one kind did not grow."""

    def __init__(self) -> None:
        self.faults = 0
        self._last: int | None = None

    def take(self, stamp: int | None, other: int | None) -> None:
        """other: of the other kind, which stands in for a missing one."""
        if stamp is not None and self._last is not None:
            self.faults += stamp <= self._last
        self._last = stamp if stamp is not None else other if other is not None else self._last
