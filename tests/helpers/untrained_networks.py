"""YOLO detect and pose networks that have learnt nothing, small and the same on every machine.

With a threshold near zero they find boxes in every frame: a model of boxes can be run without
official weights. Their numbers come from numpy, whose old generator never changes.
"""

import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
import ultralytics
from ultralytics.nn.tasks import DetectionModel, PoseModel
from ultralytics.utils import YAML

SIDE_PX = 64


def write_detector(path: Path) -> Path:
    """A detect network of two classes, named 0 and 1."""

    return _write(path, DetectionModel, "yolo11.yaml", nc=2)


def write_pose_network(path: Path) -> Path:
    """A pose network of people with five points."""

    return _write(path, PoseModel, "yolo11-pose.yaml", nc=1, kpt_shape=[5, 3])


def _write(path: Path, kind: Any, file: str, **changes: Any) -> Path:
    os.environ["YOLO_OFFLINE"] = "1"
    import torch
    import ultralytics
    from ultralytics.utils import YAML

    models = Path(ultralytics.__file__).parent / "cfg" / "models" / "11"
    tree = YAML.load(models / file) | {"scale": "n", **changes}
    tree["scales"] = {"n": [0.34, 0.0625, 256]}
    model = kind(tree, verbose=False)
    model.args = {"imgsz": SIDE_PX}
    rng = np.random.RandomState(0)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad and parameter.ndim > 1:  # the rest stays as it is made
                spread = (2.0 / parameter[0].numel()) ** 0.5
                values = spread * rng.standard_normal(tuple(parameter.shape))
                parameter.copy_(torch.from_numpy(values))
    torch.save({"model": model.half().eval(), "train_args": {}}, path)
    return path


MODELS = Path(ultralytics.__file__).parent / "cfg" / "models"


def save_untrained(path, kind, file, imgsz=64, **changes):
    """An untrained narrow network, saved as ultralytics saves one."""
    torch.manual_seed(0)
    tree = YAML.load(MODELS / file) | {"scale": "n", **changes}
    tree["scales"] = {"n": [0.34, 0.125, 1024]}
    model = kind(tree, verbose=False)
    model.args = {"imgsz": imgsz}
    torch.save({"model": model.half().eval(), "train_args": {}}, path)
    return str(path)
