"""action-gru plan: hours, bytes and cost of many clips, by the formulas of docs/scale.md."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from typer import Option

from action_gru.cli.common import Json, Quiet, make_reporter, print_answer
from action_gru.cli.source import Clips, with_words
from action_gru.core.errors import ConfigError, DataError

if TYPE_CHECKING:
    from action_gru.config import Config
    from action_gru.core.progress import Reporter
    from action_gru.dataset import Clip

LEAST, MOST = 1e-6, 1e12  # of any amount: beyond, a figure is a typing error, or overflows
INDEX_BYTES = 64  # of one packed entry
SIZES = ("source", "cache", "index")
STEPS, CLASSES = 20, 10  # of the training that is timed; classes hardly change the time of a step


@with_words
def plan(
    words: Clips,
    clips: Annotated[int, Option(min=1, help="How many clips.")],
    seconds: Annotated[float, Option(min=0.01, help="Seconds of each.")],
    nodes: Annotated[int, Option(min=1, help="Machines like this one.")] = 1,
    node_hour: Annotated[float, Option(help="Price of a node-hour.")] = 1.0,
    efficiency: Annotated[float, Option(help="Of several nodes, against one.")] = 0.9,
    bandwidth_gbit: Annotated[float, Option(help="Gbit/s of a node.")] = 10.0,
    store_gbit: Annotated[float, Option(help="Gbit/s of the store.")] = 100.0,
    writes_per_s: Annotated[float, Option(help="Writes the store takes.")] = 3500.0,
    sample: Annotated[int, Option(min=1, help="How many clips to measure.")] = 16,
    json_: Json = False,
    quiet: Quiet = False,
) -> None:
    """Measure a few clips here, and say what many take: hours, bytes, cost and the limit."""
    from action_gru.apps.checks import check_network

    work = {"clips": clips, "seconds": seconds, "nodes": nodes}
    assumed = {"efficiency": efficiency, "bandwidth_gbit": bandwidth_gbit, "store_gbit": store_gbit}
    assumed |= {"writes_per_s": writes_per_s, "node_hour": node_hour}
    for name, value in (work | assumed).items():
        _check_amount(name, value)
    reporter = make_reporter(quiet)
    tree = words.find().written()
    check_network(tree)
    work |= tree.training.model_dump(include={"epochs", "batch_size", "min_steps"})
    with reporter.doing("measuring"):
        document = estimate(measure_machine(tree, sample, reporter), work, assumed)
    print_answer(document, _table(document), json_)


def _check_amount(name: str, value: float) -> None:
    """Raise ConfigError for what cannot be, before anything is measured."""
    option = "--" + name.replace("_", "-")
    if name == "efficiency" and value > 1:
        raise ConfigError(f"{option}: {value:g} is more than all; give a share such as 0.9")
    is_free = name == "node_hour" and value == 0
    if not (LEAST <= value <= MOST or is_free):  # nan is neither
        shown = f"{value:g}" if isinstance(value, float) else str(value)[:40]
        raise ConfigError(
            f"{option}: {shown} is no amount; give a number above 0, from {LEAST:g} to {MOST:g}"
        )


def measure_machine(config: Config, sample: int, reporter: Reporter) -> dict[str, float]:
    """Extract so many of the config's clips into a cache that is thrown away; train on noise.

    video_rate: seconds of video a second, decoded and embedded. source_rate, cache_rate: bytes a
    second of video. entries: of one clip. step_rate: training steps a second. clips: measured.
    """
    from action_gru.features import FeatureCache
    from action_gru.features.source import build_backbone, build_extractor
    from action_gru.training import read_clips

    if not config.data.is_video:
        raise ConfigError(
            f"data.kind: {config.data.kind} is read, not extracted; plan is for video"
        )
    found = read_clips(config)
    if len(found) < 2:
        raise DataError(f"{config.data.manifest}: a measurement needs two clips or more")
    # From all over the set: a manifest is sorted by class, and classes differ in length.
    first, *others = found[:: max(1, len(found) // (sample + 1))][: sample + 1]
    with tempfile.TemporaryDirectory() as folder, reporter.bar("measure", len(others)) as advance:
        cache = FeatureCache(Path(folder))
        work = build_extractor(config, build_backbone(config), cache)
        work.extract([first])  # pays for what is paid once
        begun = time.perf_counter()
        report = work.extract(others, lambda clip: advance())
        lasted_s = time.perf_counter() - begun
        whole = [clip for clip in others if clip.name not in report.quarantined]
        if not whole:
            raise DataError(
                "none of the clips that were tried can be read; see 'action-gru extract'"
            )
        keys = [key for clip in whole for key in report.keys[clip.name].values()]
        cached = sum(cache.path_of(key).stat().st_size for key in keys)
    video_s = source = 0.0
    for clip in whole:
        clip_s, file_s = _lengths_s(clip)
        video_s += clip_s
        files = list(clip.path.iterdir()) if clip.path.is_dir() else [clip.path]
        source += sum(file.stat().st_size for file in files) * clip_s / file_s
    return {
        "video_rate": video_s / lasted_s,
        "source_rate": source / video_s,
        "cache_rate": cached / video_s,
        "entries": len(keys) / len(whole),
        "step_rate": _step_rate(config, [spec.dim for spec in work.specs.values()]),
        "clips": len(whole),
    }


def _lengths_s(clip: Clip) -> tuple[float, float]:
    """Seconds of the clip, and of its file."""
    from action_gru.video import VideoFile

    with VideoFile(clip.path, frame_rate=clip.frame_rate) as video:
        frame = next(iter(video))
        file_s = max(video.declared_s or 0.0, clip.end_s or 0.0, frame.time_s + LEAST)
    return (clip.end_s or file_s) - (clip.start_s or 0.0), file_s


def _step_rate(config: Config, dims: list[int]) -> float:
    """Training steps a second on noise of the longest clip that is read at once."""
    import numpy as np

    from action_gru.features import ClipFeatures
    from action_gru.features.sequences import SequenceSet
    from action_gru.model import ActionClassifier
    from action_gru.training.loop import Trainer

    size, frames = config.training.batch_size, config.sampling.max_frames
    noise = [
        ClipFeatures(np.random.default_rng(0).standard_normal((frames, dim)).astype(np.float16),
                     np.arange(frames) / 8)
        for dim in dims
    ]  # fmt: skip
    data = SequenceSet([noise] * size, [n % CLASSES for n in range(size)])
    settings = config.model.model_dump() | {"normalisation": "frame", "closed_form": False}
    model = ActionClassifier(dims, CLASSES, **settings)
    trainer = Trainer(model, data, None, config.training, frames, 0)
    trainer.run_steps(0)  # warms up
    begun = time.perf_counter()
    for _ in range(STEPS):
        trainer.run_steps(0)
    return STEPS / (time.perf_counter() - begun)


def estimate(
    measured: dict[str, float], work: dict[str, Any], assumed: dict[str, float]
) -> dict[str, Any]:
    """The plan as JSON. Resources work at the same time: the slowest one is the limit.

    work: clips, seconds (of each), nodes, epochs, batch_size, min_steps. assumed: the options.
    """
    clips, nodes = work["clips"], work["nodes"]
    video_s, entries = clips * work["seconds"], round(clips * measured["entries"])
    source, cache = video_s * measured["source_rate"], video_s * measured["cache_rate"]
    moved_gbit = (source + cache) * 8 / 1e9
    seconds = {
        "compute": video_s / (measured["video_rate"] * nodes * assumed["efficiency"]),
        "network of a node": moved_gbit / (assumed["bandwidth_gbit"] * nodes),
        "bandwidth of the store": moved_gbit / assumed["store_gbit"],
        "writes of the store": entries / assumed["writes_per_s"],
    }
    hours = {name: taken_s / 3600 for name, taken_s in seconds.items()}
    limit = max(hours, key=hours.__getitem__)
    batches = -(-clips // work["batch_size"])
    epochs = max(work["epochs"], -(-work["min_steps"] // batches))  # as the training loop does
    return {
        "measured": measured,
        "work": work,
        "assumed": assumed,
        "hours": hours,
        "limit": limit,
        "extraction_hours": hours[limit],
        "node_hours": hours[limit] * nodes,
        "cost": hours[limit] * nodes * assumed["node_hour"],
        "source_bytes": source,
        "cache_bytes": cache,
        "entries": entries,
        "index_bytes": entries * INDEX_BYTES,
        "training_hours": epochs * batches / measured["step_rate"] / 3600,
    }


def _table(plan: dict[str, Any]) -> str:
    """The plan as lines of name and figure."""
    measured, work = plan["measured"], plan["work"]
    source, cache, index = (f"{plan[f'{of}_bytes'] / 1e9:,.3g} GB" for of in SIZES)
    rows = {
        f"measured on {measured['clips']} clips": f"{measured['video_rate']:.1f} s of video a "
        f"second, {measured['step_rate']:.1f} training steps a second",
        "work": f"{work['clips']:,} clips of {work['seconds']:g} s on {work['nodes']:,} node(s)",
        "source read": source,
        "cache written": f"{cache} in {plan['entries']:,} entries",
        "index, when packed": index,
        "hours": f"{plan['extraction_hours']:,.2f}",
        **{f"  {name}": f"{hours:,.2f}" for name, hours in plan["hours"].items()},
        "node-hours": f"{plan['node_hours']:,.1f}",
        "cost": f"{plan['cost']:,.2f}",
        "hours of training, one node": f"{plan['training_hours']:,.2f}",
    }
    rows[f"  {plan['limit']}"] += " <- the limit"
    width = max(map(len, rows))
    return "\n".join(f"{name:<{width}}  {figure}" for name, figure in rows.items())
