"""Hours, bytes and cost of many clips: a short measurement, then the formulas of docs/scale.md."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from action_gru.cache import ClipFeatures, FeatureCache
from action_gru.config import Config
from action_gru.dataset import Clip, SequenceSet
from action_gru.errors import ConfigError, DataError
from action_gru.extraction import ExtractionReport, Extractor
from action_gru.features import build_backbone, build_extractor
from action_gru.model import ActionClassifier
from action_gru.progress import Reporter
from action_gru.training import read_clips
from action_gru.training.loop import Trainer
from action_gru.video import DecodeLimits, VideoFile

INDEX_BYTES, TIME_BYTES, VALUE_BYTES = 64, 8, 2  # of a packed entry; of a sample; of a value
STEPS = 20  # of the training that is timed
CLASSES = 10  # their number hardly changes the time of a step


@dataclass(frozen=True)
class Measurement:
    """What one node does. video_rate: seconds of video a second, decoded and embedded.

    source_rate: bytes of the files a second of video. dims: values a sample of each entry of a
    clip; header_bytes: of an entry besides. fps: samples a second of video, fewer than sampling.fps
    where the clips have fewer frames. step_rate: training steps a second.
    """

    video_rate: float
    source_rate: float
    dims: tuple[int, ...]
    header_bytes: float
    fps: float
    step_rate: float
    clips: int


def measure_machine(config: Config, sample: int, reporter: Reporter) -> Measurement:
    """Extract so many of the config's clips into a cache that is thrown away; train on noise.

    The first clip is not timed: it pays for what is paid once.
    """
    if config.data.kind != "video":
        raise ConfigError(
            f"data.kind: {config.data.kind} is read, not extracted; plan is for video"
        )
    found = read_clips(config)
    if len(found) < 2:
        raise DataError(f"{config.data.manifest}: a measurement needs two clips or more")
    # From all over the set: a manifest is sorted by class, and classes differ in length.
    clips = found[:: max(1, len(found) // (sample + 1))][: sample + 1]
    with tempfile.TemporaryDirectory() as folder:
        work = build_extractor(config, build_backbone(config), FeatureCache(Path(folder)))
        work.extract(clips[:1])
        begun = time.perf_counter()
        with reporter.bar("measure", len(clips) - 1) as advance:
            report = work.extract(clips[1:], lambda clip: advance())
        return _measurement(config, work, clips[1:], report, time.perf_counter() - begun)


def _measurement(
    config: Config,
    work: Extractor,
    clips: Sequence[Clip],
    report: ExtractionReport,
    lasted_s: float,
) -> Measurement:
    entries = {clip: work.read(clip, report) for clip in clips if clip.name in report.keys}
    whole = {clip: list(found.values()) for clip, found in entries.items() if found}
    if not whole:
        raise DataError("none of the clips that were tried can be read; see 'action-gru extract'")
    lengths_s = {clip: _length_s(found[0], config.sampling.fps) for clip, found in whole.items()}
    video_s = sum(lengths_s.values())
    dims = tuple(found.values.shape[1] for found in next(iter(whole.values())))
    assert isinstance(work.cache, FeatureCache)
    headers = [
        work.cache.path_of(report.keys[clip.name][stream]).stat().st_size
        - entry.values.nbytes
        - entry.times_s.nbytes
        for clip in whole
        for stream, entry in (entries[clip] or {}).items()
    ]
    source_bytes = sum(_bytes(clip, lengths_s[clip], work.limits) for clip in whole)
    return Measurement(
        video_rate=video_s / lasted_s,
        source_rate=source_bytes / video_s,
        dims=dims,
        header_bytes=sum(headers) / len(headers),
        fps=sum(len(found[0].times_s) for found in whole.values()) / video_s,
        step_rate=_step_rate(config, [spec.dim for spec in work.specs.values()]),
        clips=len(whole),
    )


def _length_s(entry: ClipFeatures, fps: float) -> float:
    """Seconds of a clip by its samples; its video may have fewer frames a second than fps.

    Sampled at 40 fps, of a video of 10: [0, 0.1, 0.2] -> 0.3.
    """
    times_s, count = entry.times_s, len(entry.times_s)
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
    trainer = Trainer(model, data, None, config.training, frames, 0)
    trainer.run_steps(0)  # warms up
    begun = time.perf_counter()
    for _ in range(STEPS):
        trainer.run_steps(0)
    return STEPS / (time.perf_counter() - begun)


def estimate(
    measured: Measurement, work: dict[str, Any], assumed: dict[str, float]
) -> dict[str, Any]:
    """The plan as JSON. Resources work at the same time: the slowest one is the limit.

    work: clips, seconds (of each), nodes, epochs, batch_size, min_steps. assumed: efficiency,
    bandwidth_gbit, store_gbit, writes_per_s, node_hour.
    """
    clips, nodes = work["clips"], work["nodes"]
    video_s, entries = clips * work["seconds"], clips * len(measured.dims)
    samples = clips * max(1, round(work["seconds"] * measured.fps))
    source_bytes = video_s * measured.source_rate
    cache_bytes = entries * measured.header_bytes + samples * sum(
        VALUE_BYTES * dim + TIME_BYTES for dim in measured.dims
    )
    moved_gbit = (source_bytes + cache_bytes) * 8 / 1e9
    seconds = {
        "compute": video_s / (measured.video_rate * nodes * assumed["efficiency"]),
        "network of a node": moved_gbit / (assumed["bandwidth_gbit"] * nodes),
        "bandwidth of the store": moved_gbit / assumed["store_gbit"],
        "writes of the store": entries / assumed["writes_per_s"],
    }
    limit = max(seconds, key=lambda name: seconds[name])
    batches = -(-clips // work["batch_size"])
    epochs = max(work["epochs"], -(-work["min_steps"] // batches))  # as the training loop does
    return {
        "measured": asdict(measured),
        "work": work,
        "assumed": assumed,
        "hours": {name: value / 3600 for name, value in seconds.items()},
        "limit": limit,
        "extraction_hours": seconds[limit] / 3600,
        "node_hours": seconds[limit] / 3600 * nodes,
        "cost": seconds[limit] / 3600 * nodes * assumed["node_hour"],
        "source_bytes": source_bytes,
        "cache_bytes": cache_bytes,
        "entries": entries,
        "index_bytes": entries * INDEX_BYTES,
        "training_hours": epochs * batches / measured.step_rate / 3600,
    }


def table(plan: dict[str, Any]) -> str:
    """The plan as lines of name and figure."""
    measured, work, assumed = plan["measured"], plan["work"], plan["assumed"]
    nodes = "1 node" if work["nodes"] == 1 else f"{work['nodes']:,} nodes"
    rows = [
        ("measured here", f"{measured['clips']} clips of the config"),
        ("  decode and embed", f"{measured['video_rate']:.1f} s of video a second"),
        ("  training", f"{measured['step_rate']:.1f} steps/s"),
        ("  source", f"{_size(measured['source_rate'])} a second of video"),
        ("work", f"{work['clips']:,} clips of {work['seconds']:g} s on {nodes}"),
        ("  source read", _size(plan["source_bytes"])),
        ("  cache written", f"{_size(plan['cache_bytes'])} in {plan['entries']:,} entries"),
        ("  index, when packed", _size(plan["index_bytes"])),
        (f"hours, at efficiency {assumed['efficiency']:g}", f"{plan['extraction_hours']:,.2f}"),
        *[
            (f"  {name}", f"{hours:,.2f}" + (" <- the limit" if name == plan["limit"] else ""))
            for name, hours in plan["hours"].items()
        ],
        ("node-hours", f"{plan['node_hours']:,.1f}"),
        ("cost", f"{plan['cost']:,.2f} at {assumed['node_hour']:g} a node-hour"),
        ("training, one node", f"{plan['training_hours']:,.2f} hours"),
    ]
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"{name:<{width}}  {figure}" for name, figure in rows)


def _size(count: float) -> str:
    """1536 -> 1.54 kB; powers of a thousand."""
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:,.3g} PB" if count < 1000 else f"{count:,.0f} PB"
