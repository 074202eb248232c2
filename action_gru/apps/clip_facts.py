"""Looks at a few instants of each clip: size, rate, length, light, motion, small pictures.

Each file is decoded once, whatever number of clips are cut from it. Knows no network and judges
nothing: `dataset.leaks` does. The decoding process imports this module, so it stays light.
"""

from __future__ import annotations

import os
from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from action_gru.core.errors import VideoError
from action_gru.dataset.leaks import SHOTS, ClipFacts
from action_gru.dataset.manifest import Clip
from action_gru.video import DecodeLimits, Image, VideoFile
from action_gru.views.sampler import fit
from action_gru.views.sampling import Sampler, cut_warning, in_window, rate_warning

SIDE_PX = 96  # of the small pictures
LONGEST_S = 600.0  # of a file is decoded; clips that begin later are not looked at
# Of a file whose header does not say how long it is: seconds after its start.
UNKNOWN_S = (0.0, 0.5, 1.0, 2.0, 4.0)

Stretch = tuple[float, float | None]  # start_s, end_s of a clip in its file


def read_facts(
    clips: Sequence[Clip],
    fps: float,
    limits: DecodeLimits,
    progress: Callable[[str], None] = lambda name: None,
) -> tuple[dict[str, ClipFacts], dict[str, str]]:
    """(facts, why there are none) by clip name. fps: the rate at which a model samples the clips.

    A clip in neither begins later than the first ten minutes of its file.
    """
    by_file: dict[str, list[Clip]] = defaultdict(list)
    for clip in clips:
        by_file[str(clip.path)].append(clip)
    facts: dict[str, ClipFacts] = {}
    problems: dict[str, str] = {}

    def look(inside: list[Clip]) -> None:
        try:
            facts.update(_facts_of_file(inside, fps, limits, problems))
        except (VideoError, cv2.error, OSError, RuntimeError, ValueError) as error:
            problems.update(dict.fromkeys((c.name for c in inside), " ".join(str(error).split())))
        for clip in inside:
            progress(clip.name)

    affinity = getattr(os, "sched_getaffinity", None)  # not on every system
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    with ThreadPoolExecutor(min(16, cores), "action_gru check") as pool:
        list(pool.map(look, by_file.values()))
    names = [clip.name for clip in clips]
    return (
        {name: facts[name] for name in names if name in facts},
        {name: problems[name] for name in names if name in problems},
    )


def _facts_of_file(
    clips: Sequence[Clip], fps: float, limits: DecodeLimits, problems: dict[str, str]
) -> dict[str, ClipFacts]:
    """The facts of the clips of one file; those without a frame go into problems."""
    near = [clip for clip in clips if (clip.start_s or 0.0) < LONGEST_S]
    stretches = [(clip.start_s or 0.0, clip.end_s) for clip in near]
    shots: dict[int, list[Image]] = defaultdict(list)
    about, times = np.empty(0), np.empty(0)
    rate = clips[0].frame_rate
    with VideoFile(clips[0].path, threads=1, limits=limits, frame_rate=rate) as video:
        for _, made in video.run(glance, stretches=stretches or [(0.0, 0.0)]):  # none: the header
            if "times" in made:
                about, times = made["about"].view(np.float64), made["times"].view(np.float64)
            for name in made.keys() - {"times", "about"}:
                shots[int(name)].append(made[name])
        declared_s, damaged = video.declared_s, video.damaged
    for clip in clips:
        if declared_s is not None and (clip.start_s or 0.0) > max(declared_s, LONGEST_S):
            problems[clip.name] = (
                f"begins at {clip.start_s:g} s, and the file lasts {declared_s:g} s by its header; "
                "check its bounds"
            )
    found = {}
    for index, clip in enumerate(near):
        inside = np.array([t for t in times if in_window(t, *stretches[index])])
        if not len(inside) or not shots[index]:
            problems[clip.name] = (
                f"{len(times)} frames decoded, none of them inside the clip's bounds; check its "
                "seconds or frames"
            )
            continue
        is_whole = clip.end_s is None and inside[-1] < LONGEST_S - 1
        cut = cut_warning(float(inside[-1]), declared_s if is_whole else None, damaged)
        found[clip.name] = _facts(clip, inside, fps, about, shots[index], cut)
    return found


def _facts(
    clip: Clip,
    times_s: NDArray[np.float64],
    fps: float,
    about: NDArray[np.float64],
    shots: Sequence[Image],
    cut: str | None,
) -> ClipFacts:
    sampler = Sampler(fps)
    sampled = [time_s for time_s in times_s if sampler.due(time_s)]
    width_px, height_px, rate = about
    step_s = float(np.median(np.diff(times_s))) if len(times_s) > 1 else 1 / rate
    grey = np.stack([cv2.cvtColor(shot, cv2.COLOR_RGB2GRAY) for shot in shots])
    wide = round(min(2.0, max(0.4, width_px / height_px)) * SIDE_PX)
    shown = cv2.resize(shots[len(shots) // 2], (wide, SIDE_PX))
    return ClipFacts(
        width_px=int(width_px),
        height_px=int(height_px),
        fps=1 / step_s if step_s > 0 else float(rate),
        length_s=float(times_s[-1] - times_s[0]) + step_s,
        container=clip.path.suffix.lower().lstrip("."),
        sampled=len(sampled),
        is_slow=rate_warning(sampled, fps) is not None,
        cut=cut or "",
        light=float(grey.mean()),
        brightest=float(np.percentile(grey, 99)),
        motion=float(np.percentile(np.ptp(_shrunk(grey, 24), axis=0), 99)),
        outline=_outline(grey),
        change=_change(grey),
        thumbnail=np.asarray(shown, np.uint8),
    )


def _shrunk(grey: Image, width_px: int, height_px: int = 0) -> NDArray[np.float32]:
    """(N, H, W) -> (N, height, width), each place the mean of what it covers; 0: a square."""
    size = (width_px, height_px or width_px)
    made = [cv2.resize(one, size, interpolation=cv2.INTER_AREA) for one in grey]
    return np.stack(made).astype(np.float32)


def _outline(grey: Image) -> NDArray[np.bool_]:
    """dHash: is the right one of two neighbours brighter? (N, H, W) -> (N, 64) bool."""
    small = _shrunk(grey, 9, 8)
    return (small[:, :, 1:] > small[:, :, :-1]).reshape(len(grey), -1)


def _change(grey: Image) -> NDArray[np.float16]:
    """How fine detail differs from its mean over the clip, as one vector of length 1, or zeros.

    (N, H, W) -> (SHOTS * 48 * 48,). Without the coarse light, which a copy may change.
    """
    if len(grey) < SHOTS:
        return np.zeros(SHOTS * 48 * 48, np.float16)
    small = _shrunk(grey, 48)
    fine = np.stack([one - cv2.GaussianBlur(one, (0, 0), 2) for one in small])
    moved = (fine - fine.mean(0)).reshape(-1)
    moved -= moved.mean()
    return np.asarray(moved / max(float(np.linalg.norm(moved)), 1e-6), np.float16)


def glance(
    video: VideoFile, stretches: Sequence[Stretch]
) -> Iterator[tuple[float, dict[str, NDArray[Any]]]]:
    """A few frames of each stretch, shrunk to (SIDE_PX, SIDE_PX, 3), named by its number.

    Last of all come `times`, the instants of all frames, and `about`: width and height in pixels
    and the declared rate, both float64 as bytes. It runs in the process that decodes.
    """
    times: list[float] = []
    due: list[int] = []
    plan: deque[tuple[float, int]] = deque()
    about = [0.0, 0.0, 0.0]

    def is_wanted(time_s: float) -> bool:
        if not times:
            plan.extend(_instants(stretches, video.declared_s, video.fps))
        times.append(time_s)
        due.clear()
        while plan and plan[0][0] <= time_s:
            due.append(plan.popleft()[1])
        return bool(due)

    ends = [LONGEST_S if end_s is None else end_s for _, end_s in stretches]
    for frame in video.frames(is_wanted, min(LONGEST_S, max(ends))):
        about = [float(frame.image.shape[1]), float(frame.image.shape[0]), video.fps]
        small = fit(frame.image, SIDE_PX, "squash")
        for number in due:
            yield frame.time_s, {str(number): small}
    bytes_of = {"times": np.array(times), "about": np.array(about)}
    yield 0.0, {name: values.view(np.uint8) for name, values in bytes_of.items()}


def _instants(
    stretches: Sequence[Stretch], declared_s: float | None, fps: float
) -> list[tuple[float, int]]:
    """(seconds, number of the stretch) of the frames to look at, by time.

    From the first to the last frame, and half a frame early, so that the nearest one is taken.
    """
    found = []
    for number, (start_s, end_s) in enumerate(stretches):
        ends_s = declared_s if end_s is None else end_s
        after_s: tuple[float, ...] = UNKNOWN_S
        if ends_s is not None and ends_s > start_s:
            length_s = max(0.0, min(ends_s, LONGEST_S) - start_s - 1 / fps)
            after_s = tuple((shot + 0.5) / SHOTS * length_s for shot in range(SHOTS))
        found += [(start_s + time_s - 0.5 / fps, number) for time_s in after_s]
    return sorted(found)
