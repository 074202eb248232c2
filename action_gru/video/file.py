"""Video files as frames with real timestamps, one at a time, decoded by FFmpeg through PyAV.

`VideoFile` reads folders and archives of pictures in the same way: see `picture_files`.
"""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import av
import av.container
import av.stream

from action_gru.core.errors import VideoError
from action_gru.core.paths import is_frames
from action_gru.video.clock import FrameClock
from action_gru.video.decoder_process import ProcessReader, give_back_process, take_process
from action_gru.video.frame import (
    DecodeLimits,
    Frame,
    FrameReader,
    Image,
    PictureMaker,
    VideoInfo,
    Watch,
    believable_fps,
    declared_length_s,
)
from action_gru.video.picture_files import PictureReader
from action_gru.video.stream_decoder import StreamDecoder

TIMES_MAY_JUMP = 0x0200  # of the format's flags (AVFMT_TS_DISCONT)

Samples = Iterator[tuple[float, dict[str, Image]]]


class VideoFile:
    """The frames of one file or folder of frames, in order, one at a time; a context manager.

    frames_decoded counts what the last pass has decoded so far; no header is believed. damaged
    counts the places that it could not decode. notes: what to know of it besides, once it is open.

    Raises VideoError from iteration when the file holds no decodable frame.
    """

    def __init__(
        self,
        path: str | Path,
        threads: int | None = None,
        limits: DecodeLimits | None = None,
        frame_rate: float | None = None,
    ) -> None:
        """threads: of the decoder; by default as many as it likes. The frames are the same.

        limits: what the file may cost; by default those of the config's `decoding` section.
        frame_rate: of a folder or archive of pictures, a second; a video file has its own.
        """
        self.path = Path(path)
        self.threads = threads
        self.limits = limits or DecodeLimits()
        self.frame_rate = frame_rate
        self.frames_decoded = self.damaged = 0
        self.notes: tuple[str, ...] = ()
        self._declared_s: float | None = None
        self._reader: FrameReader | None = None

    def __enter__(self) -> VideoFile:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        reader, self._reader = self._reader, None
        if reader is not None:
            reader.close()

    @property
    def fps(self) -> float:
        """The declared rate, frames per second; use a frame's time_s to know when it was."""
        if self._reader is None:
            raise VideoError(f"{self.path}: is not open; read its rate while iterating")
        return self._reader.info.fps

    @property
    def declared_s(self) -> float | None:
        """How long the header says it is, seconds, for a progress bar; headers can be wrong."""
        return self._declared_s

    def __iter__(self) -> Iterator[Frame]:
        return self.frames()

    def frames(
        self, wanted: Callable[[float], bool] | None = None, end_s: float | None = None
    ) -> Iterator[Frame]:
        """Frames before end_s whose instant (seconds) is wanted; others are never converted."""
        self.close()
        self._reader = reader = open_file(self.path, self.threads, self.limits, self.frame_rate)
        self._declared_s, index = reader.info.length_s, 0
        time_s: float | None = reader.info.first_s
        while time_s is not None:
            self.frames_decoded, self.damaged = index + 1, reader.damaged
            self.notes = reader.info.notes
            if end_s is not None and time_s >= end_s:
                return
            if wanted is None or wanted(time_s):
                yield Frame(index, time_s, reader.retrieve())
                if self._reader is not reader:  # closed meanwhile
                    return
            index, time_s = index + 1, reader.grab()
        self.damaged = reader.damaged
        self.close()

    def run(self, program: Callable[..., Samples], **arguments: Any) -> Samples:
        """What program(self, **arguments) yields: (seconds, named pictures).

        It runs where the file is decoded, so that only its pictures have to be handed over.
        program: a module's function; arguments: what can be pickled.
        """
        self.close()
        if not self.limits.isolate:
            yield from program(self, **arguments)
            return
        alone = replace(self.limits, isolate=False)
        there = VideoFile(self.path, self.threads, alone, self.frame_rate)
        work = partial(_run, there, program, arguments)
        process = take_process()
        try:
            answer = process.begin("run", work, str(self.path), self.limits)
            while answer["time_s"] is not None:
                self._know(**answer)
                yield answer["time_s"], answer["pictures"]
                answer = process.receive()
            self._know(**answer)
        except BaseException as error:
            if not isinstance(error, VideoError):
                process.end()  # it reads ahead, and would answer with samples of the old request
            raise
        finally:
            give_back_process(process)

    def _know(
        self, frames: int, declared_s: float | None, damaged: int, notes: list[str], **_: Any
    ) -> None:
        self.frames_decoded, self._declared_s, self.damaged = frames, declared_s, damaged
        self.notes = tuple(notes)


def _run(
    video: VideoFile, program: Callable[..., Samples], arguments: dict[str, Any]
) -> Iterator[tuple[float | None, dict[str, Image], dict[str, Any]]]:
    """Each sample with what is known of the file so far, and this again at the end."""

    def known() -> dict[str, Any]:
        counts = {"frames": video.frames_decoded, "damaged": video.damaged}
        return counts | {"declared_s": video.declared_s, "notes": video.notes}

    for time_s, pictures in program(video, **arguments):
        yield time_s, pictures, known()
    yield None, {}, known()


def open_file(
    path: Path, threads: int | None, limits: DecodeLimits, frame_rate: float | None = None
) -> FrameReader:
    """The reader of a file, or of pictures: in a process of its own where limits.isolate.

    Raises VideoError.
    """
    work: Callable[[], FrameReader] = (
        partial(PictureReader, path, frame_rate, limits)
        if is_frames(path)
        else partial(FileReader, path, threads, limits)
    )
    return ProcessReader(take_process(), work, str(path), limits) if limits.isolate else work()


class FileReader:
    """One pass over a file: `grab` moves to the next frame, `retrieve` converts it.

    A new reader is at the first frame. Raises VideoError where there is none, and for a header
    that announces too large frames before any is decoded.
    """

    def __init__(
        self, path: Path, threads: int | None = None, limits: DecodeLimits | None = None
    ) -> None:
        """threads: of the decoder, None: as many as it likes."""
        limits = limits or DecodeLimits()
        self._path = path
        self._watch = Watch(str(path), limits.max_silence_s, limits.max_frames, limits.max_decode_s)
        with contextlib.ExitStack() as on_failure:
            with self._watch:
                self._decoder = StreamDecoder(path, threads, limits, self._watch.go_on)
                on_failure.callback(self._decoder.close)
                self._begin()
            self._watch.frames = 1
            on_failure.pop_all()

    def _begin(self) -> None:
        container, stream = self._decoder.container, self._decoder.stream
        fps = believable_fps(stream.guessed_rate, stream.average_rate)
        self._clock = FrameClock(
            float(stream.time_base or 1 / av.time_base),
            _start_s(container, stream),
            1 / fps,
            bool(container.format.flags & TIMES_MAY_JUMP),
        )
        self._pictures = PictureMaker(one_size=True)
        self._frames = self._decoder.frames()
        size_px = stream.codec_context.width, stream.codec_context.height  # as announced
        length_s = declared_length_s(container)
        first_s = self._next_s()
        context = self._decoder.stream.codec_context  # of what gave the first frame
        if first_s is None:
            raise VideoError(
                f"{self._path}: opened, but no frame decoded (codec {context.name}); copy it "
                "again, or re-encode it to H.264"
            )
        codec = f"{context.codec.canonical_name} {context.pix_fmt}"
        self._info = VideoInfo(first_s, fps, size_px, length_s, codec=codec)

    @property
    def info(self) -> VideoInfo:
        """With what the decoder noted so far."""
        return replace(self._info, notes=self._decoder.notes)

    @property
    def damaged(self) -> int:
        """See `FrameReader`."""
        return self._decoder.damaged

    def _next_s(self) -> float | None:
        self._frame: Any = next(self._frames, None)
        if self._frame is None:
            return None
        return self._clock.time_s(self._frame.pts, self._frame.dts)

    def grab(self) -> float | None:
        """Instant of the next frame in seconds, None at the end."""
        with self._watch:
            time_s = self._next_s()
            self._watch.frames += time_s is not None
        return time_s

    def retrieve(self) -> Image:
        """The frame that was grabbed, (H, W, 3) uint8 RGB. Raises VideoError."""
        try:
            with self._watch:
                return self._pictures.picture(self._frame, self._decoder.layout(self._frame))
        except (av.FFmpegError, ValueError) as error:
            raise VideoError(
                f"{self._path}: a frame ({self._frame.format.name}) cannot be converted to RGB "
                f"({error}); re-encode it to H.264"
            ) from error

    def close(self) -> None:
        self._decoder.close()
        self._frame = None
        gc.collect(1)  # the frame whose side_data was read refers to itself


def _start_s(container: av.container.InputContainer, stream: av.VideoStream) -> float:
    """The instant at which a player's clock is 0, in the container's time.

    Sound from before 0 only starts its decoder and is not played.
    """
    start_s = (container.start_time or 0) / av.time_base
    picture_s = float((stream.start_time or 0) * (stream.time_base or 0))
    return float(max(start_s, min(0.0, picture_s)))
