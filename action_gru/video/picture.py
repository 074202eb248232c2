"""Decoded frames as RGB pictures, the way a player shows them. Knows no file and no time."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import av
import av.filter
import numpy as np
from av.sidedata.sidedata import Type as SideData
from av.video.reformatter import VideoReformatter

from action_gru.video.frame import Image

# Of AVColorSpace, what FFmpeg's converter knows. It refuses other headers (reserved values, YCgCo,
# ICtCp), where players take the usual one; BT.2020 with constant luminance reads as without.
CONVERTIBLE = {0, 1, 2, 4, 5, 6, 7, 9}
UNSPECIFIED, BT2020_NCL, BT2020_CL = 2, 9, 10
UPRIGHT = (1, 0, 0, 1)


class PictureMaker:
    """Makes (H, W, 3) uint8 RGB of the frames of one stream.

    one_size: scale what is larger or smaller than the first frame to its size. Interlaced frames
    are woven: both fields stand in one picture, line by line, as they were recorded. The display
    matrix is applied, mirrored ones included.
    """

    def __init__(self, one_size: bool = False) -> None:
        self._one_size = one_size
        self._reformatter = VideoReformatter()
        self._weave: av.filter.Graph | None = None
        self._woven_kind: tuple[int, int, str] | None = None
        self._size_px: tuple[int, int] | None = None

    def picture(self, frame: av.VideoFrame) -> Image:
        """Raises av.FFmpegError for a frame that cannot be converted."""
        orientation = _orientation(frame)
        if frame.interlaced_frame:
            frame = self._woven(frame)
        if frame.colorspace not in CONVERTIBLE:
            frame.colorspace = BT2020_NCL if frame.colorspace == BT2020_CL else UNSPECIFIED
        if self._size_px is None or not self._one_size:
            self._size_px = frame.width, frame.height
        width_px, height_px = self._size_px
        shown = self._reformatter.reformat(
            frame, width=width_px, height=height_px, format="rgb24", threads=1
        )
        plane = shown.planes[0]
        rows = np.frombuffer(memoryview(plane), np.uint8).reshape(height_px, plane.line_size)
        return oriented(rows[:, : 3 * width_px].reshape(height_px, width_px, 3), orientation)

    def _woven(self, frame: av.VideoFrame) -> av.VideoFrame:
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
        woven: Any = self._weave.pull()
        return woven


def _orientation(frame: av.VideoFrame) -> tuple[int, int, int, int]:
    """(a, b, c, d) of the display matrix, each -1, 0 or 1: x' = a x + c y, y' = b x + d y."""
    data = frame.side_data.get(SideData.DISPLAYMATRIX)
    if data is None:
        return UPRIGHT
    matrix = np.frombuffer(data, np.int32).reshape(3, 3)[:2, :2].astype(float)
    largest = np.abs(matrix).max()
    if not largest:
        return UPRIGHT
    a, b, c, d = (int(value) for value in np.rint(matrix / largest).reshape(-1))
    return (a, b, c, d) if abs(a * d - b * c) == 1 else UPRIGHT


def oriented(image: Image, orientation: tuple[int, int, int, int]) -> Image:
    """The picture turned and mirrored as a display matrix says: (H, W, 3) -> the same or (W, H, 3).

    orientation: (a, b, c, d) as x' = a x + c y, y' = b x + d y, with y growing downwards (FFmpeg,
    libavutil/display.h). Turns that are no quarter turns are rounded to one.
    """
    a, b, c, d = orientation
    if b or c:  # x' hangs on y
        image, a, d = image.transpose(1, 0, 2), c, b
    return np.ascontiguousarray(image[:: d or 1, :: a or 1])
