import csv
import json
import math
import os
import shutil
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from accelerate.state import AcceleratorState
from helpers.toy_training import many_set, settings, toy_set
from helpers.videos import FakeBackbone, write_square
from safetensors.torch import load_file

from action_gru.config import Config, build_config
from action_gru.core.errors import BackboneError, CheckpointError, DataError, TrainingError
from action_gru.core.progress import Reporter
from action_gru.dataset import Clip, Split, read_manifest
from action_gru.evaluation.cross_validation import cross_validate, leave_classes_out
from action_gru.evaluation.evaluate import evaluate
from action_gru.features import ClipFeatures
from action_gru.features import source as features_module
from action_gru.features.sequences import NO_LABEL, SequenceSet
from action_gru.model import ActionClassifier
from action_gru.training import RunFolder, load_checkpoint, resume, save_checkpoint, train
from action_gru.training import calibrate as calibrate_module
from action_gru.training.batches import Batches
from action_gru.training.calibrate import calibrate_model
from action_gru.training.data import TrainingData, inner_folds
from action_gru.training.loop import Trainer
from action_gru.video import VideoWriter

pytestmark = pytest.mark.usefixtures("blank_figures")

QUIET = Reporter(quiet=True)


def trainer(val: SequenceSet | None = None, seed: int = 0, cell: str = "gru", **values) -> Trainer:
    torch.manual_seed(seed)
    model = ActionClassifier(
        [4],
        2,
        cell=cell,
        projection_size=8,
        hidden_size=8,
        normalisation="channel",
        head_dropout=0.1,
    )
    return Trainer(model, toy_set(), val, settings(**values), 64, seed)


@pytest.fixture(autouse=True)
def _fresh_accelerator():
    """Accelerate keeps one state a process, with the precision of the first trainer."""
    AcceleratorState._reset_state(reset_partial_state=True)


def fit(work: Trainer) -> Trainer:
    work.fit(lambda trainer, row: None)
    return work


def test_a_cell_learns_order_and_a_mean_cannot():
    ordered, pooled = fit(trainer(toy_set(seed=1))), fit(trainer(toy_set(seed=1), cell="none"))
    assert ordered.progress.history[-1]["val_accuracy"] == 1.0
    assert pooled.progress.history[-1]["val_accuracy"] < 0.8


def test_inner_folds_divide_a_group_only_where_the_test_does():
    clips = [Clip(Path(f"{n}.mp4"), f"{n}.mp4", "ab"[n % 2], f"group {n // 6}") for n in range(24)]
    whole, divided = inner_folds(clips, False), inner_folds(clips, True)
    parts = [set(whole[first : first + 6]) for first in range(0, 24, 6)]
    assert [len(part) for part in parts] == [1, 1, 1, 1]
    assert set(whole) == {0, 1, 2, 3}
    assert set(divided) == {0, 1, 2, 3, 4}
    one_group = [clip for clip in clips if clip.group == "group 0"]
    assert set(inner_folds(one_group, False)) == {0, 1, 2, 3, 4}


def test_the_closed_form_stream_is_solved_before_the_first_epoch_and_averaged_along():
    torch.manual_seed(0)
    options = {"projection_size": 8, "hidden_size": 8, "normalisation": "channel"}
    model = ActionClassifier([4], 2, closed_form=True, **options)
    work = fit(Trainer(model, toy_set(96), None, settings(ema_decay=0.9), 64, 0))
    solved = model.linear.weight.clone()
    assert solved.abs().max() > 0
    torch.testing.assert_close(work.kept_model().linear.weight, solved)
    # Rising and falling ramps have one mean and one maximum: the stream has nothing to say.
    assert model.linear_share < 0.4


def test_a_seed_fixes_the_result():
    first, second, other = fit(trainer()), fit(trainer()), fit(trainer(seed=1))
    assert first.progress.history == second.progress.history
    assert first.progress.history != other.progress.history


@pytest.mark.parametrize(("small", "within"), [(1e12, 1), (0, 2)])
def test_a_small_model_is_trained_by_one_thread(monkeypatch, small, within):
    monkeypatch.setattr("action_gru.training.loop.SMALL", small)
    before, seen = torch.get_num_threads(), []
    torch.set_num_threads(2)
    try:
        trainer(epochs=1).fit(lambda *_: seen.append(torch.get_num_threads()))
        assert (set(seen), torch.get_num_threads()) == ({within}, 2)
    finally:
        torch.set_num_threads(before)


def test_the_rate_warms_up_and_falls_to_zero_as_a_cosine(monkeypatch):
    monkeypatch.setattr("action_gru.training.loop.WARMUP_SHARE", 0.25)
    rates = [row["learning_rate"] for row in fit(trainer()).progress.history]
    assert rates[2] == max(rates) == 0.01
    assert rates[0] < rates[1] < rates[2]
    assert rates[-1] < 1e-4
    steps, warmup = 36, 9
    after = 5 * 3 + 2  # the last of the three steps of the sixth epoch
    cosine = 0.5 * (1 + math.cos(math.pi * (after - warmup) / (steps - warmup)))
    assert rates[5] == pytest.approx(0.01 * cosine)


def test_early_stop_keeps_the_best_epoch():
    work = fit(trainer(toy_set(seed=1), epochs=200, early_stop_patience=3, learning_rate=0.05))
    losses = [row["val_loss"] for row in work.progress.history]
    assert len(losses) < 200
    assert work.progress.best_epoch == losses.index(min(losses)) + 1
    assert len(losses) == work.progress.best_epoch + 3


@pytest.mark.parametrize(
    "options",
    [
        {"frame_dropout": 0.3, "temporal_crop": 0.5, "speed_jitter": 0.5},
        {"ema_decay": 0.9},
        {"class_balance": "weights"},
        {"class_balance": "sampler"},
        {"mixed_precision": "bf16"},
    ],
)
def test_every_option_trains_to_order(options):
    work = fit(trainer(toy_set(seed=1), epochs=25, **options))
    assert work.progress.history[-1]["val_accuracy"] >= 0.9


@pytest.mark.parametrize(("loss", "balance"), [("cross_entropy", "weights"), ("focal", "sampler")])
def test_several_labels_are_each_learned_by_itself(loss, balance):
    torch.manual_seed(0)
    sizes = {"projection_size": 8, "hidden_size": 8, "head_dropout": 0.1}
    model = ActionClassifier([4], 4, normalisation="channel", many=True, **sizes)
    options = settings(epochs=16, loss=loss, class_balance=balance)
    work = fit(Trainer(model, many_set(), many_set(seed=1), options, 64, 0))
    assert work.progress.history[-1]["val_accuracy"] >= 0.9  # all four classes right at once
    assert work.progress.history[-1]["val_loss"] < 0.4


def test_rows_without_a_target_teach_nothing():
    known = many_set(4, steps=4)
    targets = known.labels.repeat_interleave(4, 0)
    targets[1::2] = NO_LABEL
    known.step_labels = targets
    model = ActionClassifier([4], 4, projection_size=4, hidden_size=4, many=True)
    work = Trainer(model, known, None, settings(epochs=1, batch_size=4, temporal_crop=0), 64, 0)
    part = next(iter(work.batches.epoch(0)))
    logits, labels = work._answers(part.batch)
    assert len(logits) == len(labels) == part.answers < 16
    assert set(labels.unique().tolist()) == {0, 1}
    targets[:] = NO_LABEL
    nothing = next(iter(work.batches.epoch(0)))
    assert (nothing.answers, nothing.share) == (0, 0.0)
    assert work._step(nothing)[0] == 0


def test_the_weight_of_a_rare_class_is_bounded():
    rare = many_set(100)
    rare.labels[:, 0] = 0
    rare.labels[0, 0] = 1
    model = ActionClassifier([4], 4, projection_size=4, hidden_size=4, many=True)
    work = Trainer(model, rare, None, settings(class_balance="weights"), 64, 0)
    shown = rare.labels[:, 1].sum()
    assert work.class_weights[0] == 10
    assert work.class_weights[1] == pytest.approx(max(1, float((100 - shown) / shown)))


def test_batches_repeat_with_seed_and_epoch_and_hold_every_clip_once():
    options = settings(temporal_crop=0.5, speed_jitter=0.3, frame_dropout=0.2)
    batches = Batches(toy_set(flipped=True), options, 6, seed=3)
    first, again = list(batches.epoch(2)), list(batches.epoch(2))
    for part, repeated in zip(first, again, strict=True):
        assert torch.equal(part.batch.features, repeated.batch.features)
        assert part.batch.lengths.min() >= 1
        assert part.batch.lengths.max() <= 6
    labels = torch.cat([part.batch.labels for part in first])
    assert labels.bincount().tolist() == [12, 12]
    assert not torch.equal(first[0].batch.features, next(iter(batches.epoch(3))).batch.features)


def test_the_sampler_balances_rare_classes():
    values = [[ClipFeatures(np.ones((2, 1), np.float16), np.arange(2.0))] for _ in range(100)]
    rare = SequenceSet(values, [0] * 95 + [1] * 5)
    batches = Batches(rare, settings(class_balance="sampler", batch_size=100), 8, seed=0)
    drawn = torch.cat([p.batch.labels for e in range(10) for p in batches.epoch(e)])
    assert 0.4 < drawn.float().mean() < 0.6


@pytest.fixture
def fake_backbone(monkeypatch):
    backbone = FakeBackbone()
    monkeypatch.setattr(features_module, "build_backbone", lambda config: backbone)
    return backbone


@pytest.fixture(scope="module")
def drawn_clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two classes of tiny videos, bright and dark, from six groups; each test takes a copy."""
    folder = tmp_path_factory.mktemp("clips")
    rows = ["path,label,group,split"]
    for index in range(18):
        label = "bright" if index % 2 else "dark"
        name = f"{label}_{index}.mp4"
        write_square(folder / name, 8, seed=index + 100 * (index % 2))
        split = "test" if index % 6 == 0 or index % 6 == 5 else "train"
        rows.append(f"{name},{label},g{index % 6},{split}")
    (folder / "manifest.csv").write_text("\n".join(rows) + "\n")
    return folder


@pytest.fixture
def config(tmp_path: Path, drawn_clips: Path, fake_backbone: FakeBackbone) -> Config:
    """A training on the clips; weights stand in."""
    manifest = shutil.copytree(drawn_clips, tmp_path / "clips") / "manifest.csv"
    tree = {
        "run": {"name": "toy", "folder": str(tmp_path / "runs")},
        "data": {"manifest": str(manifest)},
        "sampling": {"fps": 10.0},
        "features": {"weights": "builtin", "cache_dir": str(tmp_path / "cache")},
        "model": {"projection_size": 6, "hidden_size": 6, "head_dropout": 0.1},
        "training": {"epochs": 6, "batch_size": 6, "device": "cpu", "learning_rate": 0.01},
    }
    return build_config(tree)


def with_(config: Config, *overrides: str) -> Config:
    return build_config(config.to_tree(), overrides)


@pytest.mark.drawn
def test_a_run_leaves_all_that_it_promises(config):
    run = train(config, QUIET)
    assert run.path.name == "toy"
    names = {path.name for path in run.path.iterdir()}
    assert names >= {
        "config.yaml", "clips.csv", "quarantine.csv", "best.safetensors", "last.safetensors",
        "baseline.safetensors", "log.jsonl", "tensorboard", "training.png",
    }  # fmt: skip
    log = [json.loads(line) for line in run.log.read_text().splitlines()]
    assert [row["epoch"] for row in log] == [1, 2, 3, 4, 5, 6]
    assert list((run.path / "tensorboard").glob("events*"))
    assert run.config() == with_(config, "data.split=column")  # as auto was resolved
    checkpoint = load_checkpoint(run.best)
    assert checkpoint.classes == ("bright", "dark")
    assert checkpoint.data["clips"] == {"train": 12, "val": 0, "test": 6}
    assert [spec.view for spec in checkpoint.features] == ["focus", "motion"]


def test_a_second_run_takes_a_new_folder_and_decodes_nothing(config, fake_backbone):
    first = train(config, QUIET)
    calls = fake_backbone.calls
    second = train(config, QUIET)
    assert (first.path.name, second.path.name) == ("toy", "toy-2")
    assert fake_backbone.calls == calls
    assert first.best.read_bytes() != b""
    ours, theirs = load_file(first.best), load_file(second.best)
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


@pytest.mark.parametrize("extra", [(), ("training.ema_decay=0.9", "data.val_share=0.25")])
def test_a_resumed_run_ends_in_the_same_weights(config, monkeypatch, extra):
    config = with_(config, *extra)
    whole = train(config, QUIET)
    keep = RunFolder.write_log
    epochs = []

    def interrupted(self, history):
        keep(self, history)
        epochs.append(len(history))
        if len(history) == 4:
            raise KeyboardInterrupt

    monkeypatch.setattr(RunFolder, "write_log", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train(config, QUIET)
    monkeypatch.setattr(RunFolder, "write_log", keep)
    broken = RunFolder(config.run.folder / "toy-2")
    assert load_checkpoint(broken.last).progress["epoch"] == 3
    resumed = resume(broken.path, QUIET)
    for name in ("best", "last", "baseline"):
        ours, theirs = load_file(getattr(whole, name)), load_file(getattr(resumed, name))
        assert ours.keys() == theirs.keys()
        assert all(torch.equal(ours[key], theirs[key]) for key in ours), name
    assert whole.log.read_text() == resumed.log.read_text()


def test_each_epoch_stands_once_in_tensorboard_however_the_run_was_cut(config, monkeypatch):
    """Cut after the third of eight epochs was logged, and before its checkpoint."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    import action_gru.training.fit as module

    real = module.save_checkpoint

    def cut(checkpoint, path):
        if path.name == "last.safetensors" and checkpoint.progress["epoch"] == 3:
            raise KeyboardInterrupt
        real(checkpoint, path)

    monkeypatch.setattr(module, "save_checkpoint", cut)
    with pytest.raises(KeyboardInterrupt):
        train(config, QUIET)
    monkeypatch.setattr(module, "save_checkpoint", real)
    time.sleep(1)  # TensorBoard reads the files of one second in the order of their names
    run = resume(config.run.folder / "toy", QUIET)
    board = EventAccumulator(str(run.path / "tensorboard"))
    board.Reload()
    logged = board.Scalars("loss")
    history = load_checkpoint(run.last).progress["history"]
    assert [event.step for event in logged] == list(range(1, len(history) + 1))
    assert [event.value for event in logged] == pytest.approx([row["loss"] for row in history])
    assert len(list((run.path / "tensorboard").iterdir())) == 2


def test_a_run_that_was_killed_before_it_trained_leaves_its_name_free(config):
    first = RunFolder.create(config)
    (first.path / "quarantine.csv").write_text("clip,reason\n")
    (first.path / ".clips.csv.0badcafe-1-1.part").write_text("half")
    assert RunFolder.create(config).path.name == "toy-2"  # the first one goes on
    first.release()  # as the system does when a process ends
    again = RunFolder.create(config)
    assert again.path == first.path
    assert sorted(path.name for path in again.path.iterdir()) == [".begun", "config.yaml"]
    again.release()
    again.write_clips([], {})
    assert not (again.path / ".begun").exists()
    assert RunFolder.create(config).path.name == "toy-2"


def test_a_folder_of_the_user_is_never_taken_over_or_removed(config):
    own = config.run.folder / "toy"
    own.mkdir(parents=True)
    (own / "config.yaml").write_text("# mine\n")
    assert RunFolder.create(config).path.name == "toy-2"
    RunFolder(own).discard_if_empty()
    assert (own / "config.yaml").read_text() == "# mine\n"
    assert (own.parent / "toy-2").is_dir()


def test_resume_refuses_what_would_be_another_run(config):
    run = train(config, QUIET)
    before = {path: path.read_bytes() for path in run.path.glob("*.*") if path.is_file()}
    for override in (
        "sampling.fps=5",
        "model.cell=lstm",
        "run.name=other",
        "data.split=group",
        "data.split_seed=9",
    ):
        said = rf"{override.partition('=')[0]} .*train a new run"
        with pytest.raises(CheckpointError, match=said):
            resume(run.path, QUIET, [override])
        assert {path: path.read_bytes() for path in before} == before


def test_a_run_that_is_trained_now_is_not_resumed(config):
    run = train(config, QUIET)
    other = RunFolder(run.path)
    other.hold()
    with pytest.raises(CheckpointError, match="another process trains this run now; wait for it"):
        resume(run.path, QUIET)
    other.release()
    (run.path / ".last.safetensors.1.2.part").write_text("of a killed process")
    os.utime(run.path / ".last.safetensors.1.2.part", (1, 1))
    assert resume(run.path, QUIET).path == run.path
    assert list(run.path.glob(".*")) == []


def test_a_run_folder_that_vanishes_is_not_made_again(config):
    run = RunFolder.create(config)
    shutil.rmtree(run.path)
    with pytest.raises(CheckpointError, match=r"log\.jsonl: cannot be written"):
        run.write_log([{"epoch": 1.0}])
    assert not run.path.exists()


def test_a_run_whose_data_changed_refuses_to_resume(config):
    run = train(config, QUIET)
    rows = run.clips.read_text().splitlines()
    run.clips.write_text("\n".join(rows[:-1]) + "\n")
    with pytest.raises(CheckpointError, match="the data or the model has changed"):
        resume(run.path, QUIET)


@pytest.mark.parametrize(
    "change",
    [
        lambda last: replace(last, extra={}),
        lambda last: replace(last, progress={"day": 1}),
        lambda last: replace(last, extra=last.extra | {"optimizer.x": torch.ones(1)}),
    ],
)
def test_a_state_of_another_training_refuses_to_resume(config, change):
    run = train(config, QUIET)
    save_checkpoint(change(load_checkpoint(run.last)), run.last)
    with pytest.raises(CheckpointError, match="holds no state of this training"):
        resume(run.path, QUIET)


def test_evaluation_stands_beside_its_baselines(config):
    run = train(config, QUIET)
    report, folder = evaluate(run, QUIET)
    assert folder == run.path / "evaluation" / "test"
    written = json.loads((folder / "report.json").read_text())
    assert written["clips"] == 6
    assert written["top1"] == report.metrics.top1 == 1.0
    assert written["baselines"]["majority"] == 0.5
    assert written["baselines"]["mean_pooled"] == 1.0
    assert (folder / "report.md").is_file()
    assert evaluate(run, QUIET)[1].name == "test-2"


@pytest.mark.parametrize("with_groups", [True, False])
def test_a_report_says_where_no_groups_are_given(config, with_groups, capsys):
    rows = list(csv.DictReader(config.data.manifest.open()))
    if not with_groups:
        lines = ["path,label", *(f"{row['path']},{row['label']}" for row in rows)]
        config.data.manifest.write_text("\n".join(lines) + "\n")
    run = train(with_(config, "data.split=group"), QUIET)
    report, folder = evaluate(run, Reporter(quiet=False))
    for text in (report.data, (folder / "report.md").read_text(), capsys.readouterr().err):
        assert ("No groups are given" in text) == (not with_groups)


@pytest.mark.drawn
def test_the_report_holds_order_time_trust_and_one_page(config):
    _, folder = evaluate(train(config, QUIET), QUIET)
    written = json.loads((folder / "report.json").read_text())
    costs = written["order"]["overall"]["costs"]
    assert list(costs) == [
        "shuffled", "reversed", "frozen", "first_half", "every_second", "mean_pooled",
    ]  # fmt: skip
    low, high = costs["mean_pooled"].pop("interval")
    assert costs["mean_pooled"] == {"accuracy": 1.0, "loss": 0.0}
    assert low < -0.1 < 0.1 < high  # two groups that lose nothing say little of a third
    assert [row["verdict"] for row in written["order"]["classes"]] == ["undecided"] * 2  # 3 clips
    assert len(written["anytime"]["by_share"]) == 20
    assert written["anytime"]["unit"] == "s"
    assert written["anytime"]["by_share"][-1]["accuracy"] == written["top1"]
    assert written["confidence"]["temperature"] is not None
    assert "do not prove a precision of 90 %" in written["confidence"]["note"]
    rejection = written["confidence"]["rejection"]
    assert rejection["applied_precision"] < rejection["stated_precision"] == 0.9
    text = (folder / "report.html").read_text("utf-8")
    assert text.count("data:image/png;base64,") == 6  # no mistake, so no contact sheet
    for name in ("order.png", "anytime.png", "risk_coverage.png"):
        assert (folder / name).is_file()


def test_details_can_be_left_out(config):
    report, folder = evaluate(train(config, QUIET), QUIET, overrides=["evaluation.details=false"])
    assert (report.order, report.anytime, report.mistakes) == (None, None, ())
    assert not (folder / "order.png").exists()
    assert "Does it use the order" not in (folder / "report.md").read_text()


@pytest.mark.drawn
def test_a_mistake_is_shown_with_its_frames(config):
    path = config.data.manifest
    swapped = path.read_text().replace("dark_6.mp4,dark", "dark_6.mp4,bright")
    path.write_text(swapped)
    report, folder = evaluate(train(config, QUIET), QUIET)
    (mistake,) = report.mistakes
    assert (mistake.clip.path, mistake.clip.label) == ("dark_6.mp4", "bright")
    assert len(mistake.frames) == 6
    assert (folder / "mistakes.png").is_file()


@pytest.mark.parametrize(
    ("override", "clips", "source"),
    [
        ("data.val_share=0.34", 3, "3 clips of the validation split"),
        ("calibration.how=auto", 6, "6 training clips, answered by models trained without their"),
        (
            "calibration.how=folds",
            12,
            "12 training clips, answered by models trained without their",
        ),
        ("data.allow_leakage=true", 4, "4 training clips, answered by models trained without them"),
    ],
)
def test_scores_are_calibrated_on_clips_not_trained_on(config, override, clips, source):
    checkpoint = load_checkpoint(train(with_(config, override), QUIET).best)
    assert checkpoint.calibration is not None
    assert len(checkpoint.calibration.scores) == clips
    assert checkpoint.calibration.source.startswith(source)


def test_left_out_clips_are_answered_by_models_that_never_saw_their_groups(config, monkeypatch):
    seen = []

    def fit(config, data, reporter, title):
        kept = {clip.group for clip in data.part("train")}
        asked = {clip.group for clip in data.part("test")}
        seen.append((kept, asked))
        return ActionClassifier([6, 6], 2, projection_size=4, hidden_size=4).eval()

    folds = with_(config, "calibration.how=folds")
    run = train(with_(config, "calibration.how=none"), QUIET)
    assert load_checkpoint(run.best).calibration is None
    clips = read_manifest(run.clips, config.data.manifest.parent)
    table = features_module.data_source(config).features(clips, QUIET)
    split = Split(train=tuple(clip for clip in clips if clip.split == "train"))
    data = TrainingData(split, ("bright", "dark"), table)
    monkeypatch.setattr(calibrate_module, "fit_model", fit)
    model = ActionClassifier([6, 6], 2, projection_size=4, hidden_size=4).eval()
    calibrate_model(folds, data, model, QUIET)
    assert len(seen) == 3
    assert not any(kept & asked for kept, asked in seen)
    assert set().union(*(asked for _, asked in seen)) == {"g1", "g2", "g3", "g4"}


def test_without_a_part_that_spares_every_class_scores_stay_as_they_are(config, capsys):
    text = config.data.manifest.read_text()
    for index in (2, 3, 4, 8, 9, 10, 14, 15, 16):  # one group a class is left
        label = "bright" if index % 2 else "dark"
        text = text.replace(f"{label}_{index}.mp4,{label},g{index % 6}", f"{label}_{index}.mp4,"
                            f"{label},only_{label}")  # fmt: skip
    text = text.replace(",g1,", ",only_bright,")
    config.data.manifest.write_text(text)
    run = train(config, Reporter(quiet=False))
    assert load_checkpoint(run.best).calibration is None
    assert "the scores are not calibrated: without a part" in capsys.readouterr().err
    report, _ = evaluate(run, QUIET)
    assert report.confidence.note.startswith("the run has no calibration")


def test_another_manifest_is_scored_whole_and_trained_clips_are_named(config):
    run = train(config, QUIET)
    manifest = config.data.manifest
    assert manifest is not None
    report, _ = evaluate(run, QUIET, manifest=manifest, overrides=["data.allow_leakage=true"])
    assert report.metrics.clips == 18
    assert "12 of these clips were in the training data" in report.data


def test_other_features_are_refused_by_name(config):
    run = train(config, QUIET)
    with pytest.raises(CheckpointError, match=r"sampling.fps: 10.0 against 5.0"):
        evaluate(run, QUIET, overrides=["sampling.fps=5"])
    with pytest.raises(
        CheckpointError, match=r"views: \['focus', 'motion'\] against \['motion'\] \("
    ):
        evaluate(run, QUIET, overrides=["features.views=[motion]"])


def test_a_label_the_model_does_not_know_is_refused(config):
    run = train(config, QUIET)
    other = config.data.manifest.with_name("other.csv")
    other.write_text("path,label\nbright_1.mp4,purple\n")
    with pytest.raises(DataError, match="unknown label 'purple'"):
        evaluate(run, QUIET, manifest=other)


def test_without_a_test_split_everything_trains(config):
    run = train(with_(config, "data.split=none"), QUIET)
    assert load_checkpoint(run.best).data["clips"]["train"] == 18
    with pytest.raises(DataError, match="has no test split; evaluate it on other clips"):
        evaluate(run, QUIET)


def test_too_many_bad_clips_fail_the_run_and_are_listed(config):
    folder = config.data.manifest.parent
    (folder / "bright_1.mp4").write_bytes(b"")
    with pytest.raises(DataError, match=r"1 of 18 clips cannot be read.*max_bad_share=0.05"):
        train(config, QUIET)
    run = train(with_(config, "data.max_bad_share=0.1"), QUIET)
    with (run.path / "quarantine.csv").open() as file:
        (row,) = csv.DictReader(file)
    assert row["clip"] == "bright_1.mp4"
    assert "0 bytes" in row["reason"]


def test_the_same_video_on_two_sides_is_refused(config):
    folder = config.data.manifest.parent
    (folder / "dark_0.mp4").write_bytes((folder / "dark_2.mp4").read_bytes())
    with pytest.raises(DataError, match=r"same video on two sides of the split \(1 such pairs\)"):
        train(config, QUIET)
    assert train(with_(config, "data.allow_leakage=true"), QUIET).best.is_file()


def test_a_diverging_training_says_so(config):
    with pytest.raises(TrainingError, match=r"diverged in epoch \d.*lower training.learning_rate"):
        train(with_(config, "training.learning_rate=1e30"), QUIET)


def test_a_device_that_is_not_there_is_refused_before_any_work(config):
    if not torch.cuda.is_available():
        with pytest.raises(BackboneError, match="'cuda:1' is not on this machine"):
            train(with_(config, "training.device=cuda:1"), QUIET)
        assert not config.run.folder.exists()


def test_a_resumed_run_refuses_other_videos_under_the_same_names(config):
    run = train(config, QUIET)
    write_square(config.data.manifest.parent / "bright_1.mp4", 9, seed=900)
    with pytest.raises(CheckpointError, match=r"bright_1.mp4 is another video than when run"):
        resume(run.path, QUIET)


def test_a_bad_test_clip_is_listed_in_the_report(config):
    (config.data.manifest.parent / "bright_5.mp4").write_bytes(b"")
    report, _ = evaluate(train(with_(config, "data.max_bad_share=0.1"), QUIET), QUIET)
    assert report.metrics.clips == 5
    assert list(report.quarantined) == ["bright_5.mp4"]


def test_copies_never_stand_in_two_folds(config):
    folder = config.data.manifest.parent
    (folder / "dark_2.mp4").write_bytes((folder / "dark_4.mp4").read_bytes())
    with pytest.raises(DataError, match="4 folds need as many groups, and the data has 3"):
        cross_validate(config, 4, 1, QUIET)


def test_a_fold_that_would_train_without_a_class_is_refused(config):
    text = config.data.manifest.read_text().replace("dark_2.mp4,dark,", "dark_2.mp4,rare,")
    config.data.manifest.write_text(text)
    with pytest.raises(DataError, match="the training part has no clip of rare"):
        cross_validate(config, 3, 1, QUIET)


@pytest.mark.slow
def test_cross_validation_tests_every_clip_once_a_seed(config):
    report, folder = cross_validate(with_(config, "training.epochs=25"), 3, 2, QUIET)
    # Clips of the test column stay out: 12 are left in 4 groups.
    assert report.by_seed(lambda one: one.metrics.clips).sum(1).tolist() == [12, 12]
    written = json.loads((folder / "report.json").read_text())
    assert written["top1_mean"] == 1.0
    assert written["mean_pooled_top1_mean"] is not None


@pytest.mark.slow
def test_cross_validation_asks_how_far_scores_can_be_trusted(config):
    wanted = with_(config, "calibration.precision=0.5", "training.mean_pooled_baseline=false")
    report, folder = cross_validate(wanted, 4, 1, QUIET, confidence=True)
    (pooled,) = report.confidence()
    assert len(pooled["temperatures"]) == 4
    assert pooled["precision"] is not None
    text = (folder / "report.md").read_text()
    assert "Unsure rule, stated precision 50.0%" in text
    plain, _ = cross_validate(wanted, 4, 1, QUIET)
    assert plain.confidence() == []
    assert (plain.confusion() == report.confusion()).all()


def test_a_class_left_out_looks_less_known_than_the_others(config):
    folder = config.data.manifest.parent
    rows = []
    for index in range(6):
        with VideoWriter(folder / f"red_{index}.mp4", (96, 64), 10.0) as writer:
            for _ in range(8):
                writer.write(np.full((64, 96, 3), (200 + index, 0, 0), np.uint8))
        rows.append(f"red_{index}.mp4,red,g{index % 6},train\n")
    config.data.manifest.write_text(config.data.manifest.read_text() + "".join(rows))
    wanted = with_(config, "training.epochs=10", "data.split=none")
    report, written = leave_classes_out(wanted, 2, QUIET)
    assert [row["label"] for row in report["classes"]] == ["bright", "dark", "red"]
    counts = [(row["known_clips"], row["unknown_clips"]) for row in report["classes"]]
    assert counts == [(12, 6), (12, 6), (12, 6)]
    assert json.loads((written / "report.json").read_text()) == report


def test_leaving_a_class_out_of_two_is_refused(config):
    with pytest.raises(DataError, match="needs at least three of them"):
        leave_classes_out(config, 2, QUIET)


def test_more_folds_than_groups_are_refused_before_the_work(config):
    with pytest.raises(DataError, match="5 folds need as many groups, and the data has 4"):
        cross_validate(config, 5, 1, QUIET)
    assert not config.run.folder.exists()


def test_a_folder_that_is_no_run_is_named(tmp_path):
    with pytest.raises(CheckpointError, match="is not a run folder"):
        RunFolder.open(tmp_path)
