"""A short measurement of this machine with a config's own views, weights and clips.

Where the config's clips are not there it draws some and says so: noise is harder to decode than
most video, and small files are read faster than a store gives them.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from action_gru.cache import ClipFeatures, FeatureCache
from action_gru.config import Config
from action_gru.dataset import Clip, SequenceSet
from action_gru.errors import ConfigError, DataError
from action_gru.extraction import ExtractionReport, Extractor
from action_gru.features import build_backbone, build_extractor
from action_gru.model import ActionClassifier
from action_gru.planning.estimate import Measurement
from action_gru.progress import Reporter
from action_gru.training import read_clips
from action_gru.training.loop import Trainer
from action_gru.video import DecodeLimits, VideoFile, VideoWriter

Times = NDArray[np.float64]

DRAWN_SIZE_PX, DRAWN_FPS = (320, 240), 25.0
STEPS = 20
CLASSES = 10  # of the training that is timed: their number hardly matters


def measure_machine(config: Config, sample: int, seconds: float, reporter: Reporter) -> Measurement:
    """Extract so many clips into a cache that is thrown away, and train some steps on noise.

    seconds: of clips that are drawn. The first clip is not timed: it pays for what is paid once.
    """
    if not config.data.is_video:
        raise ConfigError(
            f"data.kind: {config.data.kind} is read, not extracted; plan is for video"
        )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        clips, drawn = _clips(config, sample, seconds, folder)
        cache = FeatureCache(folder / "cache")
        work = build_extractor(config, build_backbone(config), cache)
        work.extract(clips[:1])
        begun = time.perf_counter()
        with reporter.bar("measure", len(clips) - 1) as advance:
            report = work.extract(clips[1:], lambda clip: advance())
        lasted = time.perf_counter() - begun
        return _measurement(config, work, clips[1:], report, lasted, drawn)


def _clips(config: Config, sample: int, seconds: float, folder: Path) -> tuple[list[Clip], bool]:
    if config.data.manifest is None or not config.data.manifest.is_file():
        return [_draw(folder / f"{n}.mp4", n, seconds) for n in range(sample + 1)], True
    found = read_clips(config)
    if len(found) < 2:
        raise DataError(f"{config.data.manifest}: a measurement needs two clips or more")
    # From all over the set: a manifest is sorted by class, and classes differ in length.
    every = max(1, len(found) // (sample + 1))
    return found[::every][: sample + 1], False


def _draw(path: Path, seed: int, seconds: float) -> Clip:
    rng = np.random.default_rng(seed)
    width, height = DRAWN_SIZE_PX
    still = rng.integers(0, 255, (height, width, 3), dtype=np.uint8)
    with VideoWriter(path, DRAWN_SIZE_PX, DRAWN_FPS) as writer:
        for number in range(max(2, round(seconds * DRAWN_FPS))):
            writer.write(np.roll(still, 3 * number, axis=1))
    return Clip(path, path.name, "x", path.name, "", None, None)


def _measurement(
    config: Config,
    work: Extractor,
    clips: Sequence[Clip],
    report: ExtractionReport,
    lasted: float,
    drawn: bool,
) -> Measurement:
    whole = [clip for clip in clips if clip.name in report.keys]
    whole = [clip for clip in whole if clip.name not in report.quarantined]
    if not whole:
        raise DataError("none of the clips that were tried can be read; see 'action-gru extract'")
    entries = {clip.name: work.read(clip, report) or {} for clip in whole}
    first = entries[whole[0].name]
    dims = tuple(int(entry.values.shape[1]) for entry in first.values())
    times_s = {name: next(iter(entry.values())).times_s for name, entry in entries.items()}
    lengths_s = {name: _length_s(one, config.sampling.fps) for name, one in times_s.items()}
    video_s = sum(lengths_s.values())
    assert isinstance(work.cache, FeatureCache)
    sizes, held = 0, 0
    for clip in whole:
        for stream, entry in entries[clip.name].items():
            sizes += work.cache.path_of(report.keys[clip.name][stream]).stat().st_size
            held += entry.values.nbytes + entry.times_s.nbytes
    return Measurement(
        video_rate=video_s / lasted,
        source_rate=sum(_bytes(clip, lengths_s[clip.name], work.limits) for clip in whole)
        / video_s,
        dims=dims,
        header_bytes=(sizes - held) / (len(whole) * len(dims)),
        fps=sum(len(one) for one in times_s.values()) / video_s,
        step_rate=_step_rate(config, [spec.dim for spec in work.specs.values()]),
        clips=len(whole),
        drawn=drawn,
    )


def _length_s(times_s: Times, fps: float) -> float:
    """Seconds of a clip that was sampled at these instants; a clip may be slower than fps.

    Sampled at 40 fps, of a video of 10: [0, 0.1, 0.2] -> 0.3.
    """
    count = len(times_s)
    own_s = float(times_s[-1] - times_s[0]) * count / max(1, count - 1)
    return max(own_s, count / fps)


def _bytes(clip: Clip, length_s: float, limits: DecodeLimits | None) -> float:
    """Of the file; of one that the clip is a part of, that part."""
    size = float(clip.path.stat().st_size)
    if clip.start_s is None and clip.end_s is None:
        return size
    with VideoFile(clip.path, limits=limits) as video:
        next(iter(video))
        declared_s = video.declared_s or 0.0
    return size * length_s / max(declared_s, (clip.start_s or 0.0) + length_s)


def _step_rate(config: Config, dims: Sequence[int]) -> float:
    """Training steps a second on noise of the longest clip that is read at once."""
    rng, size = np.random.default_rng(0), config.training.batch_size
    frames = config.sampling.max_frames
    noise = [
        ClipFeatures(rng.standard_normal((frames, dim)).astype(np.float16), np.arange(frames) / 8)
        for dim in dims
    ]
    data = SequenceSet([noise] * size, [n % CLASSES for n in range(size)])
    settings = config.model.model_dump() | {"normalisation": "frame", "closed_form": False}
    model = ActionClassifier(list(dims), CLASSES, **settings)
    torch.manual_seed(0)
    trainer = Trainer(model, data, None, config.training, frames, 0)
    trainer.run_steps(0)  # warms up
    begun = time.perf_counter()
    for _ in range(STEPS):
        trainer.run_steps(0)
    return STEPS / (time.perf_counter() - begun)
