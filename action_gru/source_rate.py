"""Says where a source's frames come too seldom for a model. Knows no codec and no model.

Measured on the demo's long video, of a model that reads 12 frames a second: segmental F1@50 is the
same at 24, 12, 8 and 5 frames a second, and 0 at 2.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

ENOUGH_SHARE = 0.4  # of the model's rate; 5 of 12 frames are enough, 2 are not
INSTANTS_KEPT = 1000  # of a source that never ends, so many tell its rate


def rate_warning(times_s: Iterable[float], fps: float) -> str | None:
    """What to know before believing an answer that rests on these instants; None: nothing.

    times_s (T,): the sampled instants, in seconds and growing; fps: the model's rate. The source's
    rate is that of the median step, so that one gap does not make a slow video.
    """
    instants = np.fromiter(times_s, np.float64)
    if len(instants) == 1:
        return (
            "is one picture: the model reads what changes from frame to frame, and nothing does; "
            "its answer means little"
        )
    rate_fps = 1 / np.median(np.diff(instants)) if len(instants) else fps
    if rate_fps >= least_fps(fps):
        return None
    rate = f"{rate_fps:.2g}"
    return (
        f"has {rate} frame{'' if rate == '1' else 's'} a second, the model reads {fps:g}: what "
        "happens between them is not seen, and the answer means little; at least "
        f"{least_fps(fps):.2g} a second are needed"
    )


def slow_clips_warning(slow: Sequence[str], read: int, fps: float) -> str | None:
    """The same of the clips of a data set. slow: their names, of `read` clips; None: no such."""
    if not slow:
        return None
    return (
        f"{len(slow)} of {read} clips are one picture or have fewer than {least_fps(fps):.2g} "
        f"frames a second, where sampling.fps is {fps:g}; the first is {slow[0]}. What moves in "
        "them is not seen: leave them out, or lower sampling.fps for all"
    )


def least_fps(fps: float) -> float:
    """How many frames a second a source must have for a model that reads `fps`."""
    return ENOUGH_SHARE * fps
