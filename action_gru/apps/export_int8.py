"""The feature network in int8: calibrated on the run's training clips, and what it costs measured.

The cost is the difference of the run's score on clips that were kept from its training. The
classifier stays in fp32: it takes a hundredth of the time.
"""

from __future__ import annotations

import contextlib
import io
import logging
import threading
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from action_gru.backbone import Backbone, FeatureSpec
from action_gru.backbone.runtimes import OpenVinoRunner, Pixels, import_quietly, measure
from action_gru.config import Config, build_config
from action_gru.core.errors import CheckpointError
from action_gru.core.progress import Reporter
from action_gru.evaluation.evaluate import score
from action_gru.features import ExtractionReport, MemoryCache
from action_gru.features.source import build_extractor
from action_gru.training import RunFolder
from action_gru.training.data import read_run_clips

# NNCF's authors ask for some 300 samples; more changed nothing on the fights set.
CALIBRATION_PICTURES, FRAMES = 300, 2
BATCH = 8  # pictures, when the two are timed
SCORES = ("top1", "mean_average_precision", "frame_accuracy")


@dataclass(frozen=True)
class Int8Cost:
    """before, after: the score of the run as it was trained and in int8, on its held-out clips.
    quicker: how many times as many pictures a second as in fp32, on this machine.
    """

    score: str
    split: str
    clips: int
    before: float
    after: float
    quicker: float

    @property
    def points(self) -> float:
        """What int8 loses, points of a hundred."""
        return 100 * (self.before - self.after)

    @property
    def sentence(self) -> str:
        return (
            f"int8: {self.score} {self.before:.3f} before and {self.after:.3f} in int8, on the "
            f"{self.clips} clips of the run's split '{self.split}'; {self.quicker:.1f} times as "
            "quick as fp32 here"
        )

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def held_out(run: Path) -> tuple[RunFolder, str]:
    """The run's folder, and its split that can tell the cost. Raises CheckpointError for none."""
    if not (run / "clips.csv").is_file():
        raise CheckpointError(
            f"{run}: int8 is calibrated and measured on the run's own clips; name the run's folder"
        )
    opened = RunFolder.open(run)
    split = next((name for name in ("test", "val") if opened.has_split(name)), None)
    if split is None:
        raise CheckpointError(
            f"{run}: no clips were kept from training, so nothing tells what int8 costs; train "
            "with data.test_share, or export without --int8"
        )
    return opened, split


def quantise(model: Any, run: RunFolder, config: Config, backbone: Backbone) -> Any:
    """OpenVINO's model of the feature network in int8, calibrated on the run's clips."""
    pictures = _training_pictures(run, config, backbone)
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # its bars; stdout is for the answer
            nncf = import_quietly("nncf")
            return nncf.quantize(
                model,
                nncf.Dataset(pictures),
                preset=nncf.QuantizationPreset.MIXED,
                subset_size=len(pictures),
            )
    finally:
        logging.disable(before)


def measure_cost(
    file: Path,
    run: RunFolder,
    split: str,
    overrides: Sequence[str],
    backbone: Backbone,
    reporter: Reporter,
) -> Int8Cost:
    """Score the run on its held-out clips by an int8 file, and as it was trained."""
    plain = [*overrides, "evaluation.details=false"]
    found = []
    for extra in ([], [f"features.weights={file}", "features.runtime=openvino"]):
        report = score(run, reporter, split, overrides=[*plain, *extra]).to_json()
        name = next(name for name in SCORES if report.get(name) is not None)
        found.append(float(str(report[name])))
    assert backbone.exported is not None
    threads, cpu = torch.get_num_threads(), torch.device("cpu")
    runners = {
        "fp32": OpenVinoRunner(backbone.exported.path, "fp32", cpu, threads),
        "int8": OpenVinoRunner(file, "fp32", cpu, threads),
    }
    side = backbone.image_size
    costs = measure(runners, (BATCH, side, side, 3))
    clips = sum(row["split"] == split for row in run.rows())
    return Int8Cost(name, split, clips, found[0], found[1], costs["fp32"] / costs["int8"])


def check_cost(cost: Int8Cost, most: float) -> None:
    """Raise CheckpointError where int8 loses more than `most` points."""
    if cost.points > most + 1e-9:
        raise CheckpointError(
            f"{cost.sentence}. It loses {cost.points:.1f} points, at most {most:g} are allowed; "
            "nothing was written. Export without --int8, or allow more with --max-loss"
        )


class _Recorder(Backbone):
    """Stands where a `Backbone` does and keeps the pictures that it is shown."""

    def __init__(self, backbone: Backbone) -> None:
        self.image_size, self.fit, self.weights, self.dim = (
            backbone.image_size, backbone.fit, "calibration", 1,
        )  # fmt: skip
        self.has_maps, self.kept = True, list[dict[str, Pixels]]()
        self._run, self._lock = self._keep, threading.Lock()

    def spec(self, view: str) -> FeatureSpec:
        """What an `Extractor` asks for; its cache is not kept."""
        return FeatureSpec(view, "", "0" * 64, "none", self.image_size, self.fit, "fp32", 1)

    def _keep(self, pixels: Pixels, weight: Pixels) -> NDArray[np.float32]:
        with self._lock:
            for picture, seen in zip(pixels, weight, strict=True):
                self.kept.append({"pixels": picture[None].copy(), "weight": seen[None].copy()})
        return np.zeros((len(pixels), 1), np.float32)


def _training_pictures(
    run: RunFolder, config: Config, backbone: Backbone
) -> Sequence[Mapping[str, Pixels]]:
    """Pictures of every view, from training clips spread over the manifest."""
    clips = [clip for clip in read_run_clips(run, config) if clip.split == "train"]
    count = -(-CALIBRATION_PICTURES // (FRAMES * len(config.features.views)))
    chosen = clips[:: max(1, len(clips) // count)]
    plain = build_config(config.to_tree(), ["features.flip=false"])
    recorder = _Recorder(backbone)
    extractor = build_extractor(plain, recorder, MemoryCache(), most_frames=FRAMES)
    extractor.extract(chosen, lambda clip: None, ExtractionReport())
    if not recorder.kept:
        raise CheckpointError(
            f"{run.path}: none of its training clips can be read any more, and int8 is calibrated "
            "on them; name where they are with data.root=DIR"
        )
    return recorder.kept[:: max(1, len(recorder.kept) // CALIBRATION_PICTURES)]
