"""The offline demo: draws clips, trains on them, shows what the model can and can't tell apart."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from action_gru.apps.classify import annotate
from action_gru.config import Config, build_config
from action_gru.core.errors import DataError
from action_gru.core.machine import program
from action_gru.core.progress import Reporter
from action_gru.dataset import read_manifest
from action_gru.demo import DEMO_CONFIG
from action_gru.demo.actions import REVERSED_PAIRS
from action_gru.demo.dataset import write_demo_dataset, write_video
from action_gru.demo.scenes import draw_clip
from action_gru.evaluation.evaluate import evaluate
from action_gru.evaluation.evaluator import Evaluator
from action_gru.features.source import data_source
from action_gru.recognizer import ActionRecognizer
from action_gru.report.evaluation import EvaluationReport
from action_gru.report.segments import pool_segment_scores
from action_gru.training import RunFolder, load_checkpoint, train
from action_gru.video import VideoFile

FRESH_ACTION, FRESH_SEED, FPS = "stand_up", 987_650, 24.0


def run_demo(folder: Path, reporter: Reporter, overrides: Sequence[str] = ()) -> str:
    """Work below `folder`: data/demo, cache/features and runs/demo (replaced); the closing screen.

    overrides: of DEMO_CONFIG.
    """
    config = build_config(DEMO_CONFIG, overrides)
    reporter.info("drawing people who sit down, stand up, wave, clap ...")
    with reporter.doing("drawing"):
        write_demo_dataset(folder / "data" / "demo")
    reporter.info("first by whole frames alone: there only order can tell the pairs apart")
    alone = _placed(config, folder, "run.name=demo-rgb", "features.views=[rgb]")
    rgb = _train(alone, reporter, timelines=False)  # nothing is said of its long videos
    reporter.info("the same again with the motion view")
    both, report = _train(_placed(config, folder), reporter)  # last: commands use the newest run
    fresh = both.path / "fresh_clip.mp4"
    write_video(fresh, draw_clip(FRESH_ACTION, FRESH_SEED, fps=FPS), FPS)
    recognizer = ActionRecognizer.load(both.path)
    reading = recognizer.read(fresh)
    annotate(recognizer, reading, fresh, both.path / "annotated.mp4")
    _write_contact_sheet(both.path / "annotated.mp4", both.path / "annotated.png")
    rows = "\n".join([*_rows(both, report, "rgb + motion"), *_rows(*rgb, "rgb alone")])
    top = ", ".join(f"{label} {score:.2f}" for label, score in reading.prediction.top(3))
    return _screen(both, report, rows, fresh, top)


def _placed(config: Config, folder: Path, *overrides: str) -> Config:
    paths = [
        f"run.folder={folder / config.run.folder}",
        f"features.cache_dir={folder / config.features.cache_dir}",
        f"data.manifest={folder / 'data' / 'demo' / 'manifest.csv'}",
    ]
    return build_config(config.to_tree(), [*paths, *overrides])


def _train(
    config: Config, reporter: Reporter, timelines: bool = True
) -> tuple[RunFolder, EvaluationReport]:
    _clear(config.run.folder / config.run.name, config)
    run = train(config, reporter)
    report = evaluate(run, reporter, timelines=timelines)[0]
    assert isinstance(report, EvaluationReport)  # its clips show one action each
    return run, report


def _clear(path: Path, config: Config) -> None:
    """Remove the run of an earlier demo, and only that."""
    if not path.exists():
        return
    if RunFolder.open(path).config().data.manifest != config.data.manifest:
        raise DataError(f"{path} is a run on other data; move it away, the demo writes there")
    shutil.rmtree(path)


def _rows(run: RunFolder, report: EvaluationReport, views: str) -> list[str]:
    """Top-1 of the GRU and of the mean-pooled baseline: on all clips, on the reversed pairs."""
    mean_pooled = report.baselines["mean_pooled"]
    figures = (("GRU", report.metrics.top1, run.best), ("mean-pooled", mean_pooled, run.baseline))
    return [
        f"  {f'{name}, {views}':<28}{top1:.3f}   {_pair_accuracy(run, checkpoint):.3f}"
        for name, top1, checkpoint in figures
    ]


def _pair_accuracy(run: RunFolder, checkpoint_path: Path) -> float:
    """Top-1 of a checkpoint on the test clips of the reversed pairs, against all classes."""
    config, checkpoint = run.config(), load_checkpoint(checkpoint_path)
    paired = {label for pair in REVERSED_PAIRS for label in pair}
    assert config.data.manifest is not None
    clips = [
        clip
        for clip in read_manifest(run.clips, config.data.manifest.parent)
        if clip.split == "test" and clip.label in paired
    ]
    table = data_source(config).features(clips, Reporter(quiet=True))
    sequences = table.sequences(clips, checkpoint.classes)
    scores = Evaluator.load(checkpoint, config).predict(sequences)
    return float((scores.argmax(1) == sequences.labels).float().mean())


def _write_contact_sheet(video: Path, picture: Path, columns: int = 4) -> None:
    """A row of frames, evenly spread over the video, as a PNG."""
    with VideoFile(video) as source:
        images = [frame.image for frame in source]
    chosen = np.linspace(0, len(images) - 1, columns + 1).round().astype(int)[1:]
    row = np.concatenate([images[index] for index in chosen], axis=1)
    cv2.imwrite(str(picture), cv2.cvtColor(row, cv2.COLOR_RGB2BGR))


def _screen(run: RunFolder, report: EvaluationReport, table: str, fresh: Path, top: str) -> str:
    metrics, path = report.metrics, run.path
    drawn = sum(bool(row["label"]) for row in run.rows())
    pairs = ", ".join("/".join(pair) for pair in REVERSED_PAIRS)
    manifest = run.config().data.manifest
    assert manifest is not None
    long = pool_segment_scores([one.scores for one in report.timelines])
    return f"""
What was made
  {manifest.parent}          {drawn} drawn clips of {len(metrics.classes)} actions
  {path}          the trained run: best.safetensors, evaluation/test/report.md, training.png
  {path}/annotated.mp4   a clip it had never seen, with its running answer

How well it knows {metrics.clips} test clips, of persons it never saw
                              top-1   on the reversed pairs
{table}
  The pairs ({pairs}) are each other backwards:
  in rgb no single frame tells them apart, only the order does.

When things happen in {long.videos} long videos of {long.duration_s / long.videos:.0f} s
  F1@50 {long.f1[0.5]:.3f}, edit {long.edit:.3f}: {path}/evaluation/test/timeline_000.png

The fresh clip, {FRESH_ACTION}: {top}

What to type next
{_next_commands(path, fresh, manifest.parent / "long" / "long_000.mp4")}
"""


def _next_commands(run: Path, fresh: Path, video: Path) -> str:
    """To be pasted where this program was started, as it was started."""
    start = shlex.join(program())
    named, clip, long = (shlex.quote(str(path)) for path in (run, fresh, video))
    return f"""  {start} classify {clip} --model {named}
  {start} timeline {long} --model {named} --out timeline.vtt
  {start} webcam --model {named} --source {long}   # or --source 0, your camera
  {start} train CLIPS      # your clips, a folder for each class: CLIPS/CLASS/*.mp4"""
