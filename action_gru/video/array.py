"""Frames in memory, read as a file is: frame n is at n / fps seconds. Nothing is written."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any
from uuid import uuid4

import numpy as np
from numpy.typing import NDArray

from action_gru.core.arguments import brief, number_given
from action_gru.core.errors import VideoError
from action_gru.video.file import Samples
from action_gru.video.frame import Frame

WANTED = "frames are an array (T, H, W, 3) of uint8, RGB"


class ArrayVideo:
    """Stands where a `VideoFile` does; content: what no other frames have. Raises VideoError."""

    damaged, notes = 0, ()

    def __init__(self, images: NDArray[np.uint8] | Sequence[NDArray[np.uint8]], fps: Any) -> None:
        """images: (T, H, W, 3), or T of (H, W, 3). fps: a second."""
        self.images = _checked(images)
        rate = number_given(fps, "fps", "frames a second", VideoError)
        if not rate:
            raise VideoError(f"{WANTED}, with fps=25 or how many of them are a second; got no fps")
        self.fps, self.frames_decoded = rate, 0
        self.declared_s = len(self.images) / rate
        self.content = uuid4().hex

    def __enter__(self) -> ArrayVideo:
        return self

    def __exit__(self, *exception: object) -> None:
        """There is nothing to close."""

    def frames(
        self, wanted: Callable[[float], bool] | None = None, end_s: float | None = None
    ) -> Iterator[Frame]:
        """Frames before end_s whose instant (seconds) is wanted."""
        for index, image in enumerate(self.images):
            self.frames_decoded, time_s = index + 1, index / self.fps
            if end_s is not None and time_s >= end_s:
                return
            if wanted is None or wanted(time_s):
                yield Frame(index, time_s, np.ascontiguousarray(image))

    def run(self, program: Callable[..., Samples], **arguments: Any) -> Samples:
        """What program(self, **arguments) yields."""
        return program(self, **arguments)


def _checked(images: Any) -> Sequence[NDArray[np.uint8]]:
    """The frames one by one, which are not copied."""
    frames = list(images)
    if isinstance(images, np.ndarray) and images.ndim != 4:
        hint = "; one picture is [image]" if images.ndim == 3 else ""
        raise VideoError(f"{WANTED}; got {brief(images)}{hint}")
    if not frames:
        raise VideoError(f"{WANTED}; got none")
    first = frames[0]
    for number, image in enumerate(frames):
        is_frame = getattr(image, "dtype", None) == np.uint8 and image.ndim == 3
        if not is_frame or image.shape[2] != 3 or not image.size:
            raise VideoError(f"{WANTED}; got {brief(image)} as frame {number}")
        if image.shape != first.shape:
            raise VideoError(
                f"{WANTED}, all of one size; got {brief(first)} as frame 0 and {brief(image)} as "
                f"frame {number}"
            )
    return frames
