"""The sequence model: a training step against a bare loop, an epoch, and the cells side by side."""

from __future__ import annotations

import time

import numpy as np
import torch
from torch.nn.functional import cross_entropy

from action_gru.config import build_config
from action_gru.features import ClipFeatures
from action_gru.features.sequences import SequenceSet
from action_gru.model import CELLS, ActionClassifier
from action_gru.training.loop import Trainer, parameter_groups
from rows.turns import Goal, Row, in_turns, medians

CLIPS, FRAMES, DIM, CLASSES, HIDDEN = 10_000, 32, 1280, 10, 256
STEPS = 20


def rows(device: str, rounds: int) -> list[Row]:
    trainer = make_trainer(CLIPS, device)
    model = trainer.bare_model
    return [
        training_step(trainer, rounds),
        epoch(trainer),
        *cells(model, rounds),
    ]


def make_trainer(clips: int, device: str) -> Trainer:
    """A trainer over random features: one view, the default model."""
    rng = np.random.default_rng(0)
    noise = rng.standard_normal((4096 + FRAMES, DIM)).astype(np.float16)
    times_s = np.arange(FRAMES) / 12.0
    starts = rng.integers(0, 4096, clips)
    sequences = [[ClipFeatures(noise[s : s + FRAMES], times_s)] for s in starts]
    data = SequenceSet(sequences, rng.integers(0, CLASSES, clips).tolist())
    settings = build_config({"training": {"device": device}}).training
    model = ActionClassifier([DIM], CLASSES, projection_size=256, hidden_size=HIDDEN)
    return Trainer(model, data, None, settings, 64, 0)


def training_step(trainer: Trainer, rounds: int) -> Row:
    """Steps of the trainer, batches and augmentation included, against forward, backward and AdamW
    alone on one random tensor of that size."""
    settings, device = trainer.settings, trainer.accelerator.device
    bare = ActionClassifier([DIM], CLASSES, projection_size=256, hidden_size=HIDDEN).to(device)
    optimizer = torch.optim.AdamW(parameter_groups(bare, settings.weight_decay))
    # The trainer's own mean length: crop and speed shorten and stretch clips.
    lengths = torch.cat(
        [part.batch.lengths for part in first(trainer.batches.epoch(0), 20)]
    ).float()
    frames = int(torch.cat([lengths.max()[None], lengths]).max())
    features = torch.randn(settings.batch_size, frames, DIM, device=device)
    full = torch.full((settings.batch_size,), frames, device=device)
    labels = torch.randint(0, CLASSES, (settings.batch_size,), device=device)

    def bare_steps() -> None:
        bare.train()
        for _ in range(STEPS):
            loss = cross_entropy(bare.branch_logits(features, full)[:, 0], labels)
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(bare.parameters(), 1.0)
            optimizer.step()
        float(loss.detach())

    def our_steps() -> None:
        trainer.run_steps(0, STEPS)

    seconds = in_turns({"ours": our_steps, "bare loop": bare_steps}, rounds)
    rates = {name: STEPS / s for name, s in medians(seconds).items()}
    return Row(
        "training step, 32 clips of 32 x 1280, hidden 256",
        "steps/s",
        rates,
        against="bare loop",
        goal=Goal(0.85, 0.85),
        notes=f"bare: forward, backward, clip, AdamW on one random tensor of {frames} frames",
    ).paired(seconds, "ours", "bare loop")


def first(items, count: int) -> list:
    return [item for item, _ in zip(items, range(count), strict=False)]


def epoch(trainer: Trainer) -> Row:
    began_s = time.perf_counter()
    trainer.run_steps(1, len(trainer.batches))
    return Row(
        f"one epoch over {CLIPS:,} cached clips of {FRAMES} x {DIM}, hidden {HIDDEN}",
        "s",
        {"ours": time.perf_counter() - began_s},
        goal=Goal(30.0, 30.0, at_most=True),
    )


def cells(like: ActionClassifier, rounds: int) -> list[Row]:
    """Each cell in turns: one step at batch 1, and forward and backward on a batch."""
    device = next(like.parameters()).device
    models = {
        cell: ActionClassifier([DIM], CLASSES, cell, 256, HIDDEN).to(device).eval()
        for cell in CELLS
    }
    feature = torch.randn(1, DIM, device=device)
    batch = torch.randn(32, FRAMES, DIM, device=device)
    lengths = torch.full((32,), FRAMES, device=device)

    def live(model: ActionClassifier):
        def run() -> None:
            with torch.inference_mode():
                state = None
                for _ in range(100):
                    logits, state = model.step(feature, state)
            logits.cpu()

        return run

    def learn(model: ActionClassifier):
        def run() -> None:
            for _ in range(5):
                model.branch_logits(batch, lengths).sum().backward()

        return run

    steps = in_turns({cell: live(model) for cell, model in models.items()}, rounds)
    learning = in_turns({cell: learn(model) for cell, model in models.items()}, rounds)
    sizes = {c: sum(p.numel() for p in m.streams[0].cell.parameters()) for c, m in models.items()}
    order = ("gru", "lstm", "rnn")

    def row(name: str, seconds: dict[str, list[float]], repeats: int) -> Row:
        middle = medians(seconds)
        values = {cell: 1000 * middle[cell] / repeats for cell in order}
        return Row(name, "ms", values, against="lstm").paired(seconds, "gru", "lstm")

    return [
        row("one live step, batch 1", steps, 100),
        row("forward and backward, batch 32", learning, 5),
        Row(
            "parameters of the cell",
            "",
            {cell: float(sizes[cell]) for cell in order},
            sizes["lstm"] / sizes["gru"],
            "lstm",
        ),
    ]
