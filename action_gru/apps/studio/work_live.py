"""Tasks of the reader: cameras of pages as live streams, and their last seconds as a clip.

A camera is known by a key of its connection. Its frames come as JPEG, one after the other; the
newest are kept as they came, so that a wrong answer can be corrected with what was just seen.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from action_gru.apps.studio.frames import decode_frame, write_frames
from action_gru.apps.studio.networks import recognizer_of
from action_gru.core.errors import VideoError
from action_gru.model.calibration import EVEN
from action_gru.recognizer import ActionRecognizer
from action_gru.streaming import ActionStream
from action_gru.views.sampling import RateWatch

# Scores are means over this time. Of 24 drawn actions of 2 s, one after the other at 12 frames a
# second with a window of 1.4 s, 22 are then named for most of their time; with 0.4 s 20.
SMOOTHING_S = 0.2
KEPT_S, KEPT_BYTES = 2.5, 32_000_000
CLIP_S, LEAST_S = 2.0, 0.5  # of a correction
CAMERAS_KEPT = 8  # more than the server lets in; what it forgot to close goes first
Tell = Callable[[Any], None]


class Camera:
    """One connection: its stream, and its newest frames as (seconds, JPEG)."""

    def __init__(self, recognizer: ActionRecognizer) -> None:
        self.recognizer = recognizer
        self.stream: ActionStream = recognizer.stream()
        self.stream.tracker.smoothing_s = SMOOTHING_S
        self.rate = RateWatch(self.stream.sampler.fps)
        self.frames: deque[tuple[float, bytes]] = deque()
        self._bytes = 0

    def push(self, data: bytes, time_s: float) -> list[float] | None:
        """Show a frame; the smoothed scores (C,), None until the stream has seen enough."""
        before_s = self.stream.last_s if self.stream.prediction else None
        self.stream.push(decode_frame(data), time_s)
        if self.stream.last_s != before_s:
            self.rate.add(time_s)
        self._keep(data, time_s)
        smoothed = self.stream.smoothed
        if smoothed is None:
            return None
        return [round(float(score), 4) for score in smoothed.probabilities(self.stream.classes)]

    def _keep(self, data: bytes, time_s: float) -> None:
        if self.frames and time_s < self.frames[-1][0]:  # the clock began anew
            self.frames.clear()
            self._bytes = 0
        if self.frames and time_s == self.frames[-1][0]:
            return
        self.frames.append((time_s, data))
        self._bytes += len(data)
        while self._bytes > KEPT_BYTES or self.frames[0][0] < time_s - KEPT_S:
            self._bytes -= len(self.frames.popleft()[1])


_cameras: OrderedDict[str, Camera] = OrderedDict()


def live_open(tell: Tell, run: str) -> dict[str, Any]:
    """Load the run's model; what a page has to know of it."""
    return facts_of(recognizer_of(Path(run))) | {"smoothing_s": SMOOTHING_S}


def facts_of(recognizer: ActionRecognizer) -> dict[str, Any]:
    """classes, background, threshold (see `sure_from`), window_s (how far back it looks).

    Raises CheckpointError for a model that cannot run live.
    """
    known = set(recognizer.classes)
    return {
        "classes": list(recognizer.classes),
        "background": [one for one in recognizer.config.events.background if one in known],
        "threshold": sure_from(recognizer),
        "window_s": recognizer.stream().window_s,
    }


def sure_from(recognizer: ActionRecognizer) -> float | None:
    """From which score a moment's answer is sure; None where the model is not calibrated.

    `threshold` is proven for whole clips: of a few that are all right it is the lowest score
    seen, and moments, which rest on less, would nearly all be unsure. So here an answer is also
    sure if it is likelier than all others together and no clip left out was wrong with such a
    score.
    """
    proven, found = recognizer.threshold, recognizer.checkpoint.calibration
    if proven is None or found is None:
        return proven
    answers = zip(found.scores, found.right, strict=True)
    wrong = (score for score, is_right in answers if not is_right)
    return min(proven, max(EVEN, max(wrong, default=EVEN)))


def live_push(tell: Tell, key: str, run: str, data: bytes, time_s: float) -> dict[str, Any]:
    """One frame of a camera: {"scores": (C,) or None, "slow": why its frames are too few, or ""}.

    Raises VideoError.
    """
    # Of this thread. One or two pictures gain little by more, and where others compute meanwhile
    # more threads wait for each other: 0.43 s a frame with two, 0.05 s with one, of 0.01 s of work.
    torch.set_num_threads(1)
    recognizer = recognizer_of(Path(run))
    camera = _cameras.get(key)
    if camera is None or camera.recognizer is not recognizer:
        camera = _cameras[key] = Camera(recognizer)
    _cameras.move_to_end(key)
    while len(_cameras) > CAMERAS_KEPT:
        _cameras.popitem(last=False)
    return {"scores": camera.push(data, time_s), "slow": camera.rate.warning}


def live_close(tell: Tell, key: str) -> None:
    """Forget a camera."""
    _cameras.pop(key, None)


def live_clip(tell: Tell, key: str, time_s: float, path: str) -> float:
    """Write the two seconds of a camera up to an instant as .mp4; its length in seconds.

    Raises VideoError where they are not kept, or not any more.
    """
    camera = _cameras.get(key)
    frames = camera.frames if camera is not None else ()
    chosen = [frame for frame in frames if time_s - CLIP_S <= frame[0] <= time_s]
    length_s = chosen[-1][0] - chosen[0][0] if chosen else 0.0
    if length_s < LEAST_S:
        raise VideoError(
            f"only {length_s:.1f} s before that moment are kept, {LEAST_S:g} s are needed; do the "
            "action in front of the camera and correct it right after"
        )
    write_frames(chosen, Path(path))
    return length_s


TASKS: dict[str, Callable[..., Any]] = {
    "live_open": live_open,
    "live_push": live_push,
    "live_close": live_close,
    "live_clip": live_clip,
}
