"""The trainer's task: from the project's clips to a scored model in runs/, by the product's own
training, evaluation and refit.

A run is made in .studio/training and moved when all of it is there, so that a killed training
leaves nothing in runs/.
"""

from __future__ import annotations

import json
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from typing import Any

import numpy as np
import torch

from action_gru.apps.studio.held_out import HeldOut, content_of_twins, hold_out, person_of
from action_gru.apps.studio.settings import HERE, choose_network, project_source
from action_gru.apps.studio.verdict import (
    DOCUMENT,
    PERSON,
    PLACE,
    Answer,
    advice,
    by_action,
    verdict,
)
from action_gru.apps.studio.work_clips import pool
from action_gru.config import Config, build_config
from action_gru.core.errors import DataError
from action_gru.core.files import write_atomically, write_run_file
from action_gru.core.progress import Advance, Reporter
from action_gru.dataset import Clip
from action_gru.evaluation.evaluate import evaluate
from action_gru.features.sequences import FeatureTable
from action_gru.features.source import data_source
from action_gru.prepare.project import read_project
from action_gru.prepare.rows import csv_text
from action_gru.report.evaluation import EvaluationReport
from action_gru.report.plots import new_figure
from action_gru.training import RunFolder, train
from action_gru.training.data import TrainingData, read_clips
from action_gru.training.linear import fit_ridge
from action_gru.training.loop import Trainer
from action_gru.training.refit import refit
from action_gru.training.runs import RUNS
from action_gru.training.scoring import score_clips

RECIPE = (
    "training.epochs=20",
    "training.mean_pooled_baseline=false",
    "training.refit=true",
    "evaluation.details=false",
    "data.split=column",
    "data.max_bad_share=0.9",  # a clip that fails is told of where it is shown
)
# Of few clips a batch of 32 is nearly all, and 20 epochs are 20 to 40 steps. 40 drawn clips, four
# parts, two seeds: 0.78 of the clips right so, and 0.84 with these (and with 20 epochs of them).
FEW_CLIPS = 100
FEW = ("training.batch_size=8", "training.epochs=15")
COLUMNS = ("path", "label", "group", "split", "start_s", "end_s", "frame_rate")
# The stages of a training by the title of their bar: (name, from, to) as shares of all of it.
STAGES = {
    "extract": ("reading clips", 0.0, 0.1),
    "train": ("training", 0.1, 0.8),
    "all clips": ("finishing", 0.85, 1.0),
}
MOMENTS = {"evaluate": ("scoring", 0.8), "keep": ("finishing", 1.0)}
Tell = Callable[[Any], None]


def warm(tell: Tell) -> None:
    """Load what a training needs. Most of it came with this module's imports."""
    tell("loading the trainer")
    torch.optim.LBFGS([torch.zeros(1, requires_grad=True)])  # imports torch's compiler, 2 s
    new_figure(1, 1)


def train_project(tell: Tell, name: str) -> str:
    """Train on the project's clips of now, and keep the model as runs/NAME; the run's name.

    Tells {"stage", "share"}, {"epoch": {"epoch", "train", "held_out"}} and {"draft": {"score",
    "text"}}. Raises DataError for clips that cannot be learned from.
    """
    began_s = time.monotonic()
    reporter = Telling(tell)
    shutil.rmtree(PLACE, ignore_errors=True)  # of a training that was killed
    config, held_out = _prepare(name)
    table = data_source(config).features(held_out.clips, reporter, None, 1.0)
    held_out = replace(held_out, clips=tuple(table.usable(held_out.clips)))
    tell({"draft": draft(held_out, table, began_s)})
    run = train(config, reporter, watch=_curve(tell))
    with reporter.doing("evaluate"):
        report, _ = evaluate(run, reporter)
    assert isinstance(report, EvaluationReport)
    refit(run, reporter)
    with reporter.doing("keep"):
        document = describe(report, held_out, table)
        write_run_file(run.path / DOCUMENT, json.dumps(document, indent=1).encode(), run.path)
        return _keep(run, config)


def _prepare(name: str) -> tuple[Config, HeldOut]:
    """The config, and the clips as they are now, divided. They stay so whatever is recorded
    meanwhile.
    """
    choose_network(lambda _: None)
    source = project_source()
    clips = read_clips(source.written(PLACE))
    held_out = hold_out(clips, content_of_twins(clips))
    rows = [
        [c.relative, c.label, c.group, c.split, c.start_s, c.end_s, c.frame_rate]
        for c in held_out.clips
    ]
    text = csv_text([COLUMNS, *rows])
    manifest = PLACE / f"{name}.csv"
    write_atomically(manifest, text.encode())
    tree = source.config.to_tree()
    tree["run"] = {"name": name, "folder": str(PLACE)}
    tree["data"] |= {"manifest": str(manifest), "root": "clips"}
    # Its clips may not have been recorded yet.
    names = {clip.label for clip in clips}
    tree["events"]["background"] = [one for one in tree["events"]["background"] if one in names]
    few = FEW if len(clips) <= FEW_CLIPS else ()
    return build_config(tree, [*RECIPE, *few]), held_out


def _keep(run: RunFolder, config: Config) -> str:
    """Move the finished run to the others, with a config that a command line in the project
    understands.
    """
    tree = config.to_tree()
    tree["run"]["folder"] = str(RUNS)
    tree["data"] |= {"manifest": "clips/manifest.csv", "root": None, "split": "group"}
    run.write_config(build_config(tree))
    RUNS.mkdir(exist_ok=True)
    place = RUNS / run.path.name
    if place.exists():
        raise DataError(f"{place} was made while this run was trained; train again")
    run.path.rename(place)
    shutil.rmtree(PLACE, ignore_errors=True)
    return place.name


def draft(held_out: HeldOut, table: FeatureTable, began_s: float) -> dict[str, Any]:
    """What a linear classifier, solved in closed form, says of the clips that are held out."""
    known, asked = held_out.part("train"), held_out.part("test")
    names = sorted({clip.label for clip in known})
    rows, new = (
        torch.from_numpy(np.stack([_pooled(clip, table) for clip in part]))
        for part in (known, asked)
    )
    labels = torch.tensor([names.index(clip.label) for clip in known])
    matrix, offset = fit_ridge(rows, torch.nn.functional.one_hot(labels, len(names)).float())
    given = (new @ matrix + offset).argmax(1).tolist()
    right = sum(names[number] == clip.label for number, clip in zip(given, asked, strict=True))
    took_s = max(1, round(time.monotonic() - began_s))
    text = f"a first answer after {took_s} s: {right} of {len(asked)} new clips right"
    return {"score": right / len(asked), "text": text}


def _curve(tell: Tell) -> Callable[[Trainer, TrainingData, Mapping[str, float]], None]:
    """Tells after each epoch how many are right; the clips that are held out choose nothing."""

    def watch(trainer: Trainer, data: TrainingData, row: Mapping[str, float]) -> None:
        asked = data.sequences("test")
        assert asked is not None
        scores = score_clips(trainer.kept_model(), asked, trainer.max_frames)
        right = (scores.argmax(1) == asked.labels).float().mean().item()
        figures = {"train": round(row["accuracy"], 4), "held_out": round(right, 4)}
        tell({"epoch": {"epoch": int(row["epoch"])} | figures})

    return watch


def describe(report: EvaluationReport, held_out: HeldOut, table: FeatureTable) -> dict[str, Any]:
    """What the studio shows of a run: the `model` of its state, and which clips it knows."""
    answers = [
        Answer(one.path, one.label, one.prediction.label, float(one.prediction.score))
        for one in report.predictions
    ]
    known, asked = held_out.part("train"), held_out.part("test")
    people = sorted({person for clip in held_out.clips if (person := person_of(clip))})
    new = sorted({person for clip in asked if (person := person_of(clip))})
    counts = Counter(clip.label for clip in held_out.clips)
    background = read_project(HERE).background()
    told = verdict(answers, held_out.kind, new if held_out.kind == PERSON else (), held_out.alone)
    pooled = {clip.relative: _pooled(clip, table) for clip in held_out.clips}
    return {
        "when": datetime.now().isoformat(timespec="seconds"),
        "score": report.metrics.top1,
        "clips": len(held_out.clips),
        "held_out": len(answers),
        "verdict": told,
        "advice": advice(answers, counts, background, people),
        "actions": by_action(answers, list(report.metrics.classes)),
        "mistakes": [
            {
                "clip": one.clip,
                "was": one.was,
                "said": one.said,
                "score": round(one.score, 4),
                "like": _nearest(one, known, pooled),
            }
            for one in sorted(answers, key=lambda one: -one.score)
            if not one.is_right
        ],
        "known": sorted(pooled),
    }


def _pooled(clip: Clip, table: FeatureTable) -> np.ndarray[Any, np.dtype[np.float32]]:
    return pool([entry.values for entry in table.by_clip[clip.name].values()])


def _nearest(one: Answer, known: Sequence[Clip], pooled: Mapping[str, Any]) -> str | None:
    """The clip of the class that was said, which a mistake looks most like."""
    same = [clip.relative for clip in known if clip.label == one.said]
    return max(same, key=lambda name: float(pooled[name] @ pooled[one.clip]), default=None)


class Telling(Reporter):
    """Tells stages and shares instead of showing them."""

    def __init__(self, tell: Tell) -> None:
        super().__init__(mute=True)
        self._tell, self._share = tell, 0.0

    def _say(self, stage: str, share: float) -> None:
        """Never back: features are read again for each stage, from the cache."""
        if share >= self._share:
            self._share = share
            self._tell({"stage": stage, "share": round(share, 3)})

    @contextmanager
    def bar(self, title: str, total: int) -> Iterator[Advance]:
        """Tells how far the stage of that title is."""
        stage, low, high = STAGES.get(title, ("finishing", 0.85, 1.0))
        done = 0.0

        def advance(steps: float = 1, **told: Any) -> None:
            nonlocal done, total
            done, total = done + steps, told.get("total", total)
            self._say(stage, low + (high - low) * min(1.0, done / max(1, total)))

        advance(0)
        yield advance

    @contextmanager
    def doing(self, title: str) -> Iterator[None]:
        """Tells that the model is scored, and kept."""
        if title in MOMENTS:
            self._say(*MOMENTS[title])
        yield


TASKS = {"train_project": train_project}
