"""Train the small backbone that ships with the package, on frames that the package draws.

    YOLO_OFFLINE=1 python scripts/train_builtin_backbone.py

Label of a frame: pose track x phase bin. The members of a reversed pair share their track, so no
label says in which direction a pose is passed. The pose itself is a second target. Only the layers
below the classifier are kept: their output is the 1280-value feature. The demo's class `idle` is
left out: it has no phase, and its poses are those in which the actions begin and end.
"""

import argparse
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

os.environ.setdefault("YOLO_OFFLINE", "1")

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional
from torch.optim.lr_scheduler import OneCycleLR
from ultralytics.nn.tasks import ClassificationModel

from action_gru.backbone.loading import save_network
from action_gru.demo.actions import ACTIONS, CYCLE_S, STANDING, TRACKS
from action_gru.demo.scenes import Scene, clip_scene
from action_gru.views.pictures import MOTION_LAGS_S, MOTION_REST
from action_gru.views.sampler import ViewMaker

ARCHITECTURE = "yolo26n-cls.yaml"
IMAGE_PX = 128
BINS = {track: 6 if track in CYCLE_S else 8 for track in TRACKS}
OFFSETS = dict(zip(TRACKS, np.cumsum([0, *BINS.values()]).tolist(), strict=False))
NUM_LABELS = sum(BINS.values())
POSE_SIZE = STANDING.size
HELD_OUT_SEED = 500_000_000  # scenes from here on are never trained on
RGB_PER_SCENE, MOTION_PER_SCENE = 7, 3

Image = NDArray[np.uint8]


@dataclass(frozen=True)
class Samples:
    """Drawn frames with their targets, one row a sample."""

    images: Tensor  # (N, H, W, 3) uint8 RGB, or motion in three channels
    labels: Tensor  # (N,) int64
    poses: Tensor  # (N, 16) float32
    is_motion: Tensor  # (N,) bool


def past_times(time_s: float, fps: float) -> list[float]:
    """The native frames that the motion view looks back at, in order of time."""
    index = round(time_s * fps)
    steps = (max(round(lag_s * fps), 1) for lag_s in MOTION_LAGS_S)
    return sorted({max(index - step, 0) / fps for step in steps} - {index / fps})


def random_window(rng: np.random.Generator, size_px: tuple[int, int]) -> tuple[slice, slice]:
    """A crop (rows, columns) of 82 to 100% of each side."""
    width, height = size_px
    wide, tall = (int(side * rng.uniform(0.82, 1.0)) for side in (width, height))
    left, top = int(rng.integers(0, width - wide + 1)), int(rng.integers(0, height - tall + 1))
    return slice(top, top + tall), slice(left, left + wide)


def degrade(image: Image, rng: np.random.Generator) -> Image:
    """Sometimes blur or compress, as cameras and codecs do."""
    if rng.random() < 0.2:
        image = cv2.GaussianBlur(image, (3, 3), 0)
    if rng.random() < 0.3:
        quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(35, 95))]
        coded = cv2.imencode(".jpg", image, quality)[1]
        image = np.asarray(cv2.imdecode(coded, cv2.IMREAD_COLOR), np.uint8)
    return np.asarray(image, np.uint8)


def draw_samples(seed: int) -> tuple[Image, NDArray[np.int64], NDArray[np.float32]]:
    """Samples of one scene: RGB views first, then motion views."""
    rng = np.random.default_rng((seed, 7))
    fps = float(rng.choice((24.0, 25.0, 30.0)))
    scene = clip_scene(ACTIONS[seed % len(ACTIONS)], seed, fps=fps)
    size_px = (scene.background.shape[1], scene.background.shape[0])
    window, how = random_window(rng, size_px), "letterbox" if rng.random() < 0.25 else "squash"
    images, labels, poses = [], [], []
    for i in range(RGB_PER_SCENE + MOTION_PER_SCENE):
        is_motion = i >= RGB_PER_SCENE
        time_s = random_instant(scene, rng, fps, in_move=is_motion or rng.random() < 0.85)
        maker = ViewMaker(("motion",) if is_motion else ("rgb",), IMAGE_PX, how)
        for past_s in past_times(time_s, fps) if is_motion else ():
            maker.observe(scene.image_at(past_s)[window], past_s)
        views = maker.observe(scene.image_at(time_s)[window], time_s)
        images.append(views["motion"] if is_motion else degrade(views["rgb"], rng))
        actor = scene.actors[0]
        move = actor.move_at(time_s)
        bins = BINS[move.track]
        labels.append(OFFSETS[move.track] + min(int(move.phase_at(time_s) * bins), bins - 1))
        poses.append(actor.pose_at(time_s))
    return np.stack(images), np.array(labels), np.stack(poses).astype(np.float32)


def random_instant(scene: Scene, rng: np.random.Generator, fps: float, *, in_move: bool) -> float:
    """A native frame's time; a cyclic action is only looked at while it goes on."""
    move = scene.actors[0].moves[0]
    cyclic = move.track in CYCLE_S
    low, high = (move.start_s, move.end_s) if in_move or cyclic else (0.0, 2.0)
    return round(float(rng.uniform(low, high)) * fps) / fps


def draw_all(first_seed: int, scenes: int, workers: int) -> Samples:
    """Samples of `scenes` scenes, in order of seed whatever the number of workers."""
    with get_context("spawn").Pool(workers, initializer=cv2.setNumThreads, initargs=(1,)) as pool:
        rows = pool.imap(draw_samples, range(first_seed, first_seed + scenes), chunksize=32)
        images, labels, poses = zip(*rows, strict=True)
    is_motion = np.tile(np.arange(RGB_PER_SCENE + MOTION_PER_SCENE) >= RGB_PER_SCENE, scenes)
    arrays = (np.concatenate(images), np.concatenate(labels), np.concatenate(poses), is_motion)
    return Samples(*(torch.from_numpy(array) for array in arrays))


def batches(
    samples: Samples, size: int, seed: int, unsigned: bool
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Shuffled batches: images (B, 3, H, W) in [0, 1] with random light, labels, poses.

    unsigned: motion as bright outlines on black, which is far easier to learn from.
    """
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(samples.labels), generator=generator)
    for chosen in torch.split(order, size):
        images = samples.images[chosen].permute(0, 3, 1, 2).float() / 255
        motion = samples.is_motion[chosen].view(-1, 1, 1, 1)
        gain = 1 + 0.25 * (2 * torch.rand(len(chosen), 3, 1, 1, generator=generator) - 1)
        shift = 0.12 * (2 * torch.rand(len(chosen), 3, 1, 1, generator=generator) - 1)
        same_gain = gain[:, :1].expand_as(gain)
        rest = motion * (MOTION_REST / 255)  # a motion picture is brightened about its grey
        if unsigned:
            images = torch.where(motion, (2 * (images - rest).abs()).clamp(max=1), images)
            rest = 0 * rest
        images = (images - rest) * torch.where(motion, same_gain, gain) + rest + shift * ~motion
        noise = torch.randn(images.shape, generator=generator) * 0.015
        images = (images + noise * ~motion).clamp_(0, 1)
        yield images, samples.labels[chosen], samples.poses[chosen]


def train(
    model: nn.Module, samples: Samples, epochs: int, batch_size: int, rate: float, seed: int
) -> None:
    """AdamW with one warm-up and cosine cycle; loss: label cross-entropy plus pose error."""
    centre, spread = samples.poses.mean(0), samples.poses.std(0).clamp_min(1e-3)
    steps = epochs * -(-len(samples.labels) // batch_size)
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=0.03)
    schedule = OneCycleLR(optimizer, rate, total_steps=steps, pct_start=0.15)
    started, step = time.monotonic(), 0
    model.train()
    for epoch in range(epochs):
        # From signed motion or RGB alone nothing was learned in an epoch; the last one refines.
        unsigned = epoch < epochs - 1
        for images, labels, poses in batches(samples, batch_size, seed + epoch, unsigned):
            with torch.autocast("cpu", torch.bfloat16):
                outputs = model(images.contiguous(memory_format=torch.channels_last)).float()
            named = functional.cross_entropy(outputs[:, :NUM_LABELS], labels, label_smoothing=0.05)
            target = (poses - centre) / spread
            posed = functional.smooth_l1_loss(outputs[:, NUM_LABELS:], target)
            optimizer.zero_grad()
            torch.autograd.backward(named + 2.0 * posed)
            nn.utils.clip_grad_norm_(model.parameters(), 5.0)
            optimizer.step()
            schedule.step()
            step += 1
            if step % 100 == 0:
                spent = time.monotonic() - started
                line = (
                    f"epoch {epoch + 1}, step {step}/{steps}, label {named:.3f}, pose {posed:.3f}"
                )
                print(f"{line}, {spent:.0f} s", flush=True)


@torch.inference_mode()
def accuracy(model: nn.Module, samples: Samples) -> dict[str, float]:
    """Held-out share of frames with the right label, and with the right pose track, by view."""
    model.eval()
    edges = torch.tensor([*OFFSETS.values(), NUM_LABELS])
    guesses = []
    for images in torch.split(samples.images, 64):
        pixels = images.permute(0, 3, 1, 2).float() / 255
        guesses.append(model(pixels)[1][:, :NUM_LABELS].argmax(1))
    guess, report = torch.cat(guesses), {}
    for name, rows in (("rgb", ~samples.is_motion), ("motion", samples.is_motion)):
        right, truth = guess[rows], samples.labels[rows]
        tracks = torch.bucketize(right, edges, right=True) == torch.bucketize(
            truth, edges, right=True
        )
        report[f"{name} phase"] = (right == truth).float().mean().item()
        report[f"{name} track"] = tracks.float().mean().item()
    return report


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("action_gru/weights/builtin.safetensors"))
    parser.add_argument("--scenes", type=int, default=6000)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=2, help="processes that draw")
    parser.add_argument("--threads", type=int, default=1, help="threads that train")
    args = parser.parse_args()
    torch.manual_seed(args.seed)
    torch.set_num_threads(args.threads)
    first_seed = 100_000_000 * (1 + args.seed)
    samples = draw_all(first_seed, args.scenes, args.workers)
    held_out = draw_all(HELD_OUT_SEED, 240, args.workers)
    print(f"{len(samples.labels)} frames drawn, {NUM_LABELS} labels", flush=True)
    model = ClassificationModel(ARCHITECTURE, nc=NUM_LABELS + POSE_SIZE, verbose=False)
    model = model.to(memory_format=torch.channels_last)
    train(model, samples, args.epochs, args.batch_size, args.rate, args.seed)
    notes = {name: str(value) for name, value in vars(args).items() if name != "out"}
    notes |= {"made_by": "scripts/train_builtin_backbone.py", "licence": "AGPL-3.0-or-later"}
    save_network(args.out, model.half(), IMAGE_PX, **notes)
    print({name: round(value, 3) for name, value in accuracy(model, held_out).items()})
    print(f"{args.out}: {args.out.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
