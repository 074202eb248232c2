"""Trains a narrow YOLO detector from scratch on drawn frames: tests need no official weights.

Frames come from a function of a random generator, so that tests can draw others.
"""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch

from action_gru.backbone import loading  # noqa: F401 - sets ultralytics' switches before its import
from action_gru.demo.actions import CLASSES
from helpers.crowd import crowd_scene, person_box

POOL = 800  # frames that batches are drawn from
Drawn = tuple[np.ndarray, np.ndarray, np.ndarray]  # (H, W, 3) uint8, boxes (N, 4) px, kinds (N,)


def train_detector(
    path: Path,
    draw: Callable[[np.random.Generator], Drawn],
    names: Sequence[str],
    *,
    steps: int,
    batch: int = 16,
    rate: float = 4e-3,
    seed: int = 0,
) -> Path:
    """Train on `steps` batches of drawn frames, sides multiples of 32; save as a .pt."""
    import ultralytics
    from ultralytics.nn.tasks import DetectionModel
    from ultralytics.utils import YAML

    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    folder = Path(ultralytics.__file__).parent / "cfg" / "models" / "11"
    tree = YAML.load(folder / "yolo11.yaml") | {"scale": "n", "nc": len(names)}
    tree["scales"] = {"n": [0.34, 0.125, 1024]}
    model = DetectionModel(tree, verbose=False)
    model.args = Namespace(box=7.5, cls=0.5, dfl=1.5)
    model.names = dict(enumerate(names))
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, total_steps=steps)
    model.train()
    drawn = [draw(rng) for _ in range(POOL)]
    for _ in range(steps):
        loss, _ = model(_batch([drawn[index] for index in rng.integers(0, POOL, batch)]))
        optimizer.zero_grad()
        loss.sum().backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 10.0)
        optimizer.step()
        schedule.step()
    side = max(draw(rng)[0].shape)
    model.args, model.criterion = {"imgsz": side}, None
    torch.save({"model": model.half().eval(), "epoch": -1, "train_args": {"imgsz": side}}, path)
    return path


def _batch(drawn: Sequence[Drawn]) -> dict[str, torch.Tensor]:
    images = np.stack([image for image, _, _ in drawn])
    height, width = images.shape[1:3]
    boxes = np.concatenate([boxes for _, boxes, _ in drawn]).astype(np.float32)
    scale = np.array([width, height], np.float32)
    centres, sizes = (boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]
    numbers = np.repeat(np.arange(len(drawn)), [len(boxes) for _, boxes, _ in drawn])
    return {
        "img": torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255,
        "bboxes": torch.from_numpy(np.concatenate([centres / scale, sizes / scale], 1)),
        "cls": torch.from_numpy(np.concatenate([kinds for _, _, kinds in drawn])).float()[:, None],
        "batch_idx": torch.from_numpy(numbers).float(),
    }


def draw_people(rng: np.random.Generator) -> Drawn:
    """Up to six people in a frame of 256x96, its lower part sometimes grey as a letterbox's."""
    actions = [str(action) for action in rng.choice(list(CLASSES), int(rng.integers(1, 7)))]
    height = int(rng.choice([72, 96]))
    size_px = (256, height)
    scene = crowd_scene(actions, int(rng.integers(1 << 30)), size_px=size_px, duration_s=4.0)
    time_s = float(rng.uniform(0, 4))
    image = np.full((96, 256, 3), 114, np.uint8)
    image[:height] = scene.image_at(time_s)
    boxes = np.stack([person_box(actor, time_s) for actor in scene.actors])
    return image, np.clip(boxes, 0, [256, height, 256, height]), np.zeros(len(boxes), np.int64)
