"""The frames of one video stream of a file, by the processor or by a GPU; damage is counted.

Knows no clock and makes no pictures.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path

import av
import av.container
import av.stream
from av.codec.hwaccel import HWAccel

from action_gru.core.errors import VideoError
from action_gru.core.numbered_pictures import about_pictures
from action_gru.core.paths import diagnose
from action_gru.video.frame import DecodeLimits

GENERATE_PTS = 1  # of the container's flags: FFmpeg makes up the time stamps that are missing
# Their standards fix every bit of a frame. Decoders of others, such as MPEG-2, round differently.
EXACT = {"h264", "hevc", "vp8", "vp9"}
# What a GPU gives, and the same values as the processor lays them out. FFmpeg makes other RGB of
# the two layouts: by 0.7 of 255 on average.
LAYOUTS = {"nv12": "yuv420p", "p010le": "yuv420p10le"}
GPU_FAILURES = (av.FFmpegError, OSError, RuntimeError, ValueError)


class StreamDecoder:
    """One pass over the stream that a player shows, in `container` and `stream`.

    damaged: places so far that could not be decoded. With limits.hardware a GPU decodes it as far
    as it can. Where it fails, the processor decodes from that frame on, and `notes` says so.
    Raises VideoError where there is no such stream, and for a header that announces too large
    frames.
    """

    container: av.container.InputContainer
    stream: av.VideoStream

    def __init__(
        self, path: Path, threads: int | None, limits: DecodeLimits, go_on: Callable[[], None]
    ) -> None:
        """threads: of the processor, None: as many as it likes. go_on: called at each frame that
        is decoded a second time."""
        self._path, self._threads, self._limits, self._go_on = path, threads, limits, go_on
        self.damaged = 0
        self.notes: tuple[str, ...] = ()
        self._on_gpu = limits.hardware != "none"
        _check_place(path)
        try:
            self._open()
        except GPU_FAILURES as error:
            self._leave_gpu(0, error)

    def frames(self) -> Iterator[av.VideoFrame]:
        """All of them, in order. A damaged packet costs its own frames, a damaged container the
        rest."""
        given = 0
        try:
            for frame in self._decoded():
                if self._on_gpu and frame.format.name not in LAYOUTS:
                    raise RuntimeError(f"it gives frames of {frame.format.name}")
                given += 1
                yield frame
        except GPU_FAILURES as error:
            self._leave_gpu(given, error)
            for number, frame in enumerate(self._decoded()):
                if number < given:
                    self._go_on()
                else:
                    yield frame

    def layout(self, frame: av.VideoFrame) -> str | None:
        """The pixel format in which the processor gives such a frame; None: it is in it."""
        return LAYOUTS[frame.format.name] if self._on_gpu else None

    def close(self) -> None:
        self.container.close()
        vars(self).pop("stream", None)  # its decoder, and the memory of that

    def _leave_gpu(self, given: int, error: Exception) -> None:
        """The processor begins anew. Raises the error where it was the processor's."""
        if not self._on_gpu:
            raise error
        self._on_gpu, self.damaged = False, 0
        since = f" from frame {given} on" if given else ""
        hardware = f"decoding.hardware={self._limits.hardware}"
        self.notes = (f"{hardware}: decoded by the processor{since}, since {error}",)
        with contextlib.suppress(AttributeError):  # it was not opened
            self.container.close()
        self._open()

    def _open(self) -> None:
        """Raises VideoError, and on a GPU GPU_FAILURES."""
        hardware = self._limits.hardware if self._on_gpu else None
        self.container = _open(self._path, hardware)
        with contextlib.ExitStack() as on_failure:
            on_failure.callback(self.container.close)
            self.stream = _video_stream(self.container, self._path)
            self._set_up(self.stream.codec_context)
            on_failure.pop_all()

    def _set_up(self, context: av.VideoCodecContext) -> None:
        most_pixels = self._limits.max_pixels
        if context.width * context.height > most_pixels:
            raise VideoError(
                f"{self._path}: its header announces frames of {context.width} x {context.height}, "
                f"more than {most_pixels:,} pixels; scale it down, or raise decoding.max_pixels"
            )
        if self._on_gpu and not (context.is_hwaccel and context.name in EXACT):
            raise RuntimeError(f"it decodes no {context.name} to the bit")
        # Of later frames, which may be larger: FFmpeg counts with widths rounded up.
        context.options = {"max_pixels": str(2 * most_pixels)}
        context.thread_count = 1 if self._on_gpu else self._threads or 0
        context.thread_type = "AUTO"

    def _decoded(self) -> Iterator[av.VideoFrame]:
        for packet in chain(self._whole_packets(), [None]):  # None: flush the decoder
            with self._counting_damage():
                yield from self.stream.decode(packet)

    def _whole_packets(self) -> Iterator[av.Packet]:
        """The stream's packets, without the one in which the file is cut off.

        It would decode to a picture whose foot is green, or left over from another.
        """
        held: av.Packet | None = None
        with self._counting_damage():
            for packet in self.container.demux(self.stream):
                if held is not None and packet.size:
                    yield held
                held = packet if packet.size else held
        if held is not None and not held.is_corrupt:
            yield held
        else:
            self.damaged += held is not None

    @contextlib.contextmanager
    def _counting_damage(self) -> Iterator[None]:
        try:
            yield
        except (av.FFmpegError, OSError):
            if self._on_gpu:  # is it the file or the GPU? The processor tells
                raise
            self.damaged += 1


def _check_place(path: Path) -> None:
    try:
        str(path).encode()
    except UnicodeEncodeError as error:
        raise VideoError(f"{str(path)!r}: the name is no valid text; rename the file") from error
    if path.is_dir():
        mend = about_pictures(path) or "name one of its files"
        raise VideoError(f"{path}: this is a folder, no video; {mend}")
    if not path.is_file():
        raise VideoError(f"{path}: no such video file; check the path")


def _open(path: Path, hardware: str | None) -> av.container.InputContainer:
    # Absolute: of `cam1:12.mp4` FFmpeg would take `cam1` for a protocol. Only files: a playlist
    # in a file's clothes must not make us fetch what it names.
    place, only_files = str(path.absolute()), {"protocol_whitelist": "file"}
    gpu = HWAccel(hardware, allow_software_fallback=False) if hardware else None
    try:
        container = av.open(place, options=only_files, metadata_errors="replace", hwaccel=gpu)
    except (av.FFmpegError, ValueError) as error:
        if hardware:
            raise
        raise VideoError(f"{path}: {diagnose(path)}") from error
    container.flags &= ~GENERATE_PTS  # so that a missing stamp is seen
    return container


def _video_stream(container: av.container.InputContainer, path: Path) -> av.VideoStream:
    """The stream that a player shows; a cover picture is none. Raises VideoError."""
    if not container.streams.video:
        raise VideoError(f"{path}: {diagnose(path)}")
    cover = av.stream.Disposition.attached_pic
    shown = [stream for stream in container.streams.video if not stream.disposition & cover]
    if not shown:
        raise VideoError(
            f"{path}: no video in it but a cover picture; give a file that holds video"
        )
    if shown[0].codec_context is None:
        raise VideoError(f"{path}: no decoder here for the video in it; re-encode it to H.264")
    return shown[0]
