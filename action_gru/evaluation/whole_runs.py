"""Trains and scores whole runs for the Python API, in the steps of the command line."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from action_gru.backbone.weight_files import hub_of, local_weights, runtime_of
from action_gru.config import check_files
from action_gru.core.arguments import brief, overrides_given, path_given
from action_gru.core.errors import CheckpointError, ConfigError
from action_gru.core.progress import Reporter
from action_gru.dataset.manifest import SPLITS
from action_gru.evaluation.evaluate import evaluate, score
from action_gru.prepare.source import WANTED, overrides_of, read_source
from action_gru.report.figures import Evaluation
from action_gru.training import RunFolder
from action_gru.training import train as train_run
from action_gru.training.refit import refit, wants_refit
from action_gru.training.tracking import track_result
from action_gru.views.pictures import VIEWS

CLIPS = f"clips are {WANTED}, or an annotation file"


def train_whole(
    clips: Any,
    words: Mapping[str, Any],
    videos: Any,
    overrides: Any,
    device: str,
    progress: bool,
) -> Path:
    """Train, score on the test clips and refit, as `action-gru train` does; the run's folder.

    words: see `prepare.source.WORDS`. Raises ConfigError for settings, DataError for clips that
    cannot be used.
    """
    path, folder = path_given(clips, CLIPS, ConfigError), _folder(videos)
    chosen = [] if device == "auto" else ["features", "training"]
    changes = [f"{section}.device={device}" for section in chosen]
    changes += [*overrides_given(overrides), *overrides_of(words)]
    found, reporter = read_source(path, changes, videos=folder), Reporter(quiet=not progress)
    if not found.config.data.is_video:
        raise ConfigError(
            f"{path}: measured rows are learnt by 'action-gru train', and read by "
            "SequenceRecognizer; here clips of video are needed"
        )
    features = found.config.features
    is_of_yolo = not (hub_of(features.weights) or runtime_of(features.weights))
    if is_of_yolo and set(features.views) & set(VIEWS):
        local_weights(features.weights, features.download)  # before a run takes its name
    for note in found.notes:
        reporter.info(note)
    config = found.written()
    check_files(config)
    run = train_run(config, reporter)
    figures, reports = dict[str, Any](), list[Path]()
    if run.has_split("test"):
        with run.naming_interrupts():
            report, report_folder = evaluate(run, reporter)
            figures, reports = report.to_json(), [report_folder / "report.md"]
            if wants_refit(run, run.config()):
                refit(run, reporter)
    track_result(run, figures, reports, reporter)
    return run.path


def score_whole(
    run: Path | None,
    clips: Any,
    split: Any,
    videos: Any,
    overrides: Sequence[str],
    progress: bool,
) -> Evaluation:
    """The figures of a run on its own test clips, or on others; no report is written.

    Raises CheckpointError for a model without its run folder.
    """
    if split is not None and split not in SPLITS:
        raise ConfigError(f"split: is one of {', '.join(SPLITS)}; got {brief(split)}")
    folder = _folder(videos)
    path = None if clips is None else path_given(clips, CLIPS, ConfigError)
    if run is None or not (run / "config.yaml").is_file():
        raise CheckpointError(
            f"{run or 'this model'}: a model's file alone does not know its clips; load the run's "
            "folder, or name clips and classify them"
        )
    reporter, opened = Reporter(quiet=not progress), RunFolder.open(run)
    if path is None:
        return Evaluation(score(opened, reporter, split, overrides=overrides).to_json())
    with tempfile.TemporaryDirectory(prefix="action_gru-") as place:
        data = read_source(path, videos=folder).written(Path(place)).data
        report = score(opened, reporter, split, data.manifest, data.root, overrides)
    return Evaluation(report.to_json())


def _folder(videos: Any) -> Path | None:
    what = "videos is the folder of an annotation file's videos"
    return None if videos is None else path_given(videos, what, ConfigError)
