"""Tasks of the reader: a clip's features into the project's cache, its poster, and what is wrong
with it.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from action_gru.apps.check import BLACK, DARK, STILL
from action_gru.apps.clip_facts import read_facts
from action_gru.apps.studio.frames import at_most, jpeg_bytes
from action_gru.apps.studio.networks import backbone_of
from action_gru.apps.studio.settings import choose_network, reading_config
from action_gru.config import Config
from action_gru.core.errors import MachineError, VideoError
from action_gru.core.files import write_or_raise
from action_gru.dataset import Clip
from action_gru.dataset.leaks import ClipFacts
from action_gru.features import FeatureCache
from action_gru.features.source import build_extractor
from action_gru.video import DecodeLimits, Image, VideoFile

POSTER_PX = 320  # its longer side
# Cosine. Measured: copies without their first two frames have 0.9975 or more, the most alike clips
# of one camera 0.98.
NEARLY_SAME = 0.995
Tell = Callable[[Any], None]

_pooled: dict[str, NDArray[np.float32]] = {}


def warm(tell: Tell) -> str:
    """Build the network; what to know of it."""
    note = choose_network(tell)
    tell("loading the network")
    backbone_of(reading_config())
    return note


def read_clip(
    tell: Tell, name: str, path: str, start_s: float | None, end_s: float | None, poster: str
) -> dict[str, Any]:
    """Extract a clip, and judge it where that was not done yet: `poster` and its .json are there.

    Returns `problem` (None where it can be used), `file_s`, `warnings`, and `alike`, the names of
    the clips read before that it nearly equals. Raises for what is no fault of the clip.
    """
    config = reading_config()
    clip = Clip(Path(path), name, "", name, "", start_s, end_s)
    kept = Path(poster).with_suffix(".json")
    found = json.loads(kept.read_bytes()) if kept.is_file() else judge(clip, config, Path(poster))
    if found["problem"] is None:
        found["problem"] = _extract(clip, config)
    return found | {"alike": _alike(name) if found["problem"] is None else []}


def forget_clips(tell: Tell, names: list[str]) -> None:
    """These clips are gone: nothing is compared with them any more."""
    for name in names:
        _pooled.pop(name, None)


def judge(clip: Clip, config: Config, poster: Path) -> dict[str, Any]:
    """`problem`, `file_s` and `warnings` of a clip. Where it can be read they are kept beside the
    poster, and that is written first.
    """
    limits = DecodeLimits(**config.decoding.model_dump())
    whole = Clip(clip.path, clip.relative, "", clip.group, "")
    facts, problems = read_facts([whole, clip], config.sampling.fps, limits)
    file_s = round(facts[whole.name].length_s, 3) if whole.name in facts else None
    found: dict[str, Any] = {"problem": None, "file_s": file_s, "warnings": []}
    try:
        if clip.name not in facts:
            raise VideoError(problems.get(clip.name, "no frame of it can be read; record it again"))
        mine = facts[clip.name]
        picture = _picture(clip, (clip.start_s or 0.0) + mine.length_s / 2, limits)
    except VideoError as error:
        return found | {"problem": str(error)}
    found["warnings"] = _warnings(mine)
    _keep(poster, jpeg_bytes(picture))
    _keep(poster.with_suffix(".json"), json.dumps(found).encode())
    return found


def _keep(path: Path, data: bytes) -> None:
    write_or_raise(path, data, MachineError, "cannot be written", "free space on the disk")


def _warnings(facts: ClipFacts) -> list[str]:
    """dark: its mean brightness is low. still: nothing moves."""
    dark, still = facts.light < DARK or facts.brightest < BLACK, facts.motion < STILL
    return [name for name, is_so in (("dark", dark), ("still", still)) if is_so]


def _picture(clip: Clip, at_s: float, limits: DecodeLimits) -> Image:
    """The first frame of the clip from an instant on, shrunk. Raises VideoError."""
    with VideoFile(clip.path, 1, limits) as video:
        for frame in video.frames(lambda time_s: time_s >= at_s):
            return at_most(frame.image, POSTER_PX)
    raise VideoError(f"{clip.path}: no frame after {at_s:.1f} s; check its bounds")


def _extract(clip: Clip, config: Config) -> str | None:
    """Bring its features into the cache; why it cannot be used, None as a rule."""
    cache = FeatureCache(config.features.cache_dir)
    extractor = build_extractor(config, backbone_of(config), cache)
    report = extractor.extract([clip])
    if clip.name in report.quarantined:
        return report.quarantined[clip.name]
    entries = extractor.read(clip, report)
    assert entries is not None
    _pooled[clip.relative] = pool([entries[key].values for key in extractor.view_keys])
    return None


def pool(views: list[NDArray[Any]]) -> NDArray[np.float32]:
    """One vector of length 1 of a clip: V of (T, D_v) -> (sum of 2 D_v,), mean and deviation over
    time, each view with the same weight.
    """
    parts = []
    for values in views:
        rows = values.astype(np.float32)
        part = np.concatenate([rows.mean(0), rows.std(0)])
        parts.append(part / max(float(np.linalg.norm(part)), 1e-9))
    return np.asarray(np.concatenate(parts) / len(parts) ** 0.5, np.float32)


def _alike(name: str) -> list[str]:
    """The clips that this one nearly equals, the nearest first."""
    own = _pooled[name]
    others = [(float(own @ vector), other) for other, vector in _pooled.items() if other != name]
    return [other for cosine, other in sorted(others, reverse=True) if cosine >= NEARLY_SAME]


TASKS = {"read_clip": read_clip, "forget_clips": forget_clips}
