"""The arithmetic of a plan. Knows nothing of files, networks or how a figure was measured.

docs/scale.md writes out each formula.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from action_gru.errors import ConfigError

INDEX_BYTES = 64  # of one packed entry
TIME_BYTES = 8  # of one sample in an entry, beside its values
VALUE_BYTES = 2
LEAST, MOST = 1e-6, 1e12  # of any amount: beyond, a figure is a typing error, or overflows


@dataclass(frozen=True)
class Measurement:
    """What one node does. video_rate: seconds of video a second, decoded and embedded.

    source_rate: bytes of the files a second of video. entries: of one clip, each with dims[i]
    values a sample and header_bytes besides. fps: samples a second of video, fewer than
    sampling.fps where the clips have fewer frames. step_rate: training steps a second.
    """

    video_rate: float
    source_rate: float
    dims: tuple[int, ...]
    header_bytes: float
    fps: float
    step_rate: float
    clips: int
    drawn: bool


@dataclass(frozen=True)
class Workload:
    """clips of so many seconds each, on so many nodes; min_steps may ask for more epochs."""

    clips: int
    seconds: float
    nodes: int = 1
    epochs: int = 1
    batch_size: int = 32
    min_steps: int = 0

    def __post_init__(self) -> None:
        for name in ("clips", "seconds", "nodes"):
            _check_amount(name, getattr(self, name))

    @property
    def epochs_run(self) -> int:
        """As the training loop counts them."""
        return max(self.epochs, -(-self.min_steps // self.batches))

    @property
    def batches(self) -> int:
        """Of one epoch."""
        return -(-self.clips // self.batch_size)


@dataclass(frozen=True)
class Assumptions:
    """What is not measured. efficiency: of several nodes, against each alone. bandwidth_gbit: of a
    node. store_gbit, writes_per_s: what the store gives all of them. node_hour: price of one.
    """

    efficiency: float = 0.9
    bandwidth_gbit: float = 10.0
    store_gbit: float = 100.0
    writes_per_s: float = 3500.0
    node_hour: float = 1.0

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if value or name != "node_hour":
                _check_amount(name, value)
        if self.efficiency > 1:
            raise ConfigError(
                f"--efficiency: {self.efficiency:g} is more than all; give a share such as 0.9"
            )


def _check_amount(name: str, value: float) -> None:
    if not LEAST <= value <= MOST:  # nan is neither
        option = "--" + name.replace("_", "-")
        shown = f"{value:g}" if isinstance(value, float) else str(value)[:40]
        raise ConfigError(
            f"{option}: {shown} is no amount; give a number above 0, from {LEAST:g} to {MOST:g}"
        )


@dataclass(frozen=True)
class Estimate:
    """hours: of each resource if it alone were short; limit: the one that takes longest.

    training_hours: one node, and apart from the rest.
    """

    hours: dict[str, float]
    limit: str
    extraction_hours: float
    node_hours: float
    cost: float
    source_bytes: float
    cache_bytes: float
    entries: int
    index_bytes: int
    training_hours: float

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def estimate(measured: Measurement, work: Workload, assumed: Assumptions) -> Estimate:
    """What the work takes. Resources work at the same time: the slowest sets the pace."""
    video_s = work.clips * work.seconds
    entries = work.clips * len(measured.dims)
    samples = work.clips * max(1, round(work.seconds * measured.fps))
    source_bytes = video_s * measured.source_rate
    cache_bytes = entries * measured.header_bytes + samples * sum(
        VALUE_BYTES * dim + TIME_BYTES for dim in measured.dims
    )
    moved_gbit = (source_bytes + cache_bytes) * 8 / 1e9
    seconds = {
        "compute": video_s / (measured.video_rate * work.nodes * assumed.efficiency),
        "network of a node": moved_gbit / (assumed.bandwidth_gbit * work.nodes),
        "bandwidth of the store": moved_gbit / assumed.store_gbit,
        "writes of the store": entries / assumed.writes_per_s,
    }
    limit = max(seconds, key=lambda name: seconds[name])
    hours = seconds[limit] / 3600
    steps = work.epochs_run * work.batches
    return Estimate(
        hours={name: value / 3600 for name, value in seconds.items()},
        limit=limit,
        extraction_hours=hours,
        node_hours=hours * work.nodes,
        cost=hours * work.nodes * assumed.node_hour,
        source_bytes=source_bytes,
        cache_bytes=cache_bytes,
        entries=entries,
        index_bytes=entries * INDEX_BYTES,
        training_hours=steps / measured.step_rate / 3600,
    )
